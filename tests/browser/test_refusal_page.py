"""The page of a refusal as a visitor sees it: styled under its own policy, readable, and no wider than a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from caputchin_gate.messages import RequestHead
from caputchin_gate.refusals import render
from caputchin_gate.refusals.texts import LANGUAGES
from caputchin_gate.verdict import Decision, Reason

Show = Callable[..., None]

ONE_OF_EACH_NOTICE = (
    Reason.TOKEN_MISSING,
    Reason.TOKEN_REJECTED,
    Reason.TOKEN_EXPIRED,
    Reason.BODY_UNREADABLE,
    Reason.BODY_TOO_LARGE,
    Reason.RATE_LIMITED,
    Reason.UNAVAILABLE,
)


@pytest.fixture
def show(page: Page) -> Show:
    def show(reason: Reason, language: str = "en", back: str | None = None) -> None:
        answer = render(Decision(reason), RequestHead("POST", "/", headers={"accept-language": [language]}), back=back)

        def fulfill(route: Route) -> None:
            route.fulfill(status=answer.status, headers=dict(answer.headers), body=answer.body)

        page.route("**/*", fulfill)
        page.goto("http://shop.example/contact")
        page.unroute("**/*")

    return show


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_phone_shows_every_refusal_in_every_language_without_scrolling_sideways(
    page: Page, show: Show, language: str
) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    for reason in ONE_OF_EACH_NOTICE:
        show(reason, language)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert page.locator("html").get_attribute("lang") == language


CONTRASTS = """() => {
    const light = color => {
        const [r, g, b] = color.match(/[\\d.]+/g).map(part => part / 255)
            .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
    }
    const paper = light(getComputedStyle(document.querySelector("main")).backgroundColor)
    return [...document.querySelectorAll("h1, p, a, span")].map(element => {
        const ink = light(getComputedStyle(element).color)
        return Math.max(ink, paper) / Math.min(ink, paper)
    })
}"""


@pytest.mark.parametrize("back", [None, "/contact"], ids=["back button", "back link"])
@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(246, 247, 249)"), ("dark", "rgb(18, 22, 28)")])
def test_the_page_is_styled_under_its_own_policy_and_every_text_has_contrast(
    page: Page, show: Show, scheme: str, paper: str, back: str | None
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    show(Reason.TOKEN_MISSING, back=back)
    expect(page.locator("body")).to_have_css("background-color", paper)
    contrasts = page.evaluate(CONTRASTS)
    assert contrasts
    assert min(contrasts) >= 4.5, "WCAG 2.2, 1.4.3"


def test_the_link_back_can_be_followed_under_the_policy_of_the_page(page: Page, show: Show) -> None:
    show(Reason.TOKEN_EXPIRED, back="/form")
    page.route("**/form", lambda route: route.fulfill(body="the form"))
    page.get_by_role("link", name="Back to the form").click()
    expect(page.get_by_text("the form")).to_be_visible()
