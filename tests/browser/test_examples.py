"""The examples, as somebody starts and uses them: a visitor gets through, a bot does not; and what they look like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.contrast import contrasts
from tests.servers import ROOT, serve
from tests.wire import exchange, request_bytes

# stack, application, protected path, what the visitor fills in, what the page says then
EXAMPLES = [
    ("uvicorn-h11", "examples.fastapi_newsletter:app", "/subscribe", "ann@shop.example", "Welcome, ann@shop.example"),
    ("werkzeug", "examples.flask_guestbook:app", "/entries", "It was lovely", "It was lovely"),
    ("gunicorn-gthread", "examples.django_contact:application", "/contact/", "Dear all", "Dear all"),
]


@pytest.mark.parametrize(("stack", "app", "path", "words", "answer"), EXAMPLES, ids=lambda value: str(value)[:30])
def test_an_example_lets_a_visitor_through_and_no_bot(
    page: Page, tmp_path: Path, stack: str, app: str, path: str, words: str, answer: str
) -> None:
    with serve(stack, app, environment={"XDG_STATE_HOME": str(tmp_path)}) as server:
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.fill("input:not([type=hidden]), textarea", words)
        page.click("button")
        expect(page.locator("body")).to_contain_text(answer)
        form = "Content-Type: application/x-www-form-urlencoded"
        bot = exchange(server.port, request_bytes(f"POST {path}\n{form}", b"email=a@b.example&text=x&message=x"))
        assert bot.status == 403


# How they look

PAGES = {
    "fastapi_newsletter.html": ("uvicorn-h11", "examples.fastapi_newsletter:app", ["/"]),
    "flask_guestbook.html": ("gunicorn-gthread", "examples.flask_guestbook:app", ["/"]),
    "django_contact.html": ("gunicorn-gthread", "examples.django_contact:application", ["/"]),
    "fastapi_signup": ("uvicorn-h11", "examples.fastapi_signup.app:app", ["/"]),
    "flask_signup": ("gunicorn-gthread", "examples.flask_signup.app:create_app()", ["/"]),
    "django_signup": ("gunicorn-gthread", "club.wsgi:application", ["/", "/comment/", "/talk/", "/welcome/"]),
    "behind_a_proxy": ("gunicorn-gthread", "examples.behind_a_proxy.app:app", ["/"]),
    "content_security_policy": ("uvicorn-h11", "examples.content_security_policy.app:app", ["/"]),
    "many_machines": ("gunicorn-gthread", "examples.many_machines.app:application", ["/"]),
    "migration": ("gunicorn-gthread", "examples.migration.app:app", ["/", "/contact"]),
    "multi_step": ("gunicorn-gthread", "examples.multi_step.app:app", ["/"]),
    "uploads": ("uvicorn-h11", "examples.uploads.app:app", ["/"]),
}


@pytest.fixture(scope="module", params=PAGES)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The addresses of an example's pages."""
    stack, app, paths = PAGES[request.param]
    environment = {
        "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")),
        "CAPUTCHIN_GATE_STORE": "memory",
        "GATE_SIGNING_KEY": "of-the-tests-" * 3,
        "PROSOPO_SECRET": "0xa-secret-that-nobody-asks-with",
    }
    options = ["--chdir", str(ROOT / "examples" / request.param)] if app.startswith("club") else []
    with serve(stack, app, environment=environment, options=options) as server:
        yield [f"http://127.0.0.1:{server.port}{path}" for path in paths]


def test_every_example_with_pages_is_looked_at() -> None:
    folder = ROOT / "examples"
    assert {file.name for file in folder.glob("*.html")} <= set(PAGES)
    assert {file.parts[len(folder.parts)] for file in folder.glob("*/**/templates/*.html")} <= set(PAGES)


def test_no_page_of_an_example_scrolls_sideways_on_a_phone(page: Page, shown: list[str]) -> None:
    page.set_viewport_size({"width": 360, "height": 720})
    for address in shown:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_an_example_can_be_read_by_day_and_by_night(page: Page, shown: list[str], scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for address in shown:
        page.goto(address)
        found = contrasts(page)
        assert found
        assert {text: contrast for text, contrast in found.items() if contrast < 4.5} == {}, address
