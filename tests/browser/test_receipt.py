"""Receipts in a real browser: which cookies it keeps, and when it sends them, is for it to say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.servers import Server, serve

FLASK, STARLETTE = "tests.form_site.flask_site:app", "tests.form_site.starlette_site:app"
REFUSED = "The form was not sent"


@pytest.fixture(scope="module", params=[("werkzeug", FLASK), ("uvicorn-httptools", STARLETTE)], ids=["wsgi", "asgi"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(*request.param) as started:
        yield started


def sign_up(page: Page, address: str) -> None:
    page.fill("[name=address]", address)
    page.click("button")


def test_a_form_with_a_mistake_is_corrected_and_sent_again(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/signup")
    sign_up(page, "ann")
    expect(page.locator("#note")).to_have_text("An address has an @.")
    (receipt,) = (cookie for cookie in page.context.cookies() if cookie["name"].startswith("caputchin-receipt-"))
    assert (receipt["httpOnly"], receipt["sameSite"], receipt["path"]) == (True, "Strict", "/")
    assert "caputchin" not in page.evaluate("document.cookie")
    sign_up(page, "ann@shop.example")
    expect(page.locator("#note")).to_have_text("Welcome, ann@shop.example")


def test_without_a_receipt_the_corrected_form_is_refused(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/plain-signup")
    sign_up(page, "ann")
    expect(page.locator("#note")).to_have_text("An address has an @.")
    sign_up(page, "ann@shop.example")
    expect(page.locator("h1")).to_have_text(REFUSED)


def test_a_page_of_another_site_can_not_use_the_receipt(page: Page, server: Server) -> None:
    page.goto(f"http://127.0.0.1:{server.port}/signup")
    sign_up(page, "ann")
    expect(page.locator("#note")).to_have_text("An address has an @.")
    page.goto(f"http://localhost:{server.port}/")  # another site: the same address by another name
    page.set_content(
        f'<form method="post" action="http://127.0.0.1:{server.port}/signup">'
        '<input name="address"><button>Send</button></form>'
    )
    sign_up(page, "ann@shop.example")
    expect(page.locator("h1")).to_have_text(REFUSED)


def test_a_form_that_is_redirected_arrives(page: Page) -> None:
    """With 307 the browser posts again, and the cookie of the redirect is already there (threats.md R42)."""
    with serve("uvicorn-httptools", STARLETTE) as server:
        page.goto(f"http://127.0.0.1:{server.port}/login")
        assert page.locator("form").get_attribute("action") == "/login/"
        sign_up(page, "ann@shop.example")
        expect(page.locator("#note")).to_have_text("Welcome, ann@shop.example")
        assert page.url.endswith("/login")
