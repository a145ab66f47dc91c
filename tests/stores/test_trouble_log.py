"""What is told of a store in trouble, and when it is told that the trouble is over."""

from __future__ import annotations

from typing import Any

import pytest

from caputchin_gate.stores.trouble_log import TroubleLog


class Watched(TroubleLog):
    """A log whose time the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__("Redis at cache:6379", lambda: self.now)

    def call(self, trouble: str | None) -> None:
        """What a store does at the end of a call."""
        if trouble is not None:
            self.down(trouble)
        elif self.in_trouble:
            self.up()


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    return [(record.__dict__["event"], record.__dict__.get("trouble")) for record in caplog.records]


@pytest.mark.parametrize(
    ("calls", "events"),
    [
        ([None, None], []),
        (["away", "away", "away"], [("store-down", "away")]),
        (["away", "full", "away", "full"], [("store-down", "away"), ("store-down", "full")]),
        (["away", None, "away", None, "away"], [("store-down", "away")]),
        (["away", 6, None, None], [("store-down", "away"), ("store-up", None)]),
        (["away", None, 4, None, 2, None], [("store-down", "away"), ("store-up", None)]),
        (["away", 6, None, "away"], [("store-down", "away"), ("store-up", None), ("store-down", "away")]),
    ],
)
def test_each_change_is_told_once_and_a_store_that_flickers_is_not_well(
    calls: list[str | int | None], events: list[tuple[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "caputchin_gate")
    log = Watched()
    for call in calls:
        if isinstance(call, int):
            log.now += call
        else:
            log.call(call)
    assert told(caplog) == events
