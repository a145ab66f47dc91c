"""A real Chromium, a fresh context for each test, and the site it visits.

To run these tests against a real gate, give `site` another implementation of `url`, `serve`, `challenges` and
`submissions`; nothing else here knows how challenges are made.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from challenge_site import ChallengeSite
from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    assert executable, "the browser tests need Chromium: see `make browser`"
    with sync_playwright() as playwright:
        # With the back/forward cache, as visitors have it; playwright would switch it off.
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=ARGUMENTS,
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        browser.close()


@pytest.fixture
def site() -> Iterator[ChallengeSite]:
    site = ChallengeSite()
    yield site
    site.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(10_000)
    page = context.new_page()
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    yield page
    context.close()
    assert not mistakes, "the page threw"


FORM = """<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>Contact</title>
<script src="/.caputchin/captcha.js" defer {script}></script>{head}
<form id="contact" method="post" action="/contact" data-captcha {form}>
<label>Message <input name="message" value="hello"></label>{inside}
<button name="act" value="draft">Save</button><button name="act" value="send">Send</button>
<span data-captcha-status {status}></span>
</form>{after}"""


@pytest.fixture
def open_form(site: ChallengeSite, page: Page) -> Callable[..., Page]:
    """Opens a page with a guarded form; the keywords are attributes and markup to put into it."""

    def open_form(*, headers: dict[str, str] | None = None, path: str = "/", **parts: str) -> Page:
        blank = dict.fromkeys(("script", "head", "form", "inside", "status", "after"), "") | {"lang": "en"}
        page.goto(site.serve(path, FORM.format(**(blank | parts)), headers))
        return page

    return open_form
