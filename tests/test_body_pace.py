"""How long a body is waited for: no stall over the timeout, a least rate, and so an end (threats.md R30)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.body_pace import LEAST_BYTES_PER_SECOND, BodyPace

TIMEOUT = 30.0
MEBIBYTE = 2**20


def waited(pieces: Sequence[tuple[float, int]]) -> float | None:
    """When it is over with a body whose pieces come after such pauses; None if all of them are waited for."""
    now = 0.0
    pace = BodyPace(TIMEOUT, now)
    for pause, count in pieces:
        if pause > pace.patience(now):
            return now + pace.patience(now)
        now += pause
        pace.came(count, now)
    return None


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        ([(31.0, 1)], 30.0),
        ([(0.0, MEBIBYTE), (31.0, 1)], 30.0),
        ([(0.0, MEBIBYTE), *[(25.0, 1)] * 100], 30.0),
        ([(0.0, 15 * MEBIBYTE), *[(1.0, 100)] * 10_000], 33.2),
        ([(29.0, 1), (29.0, 1)], 30.0),
    ],
    ids=["nothing comes", "a burst, then nothing", "a burst, then a byte now and then", "a burst, then slow", "slow"],
)
def test_fast_bytes_buy_no_time_for_slow_ones(pieces: list[tuple[float, int]], ends: float) -> None:
    assert waited(pieces) == pytest.approx(ends, abs=0.1)


@pytest.mark.parametrize(
    "pieces",
    [
        [(1.0, 1024)] * 16_384,
        [(1.4, 1448)] * 11_000,
        [(25.0, 32 * 1024)] * 500,
        [(0.1, 65_536), (29.0, 32 * 1024)] * 100,
        [(29.0, 300)],
    ],
    ids=["1 KiB a second", "a segment now and then", "in gusts", "a radio cell that changes", "a slow form"],
)
def test_a_slow_honest_upload_is_waited_for_to_its_end(pieces: list[tuple[float, int]]) -> None:
    assert waited(pieces) is None


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 100_000)), max_size=50))
def test_so_many_bytes_take_no_longer_than_the_least_rate_allows(pieces: list[tuple[float, int]]) -> None:
    now, received = 0.0, 0
    pace = BodyPace(TIMEOUT, now)
    for pause, count in pieces:
        assert now + pace.patience(now) <= TIMEOUT + received / LEAST_BYTES_PER_SECOND + 0.001
        if pause > pace.patience(now):
            break
        now, received = now + pause, received + count
        pace.came(count, now)
