"""A form behind forward-auth: the gate sees no body, so the widget carries the token in a cookie as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.front_proxies import EXAMPLES, KINDS, GuardedSite, Received, guarded_site
from tests.wire import exchange, request_bytes

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Contact</title>
<script src="/.caputchin/captcha.js" data-carry="cookie" defer></script>
<form method="post" action="/contact" enctype="multipart/form-data" data-captcha>
<label>Message <input name="message"></label><button>Send</button><span data-captcha-status></span></form>"""


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GuardedSite]:
    with guarded_site(request.param, tmp_path, (EXAMPLES / "gate.toml").read_text()) as site:
        site.application.pages["/"] = (200, PAGE)
        yield site


def send(page: Page, site: GuardedSite, message: str) -> None:
    page.goto(f"http://127.0.0.1:{site.port}/")
    page.fill("[name=message]", message)
    page.click("button")


def posted(site: GuardedSite) -> list[Received]:
    return [received for received in site.received if received.method == "POST"]


def test_a_visitor_sends_a_form_twice_each_time_with_a_token_of_its_own(page: Page, site: GuardedSite) -> None:
    for message in ("first", "second"):
        send(page, site, message)
        expect(page.locator("body")).to_have_text("the application")
        form = posted(site)[-1]
        assert message.encode() in form.body
        assert form.all("x-caputchin-reason") == ["verified"]
    (cookie,) = (cookie for cookie in page.context.cookies() if cookie["name"] == "caputchin-token")
    assert cookie["sameSite"] == "Strict"
    again = exchange(site.port, request_bytes(f"POST /contact\nCookie: caputchin-token={cookie['value']}", b""))
    assert again.status == 403


def test_without_a_token_the_visitor_reads_the_page_of_the_gate(browser: Browser, site: GuardedSite) -> None:
    context = browser.new_context(java_script_enabled=False, locale="de")
    page = context.new_page()
    send(page, site, "hello")
    expect(page.locator("h1")).to_have_text("Das Formular wurde nicht gesendet")
    assert page.url.endswith("/contact")
    assert posted(site) == []
    context.close()
