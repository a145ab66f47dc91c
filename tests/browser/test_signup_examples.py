"""The sign-up examples in a real browser: mistakes corrected and sent again, by htmx, by fetch, with refusals shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.servers import ROOT, Server, serve
from tests.wire import exchange, request_bytes

HTMX = ROOT / ".widgets" / "node_modules" / "htmx.org" / "dist" / "htmx.min.js"
EXAMPLES = {
    "fastapi": ("uvicorn-h11", "examples.fastapi_signup.app:app"),
    "flask": ("gunicorn-gthread", "examples.flask_signup.app:create_app()"),
}


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    stack, app = EXAMPLES[request.param]
    state = tmp_path_factory.mktemp("state")
    with serve(stack, app, environment={"XDG_STATE_HOME": str(state)}) as server:
        yield server


@pytest.fixture
def forms(example: Server, page: Page) -> Page:
    page.route("**/static/htmx.min.js", lambda route: route.fulfill(path=HTMX))
    page.goto(f"http://127.0.0.1:{example.port}/")
    return page


def spoil_tokens(page: Page, path: str) -> None:
    """Let what the browser sends to this path have a token that nobody solved, once."""

    def spoiled(route: Route) -> None:
        body = (route.request.post_data or "").replace("caputchin-token=", "caputchin-token=A")
        headers = dict(route.request.headers)
        if "x-caputchin-token" in headers:
            headers["x-caputchin-token"] = "A" * 32 + ".1"
        route.continue_(post_data=body, headers=headers)

    page.route(f"**{path}", spoiled, times=1)


def test_a_mistake_is_corrected_and_sent_again_with_a_receipt(forms: Page) -> None:
    forms.fill("#signup input[name=email]", "ann")
    forms.click("#signup button")
    expect(forms.locator("#signup [role=alert]")).to_have_text("An e-mail address has an @.")
    cookies = {cookie["name"] for cookie in forms.context.cookies()}
    assert cookies, "a receipt"
    challenges: list[str] = []
    forms.on("request", lambda request: challenges.append(request.url) if "/challenge" in request.url else None)
    forms.evaluate("document.querySelector('#signup').removeAttribute('data-captcha')")  # no token at all this time
    forms.fill("#signup input[name=email]", "ann@shop.example")
    forms.evaluate("HTMLFormElement.prototype.submit.call(document.querySelector('#signup'))")
    expect(forms.locator("body")).to_contain_text("Welcome, ann@shop.example")
    assert challenges == []


def test_a_mistake_is_corrected_and_sent_again_without_a_receipt(forms: Page) -> None:
    forms.fill("#signup input[name=email]", "ann")
    forms.click("#signup button")
    expect(forms.locator("#signup [role=alert]")).to_have_text("An e-mail address has an @.")
    forms.context.clear_cookies()
    forms.fill("#signup input[name=email]", "ann@shop.example")
    forms.click("#signup button")
    expect(forms.locator("body")).to_contain_text("Welcome, ann@shop.example")


def test_a_refusal_is_shown_in_the_form_and_the_next_try_passes(forms: Page) -> None:
    spoil_tokens(forms, "/signup")
    forms.fill("#signup input[name=email]", "ann@shop.example")
    forms.click("#signup button")
    expect(forms.locator("#signup [role=alert]")).to_contain_text("Please send the form once more")
    expect(forms.locator("#signup input[name=email]")).to_have_value("ann@shop.example")
    forms.click("#signup button")
    expect(forms.locator("body")).to_contain_text("Welcome, ann@shop.example")


def test_an_htmx_form_shows_mistakes_and_refusals_and_is_sent_again(forms: Page) -> None:
    alert = forms.locator("#invite [role=alert]")
    spoil_tokens(forms, "/invite")
    forms.fill("#invite input[name=friend]", "bob")
    forms.click("#invite button")
    expect(alert).to_contain_text("Please send the form once more")
    forms.click("#invite button")
    expect(alert).to_have_text("An e-mail address has an @.")
    forms.fill("#invite input[name=friend]", "bob@shop.example")
    forms.click("#invite button")
    expect(alert).to_have_text("bob@shop.example is invited.")
    expect(forms.locator("#comment")).to_be_visible()  # the page is still there


def test_a_page_that_sends_with_fetch_shows_the_refusal_and_gets_a_fresh_token(forms: Page) -> None:
    alert = forms.locator("#comment [role=alert]")
    spoil_tokens(forms, "/comments")
    forms.fill("#comment input[name=text]", "It was lovely")
    forms.click("#comment button")
    expect(alert).to_contain_text("The check that came with the form could not be confirmed")
    forms.click("#comment button")
    expect(alert).to_have_text("Thank you.")
    expect(forms.locator("#comments")).to_contain_text("It was lovely")


@pytest.mark.parametrize("path", ["/signup", "/invite", "/comments"])
def test_a_bot_gets_nowhere(example: Server, path: str) -> None:
    form = "Content-Type: application/x-www-form-urlencoded\nAccept: application/json"
    answer = exchange(
        example.port, request_bytes(f"POST {path}\n{form}", b"email=a@b.example&friend=a@b.example&text=x")
    )
    assert b"Welcome, a@b.example" not in answer.body
    assert b"is invited" not in answer.body
    assert answer.status == (403 if path != "/invite" else 200)
