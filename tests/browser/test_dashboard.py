"""The dashboard in a real browser: what it shows, that it renews itself, and that it needs no script."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.sidecar.admin.watching import REFUSED, until, value, watched, workers
from tests.sidecar.running import Running, children
from tests.sidecar.scripted import Scripted
from tests.wire import exchange


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Scripted() as upstream, watched(tmp_path, upstream.url) as found:
        yield found


@contextmanager
def opened(browser: Browser, running: Running, *, scripts: bool = True, dark: bool = False) -> Iterator[Page]:
    """Fails if the page logs an error, throws, or violates its Content-Security-Policy."""
    faults: list[str] = []
    scheme = "dark" if dark else "light"
    context = browser.new_context(java_script_enabled=scripts, color_scheme=scheme)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(f"http://127.0.0.1:{running.admin}/")
    yield page
    context.close()
    assert faults == []


def test_its_numbers_renew_themselves(browser: Browser, running: Running) -> None:
    with opened(browser, running) as page:
        expect(page).to_have_title("caputchin-gate: ready")
        expect(page.get_by_text("No request has met a rule yet.")).to_have_count(2)
        for _ in range(3):
            exchange(running.port, REFUSED)
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="token-missing"))
        expect(row.get_by_role("cell").last).to_have_text("3", timeout=10_000)
        rule = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="POST /contact"))
        expect(rule.get_by_role("cell")).to_have_text(["0", "3", "100 %"])
        expect(page.get_by_role("img", name="0 admitted, 3 refused")).to_be_visible()


def test_without_scripts_it_says_the_same(browser: Browser, running: Running) -> None:
    exchange(running.port, REFUSED)
    until(lambda: value(running, "decisions_total") == 1)
    with opened(browser, running, scripts=False) as page:
        assert page.get_by_role("rowheader", name="token-missing").count() == 1
        assert [int(text) for text in page.locator("section:last-of-type tbody th").all_inner_texts()] == workers(
            running
        )


def test_what_is_not_well_is_said_at_the_top_with_what_mends_it(browser: Browser, tmp_path: Path) -> None:
    with watched(tmp_path, "http://127.0.0.1:1") as running, opened(browser, running) as page:
        expect(page).to_have_title("caputchin-gate: not ready")
        status = page.get_by_role("region", name="Readiness")
        expect(status).to_contain_text("upstream: no connection to 127.0.0.1:1. Start the application")


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_in_light_and_dark(browser: Browser, running: Running, dark: bool) -> None:
    with opened(browser, running, dark=dark) as page:
        for selector in ("h1", "header p", ".status strong", ".tiles dd", "thead th", "tbody td"):
            assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5, selector


CONTRAST = """element => {
  const light = color => {
    const [r, g, b] = color.match(/[0-9.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let ground = element;
  while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


def test_when_nobody_answers_it_says_since_when(browser: Browser, running: Running) -> None:
    context = browser.new_context()  # its faults are what this is about
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{running.admin}/")
    (victim,) = set(children(running.process.pid)) - set(workers(running))
    running.process.send_signal(signal.SIGSTOP)  # so that nobody begins another one
    try:
        os.kill(victim, signal.SIGKILL)
        expect(page.locator(".clock")).to_contain_text("no answer since", timeout=15_000)
    finally:
        running.process.send_signal(signal.SIGCONT)
    expect(page.locator(".clock")).to_contain_text("as of", timeout=15_000)
    context.close()
