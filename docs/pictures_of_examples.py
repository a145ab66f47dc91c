"""The pictures of the examples: each is started as its first lines say, used by a visitor, and looked at."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

EXAMPLES = Path(__file__).parents[1] / "examples"


@dataclass(frozen=True)
class Example:
    """Where it is, what is called there before it is started, and the command that starts it on a port."""

    folder: str
    start: str
    before: str = ""

    def command(self, port: int) -> list[str]:
        return [sys.executable, "-m", *shlex.split(self.start.format(port=port))]


NEWSLETTER = Example(".", "uvicorn fastapi_newsletter:app --log-level warning --port {port}")
GUEST_BOOK = Example(".", "flask --app flask_guestbook run --port {port}")
READING_TABLE = Example("fastapi_signup", "uvicorn app:app --log-level warning --port {port}")
UPLOADS = Example("uploads", "uvicorn app:app --log-level warning --port {port}")
CLUB = Example(
    "django_signup",
    "django runserver --noreload {port} --settings club.settings --pythonpath .",
    before="django migrate -v 0 --settings club.settings --pythonpath .",
)


@contextmanager
def running(example: Example) -> Iterator[str]:
    """The address of an example that runs as long as the block, with a store of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder, quiet = EXAMPLES / example.folder, subprocess.DEVNULL
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "XDG_STATE_HOME": state, "CLUB_DATABASE": f"{state}/club.sqlite3"}
        if example.before:
            before = [sys.executable, "-m", *shlex.split(example.before)]
            subprocess.run(before, cwd=folder, env=environment, check=True)  # noqa: S603, our own command
        with subprocess.Popen(  # noqa: S603, our own command
            example.command(port), cwd=folder, env=environment, stdout=quiet, stderr=quiet
        ) as process:
            try:
                _await(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.send_signal(signal.SIGINT)


def _await(port: int) -> None:
    for _ in range(300):
        connection = HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise SystemExit("an example does not start: try the command at its top")


@contextmanager
def visited(
    browser: Browser, example: Example, path: str, size: tuple[int, int], scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    with running(example) as address:
        width, height = size
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB", reduced_motion="reduce"
        )
        page.goto(address + path)
        yield page
        page.close()


def _look(page: Page, path: Path) -> None:
    page.wait_for_selector("[data-captcha-state=ready]")
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    page.screenshot(path=path)


def pictures_of_examples(browser: Browser, folder: Path) -> None:
    with visited(browser, NEWSLETTER, "/", (640, 400), "dark") as page:
        page.fill("[name=email]", "ann@shop.example")
        _look(page, folder / "newsletter.png")
    with visited(browser, GUEST_BOOK, "/", (640, 560)) as page:
        for words in ("The garden is lovely in the rain.", "We will be back for the plums."):
            page.fill("[name=text]", words)
            page.click("button")
            page.wait_for_selector(f"li:has-text('{words}')")
        page.fill("[name=text]", "Thank you for the tea")
        _look(page, folder / "guest-book.png")
    with visited(browser, READING_TABLE, "/", (820, 640)) as page:
        page.fill("#comment [name=text]", "It was lovely, and so was the soup.")
        page.click("#comment button")
        page.wait_for_selector("#comments li")
        page.fill("#signup [name=email]", "ann.shop.example")
        page.click("#signup button")
        page.wait_for_selector("#signup [role=alert]:not(:empty)")
        page.fill("#signup [name=email]", "ann@shop.example")
        _look(page, folder / "reading-table.png")
    with visited(browser, CLUB, "/", (640, 700)) as page:
        for field, typed in (
            ("username", "ann"),
            ("password1", "correct horse battery"),
            ("password2", "correct hose"),
        ):
            page.fill(f"[name={field}]", typed)
        page.click("button")
        page.wait_for_selector(".errorlist")
        page.fill("[name=password1]", "correct horse battery")
        _look(page, folder / "club.png")
    with visited(browser, CLUB, "/admin/", (640, 440)) as page:
        page.fill("[name=username]", "ann")
        _look(page, folder / "admin-login.png")
    with visited(browser, UPLOADS, "/", (640, 400)) as page, tempfile.TemporaryDirectory() as files:
        video = Path(files, "holiday.mp4")
        video.write_bytes(b"x" * 8_000_000)
        page.set_input_files("[name=file]", video)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2_000_000}
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
        page.click("button")
        page.wait_for_function("document.querySelector('progress').value > 0.5")
        page.screenshot(path=folder / "uploads.png")
        page.wait_for_selector("text=has arrived")
