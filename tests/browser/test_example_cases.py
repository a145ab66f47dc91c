"""The examples for one case each, as a visitor uses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.servers import serve

STACKS = {
    "content_security_policy": "uvicorn-h11",
    "multi_step": "gunicorn-gthread",
    "uploads": "uvicorn-httptools",
}


@pytest.fixture
def visitor(request: pytest.FixtureRequest, page: Page, tmp_path: Path) -> Iterator[Page]:
    """The first page of the example that the test names."""
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
    name: str = request.param
    with serve(STACKS[name], f"examples.{name}.app:app", environment={"XDG_STATE_HOME": str(tmp_path)}) as server:
        page.goto(f"http://127.0.0.1:{server.port}/")
        yield page
    assert complaints == []


@pytest.mark.parametrize("visitor", ["content_security_policy"], indirect=True)
def test_under_a_strict_policy_the_form_is_sent_and_nothing_is_blocked(visitor: Page) -> None:
    visitor.fill("textarea", "Lovely")
    visitor.click("button")
    expect(visitor.get_by_role("status").first).to_have_text("Thank you! You said: Lovely")


@pytest.mark.parametrize("visitor", ["multi_step"], indirect=True)
def test_a_table_is_booked_in_three_steps(visitor: Page) -> None:
    visitor.fill("[name=name]", "Ann")
    visitor.click("button")
    visitor.fill("[name=date]", "2030-05-01")
    visitor.click("button")
    visitor.click("text=Book >> nth=-1")
    expect(visitor.get_by_role("status")).to_have_text("See you on 2030-05-01, Ann.")


@pytest.mark.parametrize("visitor", ["uploads"], indirect=True)
def test_a_large_file_shows_how_far_it_is_and_arrives(visitor: Page, tmp_path: Path) -> None:
    file = tmp_path / "holiday.bin"
    file.write_bytes(b"x" * 5_000_000)
    visitor.set_input_files("[name=file]", file)
    visitor.click("button")
    expect(visitor.get_by_role("status").first).to_have_text("holiday.bin has arrived, all 5000000 bytes of it.")
    expect(visitor.locator("progress")).to_have_js_property("value", 1)
    visitor.click("button")  # the second time with a token of its own
    expect(visitor.get_by_role("status").first).to_contain_text("has arrived")
