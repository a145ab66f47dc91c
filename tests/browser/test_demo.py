"""The demo in a real browser: what a visitor does, what the buttons of a bot do, and what the page shows of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

# The browser itself logs every refusal that a script receives; that is no fault of the page.
REFUSAL_SEEN = "Failed to load resource: the server responded with a status of 4"


@pytest.fixture
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "caputchin_gate", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The open page. The test fails if it logs an error, throws, or violates its Content-Security-Policy."""
    faults: list[str] = []
    context = browser.new_context()
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(address)
    expect(page.locator("#connection")).to_have_text("live")
    yield page
    context.close()
    assert [fault for fault in faults if not fault.startswith(REFUSAL_SEEN)] == []


def totals(page: Page) -> tuple[str, ...]:
    """Refused, admitted, runs of the application."""
    return tuple(page.locator(f"#{name}").inner_text() for name in ("refused", "admitted", "runs"))


def reasons(page: Page) -> list[str]:
    """The reasons in the log, the latest first."""
    return page.locator("#lines td:nth-child(3)").all_inner_texts()


def send_form(page: Page, name: str) -> None:
    page.fill("[name=name]", name)
    page.fill("[name=message]", "Does the engine answer letters?")
    page.click("text=Send message")


def test_a_person_is_admitted_and_reads_the_decision_and_finds_it_in_the_log(page: Page) -> None:
    send_form(page, "Ada <script>alert(1)</script>")
    expect(page.locator("h1")).to_have_text("Thank you, Ada <script>alert(1)</script>")
    assert page.locator(".decision dd").all_inner_texts() == ["admitted", "verified", "caputchin", "POST /contact"]
    expect(page.locator("section")).to_contain_text("So far the application has run once.")
    page.click("text=Back to the form")
    expect(page.locator("#runs")).to_have_text("1")
    assert (totals(page), reasons(page)) == (("0", "1", "1"), ["verified"])


@pytest.mark.parametrize(
    ("attack", "answers", "logged", "shown"),
    [
        ("no-token", ["403 missing-input-response"], ["token-missing"], ("1", "0", "0")),
        ("forged", ["403 invalid-input-response"], ["token-rejected"], ("1", "0", "0")),
        ("no-work", ["403 invalid-input-response"], ["token-rejected"], ("1", "0", "0")),
        (
            "twice",
            ["200 admitted", "403 timeout-or-duplicate"],
            ["token-used", "verified"],
            ("1", "1", "1"),
        ),
        (
            "race",
            ["200 admitted", "9 \u00d7 403 timeout-or-duplicate"],
            ["token-used"] * 9 + ["verified"],
            ("9", "1", "1"),
        ),
        ("disguise", ["2 \u00d7 403 missing-input-response"], ["token-missing"] * 2, ("2", "0", "0")),
    ],
)
def test_a_bot_is_refused_before_the_application_runs(
    attack: str, answers: list[str], logged: list[str], shown: tuple[str, ...], page: Page
) -> None:
    button = page.locator(f"[data-attack={attack}]")
    button.click()
    marks = page.locator("li", has=button).locator("output .mark")
    expect(marks).to_have_count(len(answers))
    assert sorted(marks.all_inner_texts()) == answers
    expect(page.locator("#lines tr:not(.empty)")).to_have_count(len(logged))
    assert (sorted(reasons(page)), totals(page)) == (sorted(logged), shown)


def test_a_form_sent_after_all_the_attacks_is_still_admitted(page: Page) -> None:
    for attack in ("no-token", "forged", "no-work", "twice", "disguise"):
        page.click(f"[data-attack={attack}]")
        expect(page.locator(f"[data-attack={attack}]")).to_be_enabled()
    send_form(page, "Ada")
    expect(page.locator("h1")).to_have_text("Thank you, Ada")


def test_another_page_sees_the_decisions_too_and_those_that_were_made_before_it_came(page: Page, address: str) -> None:
    page.click("[data-attack=no-token]")
    expect(page.locator("#refused")).to_have_text("1")
    other = page.context.new_page()
    other.goto(address)
    expect(other.locator("#refused")).to_have_text("1")
    page.click("[data-attack=forged]")
    expect(other.locator("#refused")).to_have_text("2")
    assert reasons(other) == ["token-rejected", "token-missing"]


def test_without_javascript_the_form_is_refused_with_a_page_of_the_gate(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    expect(page.locator("noscript p").first).to_contain_text("Without JavaScript")
    page.fill("[name=name]", "Ada")
    page.fill("[name=message]", "Hello")
    with page.expect_response("**/contact") as answer:
        page.click("text=Send message")
    assert answer.value.status == 403
    assert answer.value.headers["content-type"].startswith("text/html")
    expect(page.locator("body")).not_to_contain_text("Thank you")
    context.close()
    page = browser.new_page()
    page.goto(address)
    expect(page.locator("#refused")).to_have_text("1")
    assert totals(page) == ("1", "0", "0")
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1200, "dark")])
def test_the_page_fits_the_window_and_every_control_has_a_name(
    width: int, scheme: str, browser: Browser, address: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for control in page.locator("button, input:not([type=hidden]), textarea").all():
        assert control.evaluate("one => one.labels?.[0]?.innerText || one.innerText")
    context.close()
