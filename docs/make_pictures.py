"""Makes the pictures of the documentation from the running demo: `python docs/make_pictures.py`.

Needs the extra `test` and a system Chromium. Writes `demo.png` and `refusal.png` beside this file; `--all FOLDER`
writes the page in light and dark, on a phone, and the application's answer, to look at while changing it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
ATTACKS = ("race", "disguise", "no-token", "forged", "no-work", "twice")


@contextmanager
def running_demo() -> Iterator[str]:
    """The address of a demo that runs as long as the block."""
    command = [sys.executable, "-m", "caputchin_gate", "demo", "--port", "0"]
    with subprocess.Popen(  # noqa: S603, our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise SystemExit("the demo does not start: try `caputchin-gate demo`")
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)


@contextmanager
def page_after_all_attacks(browser: Browser, *, phone: bool = False, dark: bool = False) -> Iterator[Page]:
    """The demo's page with every result in it, and a form that is ready to be sent."""
    width, height = (390, 844) if phone else (1200, 800)
    with running_demo() as address:
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="en-GB",
            reduced_motion="reduce",
        )
        page.goto(address)
        for attack in ATTACKS:
            page.click(f"[data-attack={attack}]")
            page.wait_for_selector(f"[data-attack={attack}]:not([disabled])")
        page.fill("[name=name]", "Ada Lovelace")
        page.fill("[name=message]", "Does the engine answer letters?")
        page.wait_for_selector("[data-captcha-state=ready]")
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        yield page
        page.close()


def picture_of_the_demo(browser: Browser, path: Path) -> None:
    with page_after_all_attacks(browser) as page:
        page.screenshot(path=path)


def picture_of_a_refusal(browser: Browser, path: Path) -> None:
    """What a visitor without JavaScript reads."""
    with running_demo() as address:
        page = browser.new_page(
            viewport={"width": 800, "height": 470}, color_scheme="light", locale="en-GB", java_script_enabled=False
        )
        page.goto(address)
        page.fill("[name=name]", "Ada Lovelace")
        page.fill("[name=message]", "Does the engine answer letters?")
        page.click("text=Send message")
        page.wait_for_selector("h1:has-text('The form was not sent')")
        page.screenshot(path=path)
        page.close()


def pictures_of_everything(browser: Browser, folder: Path) -> None:
    with page_after_all_attacks(browser) as page:
        page.screenshot(path=folder / "light.png")
        page.click("text=Send message")
        page.wait_for_selector("h1:has-text('Thank you')")
        page.screenshot(path=folder / "thanks.png")
    with page_after_all_attacks(browser, dark=True) as page:
        page.screenshot(path=folder / "dark.png")
    with page_after_all_attacks(browser, phone=True) as page:
        page.screenshot(path=folder / "phone.png", full_page=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    folder: Path | None = parser.parse_args().all
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if folder is None:
            picture_of_the_demo(chromium, Path(__file__).with_name("demo.png"))
            picture_of_a_refusal(chromium, Path(__file__).with_name("refusal.png"))
        else:
            pictures_of_everything(chromium, folder)
