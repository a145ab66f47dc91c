"""What the demo claims, and the bounds of its live log. The page itself is tested in a browser."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

import pytest

from caputchin_gate.asgi import Message
from caputchin_gate.demo.app import contact_site
from caputchin_gate.demo.feed import KEPT, READERS, Feed
from caputchin_gate.verdict import Decision, Reason

REFUSAL = Decision(Reason.TOKEN_MISSING)


@pytest.mark.parametrize("path", ["/contact", "/%63ontact", "/contact%0A"])
def test_without_the_gate_each_spelling_of_the_path_runs_the_application(path: str) -> None:
    feed = Feed()
    scope = {
        "type": "http",
        "method": "POST",
        "path": unquote(path),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "caputchin_gate": Decision(Reason.UNGUARDED),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"name=Bot", "more_body": False}

    async def send(message: Message) -> None:
        pass

    asyncio.run(contact_site(feed)(scope, receive, send))
    assert feed.runs == 1


async def snapshot(feed: Feed) -> str:
    """What a page that connects now is told at once."""
    stream = feed.listen()
    await anext(stream)
    return await anext(stream)


def test_the_log_keeps_the_latest_decisions_and_counts_all() -> None:
    feed = Feed()
    for _ in range(KEPT + 20):
        feed.decided(REFUSAL)
    told = asyncio.run(snapshot(feed))
    assert told.count('"token-missing"') == KEPT
    assert f'"refused": {KEPT + 20}' in told


def test_a_page_that_falls_behind_is_let_go_and_is_told_everything_when_it_comes_again() -> None:
    async def fall_behind() -> None:
        feed = Feed()
        slow = feed.listen()
        assert [await anext(slow), await anext(slow)][1].startswith("event: snapshot")
        for _ in range(KEPT + 1):
            feed.decided(REFUSAL)
        assert [event async for event in slow] == []
        assert (await snapshot(feed)).count('"token-missing"') == KEPT

    asyncio.run(fall_behind())


def test_too_many_pages_are_sent_away_until_one_leaves() -> None:
    async def crowd() -> None:
        feed = Feed()
        pages = [feed.listen() for _ in range(READERS)]
        for page in pages:
            assert [await anext(page), await anext(page)][1].startswith("event: snapshot")
        assert [event async for event in feed.listen()] == ["retry: 2000\n\n"]
        await pages[0].aclose()
        assert (await snapshot(feed)).startswith("event: snapshot")

    asyncio.run(crowd())


def test_closing_ends_every_stream() -> None:
    async def close() -> None:
        feed = Feed()
        page = feed.listen()
        assert [await anext(page), await anext(page)]
        feed.close()
        assert [event async for event in page] == []
        assert [event async for event in feed.listen()] == ["retry: 2000\n\n"]

    asyncio.run(close())
