"""Cap's own widget, unmodified, against a gate that is its server (cap.md 7): what visitors do, and what bots get."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.cap_site import PACKAGES
from tests.servers import serve
from tests.wire import exchange, request_bytes

Open = Callable[..., Page]

SEVERAL_PROTOCOLS = {"format": 2, "puzzles": 4, "squarings": 10_000}


@pytest.fixture
def open_site(page: Page) -> Iterator[Open]:
    """Opens a page of a site with these settings of Cap. No other machine may be asked for anything."""
    assert (PACKAGES / "widget" / "cap.min.js").exists(), "the widget is not there: run `make widgets`"
    strangers: list[str] = []

    def watch(url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "http://localhost:", "blob:", "data:")):
            strangers.append(url)

    page.on("request", lambda request: watch(request.url))
    page.set_default_timeout(60_000)  # the solver of the package takes a few seconds on a busy machine
    with ExitStack() as servers:

        def open_site(cap: dict[str, Any], *, host: str = "127.0.0.1", query: str = "", limit: int = 100) -> Page:
            environment = {"GATE_CAP": json.dumps(cap), "GATE_LIMIT": str(limit)}
            server = servers.enter_context(serve("uvicorn-httptools", "tests.cap_site:app", environment=environment))
            page.goto(f"http://{host}:{server.port}/{query.format(port=server.port)}")
            return page

        yield open_site
    assert strangers == []


def solve(page: Page) -> str:
    """Click the box and wait; the token that the form now holds."""
    page.locator("cap-widget").click()
    page.wait_for_function("seen.length")
    assert [name for name, *_ in page.evaluate("seen")] == ["solve"]
    return page.locator("[name=cap-token]").input_value()


SEND_AGAIN = """async token => {
    const body = new URLSearchParams({ message: "again", "cap-token": token })
    const answer = await fetch("/contact", { method: "POST", body })
    return answer.ok ? "admitted" : (await answer.json())["error-codes"][0]
}"""


@pytest.mark.parametrize(
    ("cap", "query"),
    [
        ({}, ""),
        ({"puzzles": 10, "difficulty": 3}, "?script=1"),
        ({"puzzles": 7, "difficulty": 3, "salt_length": 44}, ""),
        (SEVERAL_PROTOCOLS, ""),
        ({"format": 2, "puzzles": 0, "squarings": 10_000}, ""),
        ({"format": 2, "puzzles": 5, "difficulty": 3, "salt_length": 44}, ""),
    ],
    ids=["as it comes", "without WebAssembly", "the longest salts", "puzzles and squarings", "squarings", "format 2"],
)
def test_a_visitor_is_let_in_once_with_the_widget_as_published(
    open_site: Open, cap: dict[str, Any], query: str
) -> None:
    page = open_site(cap, query=query)
    token = solve(page)
    assert token.startswith("shop:")
    page.click("text=Send")
    expect(page.locator("body")).to_have_text("Thank you for hello")
    assert page.evaluate(SEND_AGAIN, token) == "timeout-or-duplicate"


def test_the_widget_works_on_a_page_of_another_origin(open_site: Open) -> None:
    """The page is on localhost and the gate on 127.0.0.1, so that redeeming takes a preflight."""
    endpoint = "?endpoint=http%3A%2F%2F127.0.0.1%3A{port}%2F.caputchin%2Fcap%2Fshop"
    page = open_site({"puzzles": 5, "difficulty": 3}, host="localhost", query=endpoint)
    solve(page)
    page.click("text=Send")
    expect(page.locator("body")).to_have_text("Thank you for hello")


def test_a_form_that_is_sent_before_it_is_solved_is_refused(open_site: Open) -> None:
    page = open_site({"puzzles": 5, "difficulty": 3})
    with page.expect_response("**/contact") as answer:
        page.click("text=Send")
    assert answer.value.status == 403


def test_after_a_reset_the_widget_gets_another_token(open_site: Open) -> None:
    page = open_site({"puzzles": 5, "difficulty": 3})
    tokens = [solve(page)]
    page.evaluate("seen = []; document.querySelector('cap-widget').reset()")
    tokens.append(solve(page))
    answers = [page.evaluate(SEND_AGAIN, token) for token in (*tokens, *tokens)]
    assert answers == ["admitted"] * 2 + ["timeout-or-duplicate"] * 2


def test_the_widget_tells_why_it_gets_no_challenge(open_site: Open) -> None:
    page = open_site({"puzzles": 5, "difficulty": 3}, limit=10)
    for _ in range(10):
        page.evaluate("fetch('/.caputchin/cap/shop/challenge', { method: 'POST' })")
    # By script: where a pointer moved, the widget has tried beforehand, and then says less.
    page.evaluate("document.querySelector('cap-widget').solve().catch(() => {})")
    page.wait_for_function("seen.length")
    assert page.evaluate("seen") == [["error", "network_error", "Rate limit exceeded"]]


def test_a_back_end_verifies_a_token_of_the_widget_once(open_site: Open) -> None:
    page = open_site({"puzzles": 5, "difficulty": 3})
    token = solve(page)
    port = int(page.url.split(":")[2].split("/")[0])
    asked = json.dumps({"secret": "shop-secret-of-the-test", "response": token}).encode()
    head = "POST /.caputchin/cap/shop/siteverify\nContent-Type: application/json"
    answers = [exchange(port, request_bytes(head, asked)) for _ in range(2)]
    assert [(answer.status, json.loads(answer.body)) for answer in answers] == [
        (200, {"success": True}),
        (404, {"success": False, "error": "Token not found"}),
    ]
    page.click("text=Send")
    expect(page.locator("body")).not_to_contain_text("Thank you")
