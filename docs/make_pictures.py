"""Makes the pictures of the documentation from the running demo: `python docs/make_pictures.py`.

Needs the extra `test` and a system Chromium. Writes `demo.png`, `refusal.png` and `dashboard.png` beside this file, the
last one after a minute of traffic through a sidecar, and those of the examples to `examples/` beside it; `--examples`
writes these alone. `--all FOLDER` writes the pages in light and dark, on a phone, and the application's answer, to look
at while changing them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pictures_of_examples import pictures_of_examples
from playwright.sync_api import Browser, Page, sync_playwright

from caputchin_gate.engines.solver import solve

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
    picture_of_the_dashboard(browser, folder / "dashboard-dark.png", dark=True)
    with page_after_all_attacks(browser) as page:
        page.screenshot(path=folder / "light.png")
        page.click("text=Send message")
        page.wait_for_selector("h1:has-text('Thank you')")
        page.screenshot(path=folder / "thanks.png")
    with page_after_all_attacks(browser, dark=True) as page:
        page.screenshot(path=folder / "dark.png")
    with page_after_all_attacks(browser, phone=True) as page:
        page.screenshot(path=folder / "phone.png", full_page=True)


GATE = """
protect = ["POST /contact", "POST /signup", "POST /t/{{slug}}/reply"]
store = "sqlite://{folder}/gate.db"

[provider]
kind = "caputchin"
verification = "in-process"

[in_process]
client_binding = "off"
challenges_per_minute = 10000

[sidecar]
listen = "127.0.0.1:0"
upstream = "http://127.0.0.1:{upstream}"
admin = "127.0.0.1:0"
workers = 2
"""
MINUTE = 60.0


class Application(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running_sidecar() -> Iterator[tuple[int, str]]:
    """The port of a sidecar for clients, and the URL of its admin address."""
    application = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=application.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "gate.toml")
        config.write_text(GATE.format(folder=folder, upstream=application.server_port))
        command = [sys.executable, "-m", "caputchin_gate", "proxy", str(config)]
        with subprocess.Popen(  # noqa: S603, our own command
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            try:
                clients, admin = (re.search(r"http://[0-9.]+:(\d+)", process.stdout.readline()) for _ in range(2))
                if clients is None or admin is None:
                    raise SystemExit("the sidecar does not start: try `caputchin-gate proxy`")
                yield int(clients[1]), admin[0]
            finally:
                process.send_signal(signal.SIGINT)
    application.shutdown()


def ask(port: int, method: str, path: str, body: str = "", kind: str = "application/x-www-form-urlencoded") -> bytes:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request(method, path, body, {"Content-Type": kind})
    answer = connection.getresponse().read()
    connection.close()
    return answer


def visit(port: int, until: float) -> None:
    """People: they look around, and send forms with a token; some send one twice."""
    chance = random.Random(7)  # noqa: S311, a picture
    while time.monotonic() < until:
        for _ in range(chance.randrange(1, 4)):
            ask(port, "GET", "/")
        challenge = json.loads(ask(port, "POST", "/.caputchin/api/v1/captcha/challenge", "{}", "application/json"))
        form = f"caputchin-token={challenge['token']}.{solve(challenge['token'], challenge['target'])}"
        path = chance.choice(("/contact", "/contact", "/signup", "/t/hello/reply"))
        for _ in range(1 if chance.random() < 0.9 else 2):
            ask(port, "POST", path, form)
        time.sleep(chance.uniform(0.0, 0.4))


def attack(port: int, until: float) -> None:
    """A bot: it comes in waves, mostly without a token."""
    chance = random.Random(11)  # noqa: S311, a picture
    while time.monotonic() < until:
        for _ in range(chance.randrange(2, 30)):
            ask(port, "POST", chance.choice(("/contact", "/signup", "/signup")), "name=bot")
        if chance.random() < 0.4:
            ask(port, "POST", "/contact", "caputchin-token=forged")
        time.sleep(chance.uniform(0.5, 4.0))


def picture_of_the_dashboard(browser: Browser, path: Path, *, dark: bool = False) -> None:
    with running_sidecar() as (port, admin):
        until = time.monotonic() + MINUTE
        crowd = [threading.Thread(target=who, args=(port, until)) for who in (visit, visit, attack)]
        for one in crowd:
            one.start()
        time.sleep(MINUTE - 1)  # looked at while there is traffic
        page = browser.new_page(
            viewport={"width": 1200, "height": 800}, color_scheme="dark" if dark else "light", locale="en-GB"
        )
        page.goto(admin)
        page.wait_for_selector("main")
        page.screenshot(path=path, full_page=True)
        page.close()
        for one in crowd:
            one.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    parser.add_argument("--examples", action="store_true")
    typed = parser.parse_args()
    folder: Path | None = typed.all
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if folder is None:
            pictures_of_examples(chromium, Path(__file__).with_name("examples"))
        if folder is None and not typed.examples:
            picture_of_the_demo(chromium, Path(__file__).with_name("demo.png"))
            picture_of_a_refusal(chromium, Path(__file__).with_name("refusal.png"))
            picture_of_the_dashboard(chromium, Path(__file__).with_name("dashboard.png"))
        elif folder is not None:
            pictures_of_everything(chromium, folder)
