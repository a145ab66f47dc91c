"""The examples, as somebody starts and uses them: a visitor's form goes through, a bot's does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.servers import serve
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
