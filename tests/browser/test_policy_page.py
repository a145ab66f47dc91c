"""The application of docs/howto/csp.md: under its policy the widget works in a worker, and nothing is objected to."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Page

from tests.pages import examples, served


def test_a_strict_policy_lets_the_widget_work_in_its_worker(page: Page, tmp_path: Path) -> None:
    objections: list[str] = []
    page.on("console", lambda message: objections.append(message.text) if "policy" in message.text.lower() else None)
    workers: list[str] = []
    page.on("worker", lambda worker: workers.append(worker.url))
    with served(examples("howto/csp")[0], "werkzeug", "app", tmp_path) as server:
        page.goto(f"http://127.0.0.1:{server.port}/")
        page.get_by_role("button").click()
        page.wait_for_url("**/contact")
        assert json.loads(page.inner_text("body")) == {"sent": "hello"}
    assert [url.partition("/.caputchin/")[2] for url in workers] == ["captcha.js"]
    assert objections == []
