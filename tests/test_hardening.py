"""Adaptive hardening, as tables: captchaapi.md 7 and the rows of 12 that concern it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.difficulty import Hardening
from caputchin_gate.hardening import (
    HOUR,
    MINUTE,
    NORMAL,
    Counts,
    History,
    Record,
    Signal,
    Standing,
    Thresholds,
    assess,
    merged,
    parse,
)

CALM, SUSPICIOUS, UNDER_ATTACK, CRITICAL = Hardening
USUAL = Thresholds()
NOON = 30_000_000 * MINUTE  # the beginning of a minute
PRESENT = NOON // MINUTE


def history(earlier: float, last: Counts, *, known: int = HOUR) -> History:
    """So many challenges in each of the known minutes before the one that has just begun, and now these events."""
    minutes = {PRESENT - ago: Counts(earlier) for ago in range(1, known + 2)}
    return History(PRESENT - known - 1, {**minutes, PRESENT - 1: Counts(), PRESENT: last})


def state(past: History, now: float = NOON, thresholds: Thresholds = USUAL) -> tuple[Hardening, Signal | None]:
    return assess(past, now, thresholds)


# Signals


@pytest.mark.parametrize(
    ("usual", "challenges", "expected"),
    [
        (100, 299, CALM),
        (100, 300, SUSPICIOUS),
        (100, 799, SUSPICIOUS),
        (100, 800, UNDER_ATTACK),
        (100, 1999, UNDER_ATTACK),
        (100, 2000, CRITICAL),
        (1, 59, CALM),  # fewer than 60 in a minute raise nothing
        (1, 60, CRITICAL),
        (0, 59, CALM),
        (0, 60, CRITICAL),  # a quiet hour, and then many at once
        (60, 60, CALM),
    ],
)
def test_a_spike_is_a_multiple_of_the_mean_of_the_hour_before(usual: int, challenges: int, expected: Hardening) -> None:
    assert state(history(usual, Counts(challenges))) == (expected, Signal.SPIKE if expected else None)


@pytest.mark.parametrize(
    ("known", "challenges", "expected"),
    [
        (5, 100, CALM),  # as many as in each of its five minutes
        (5, 299, CALM),
        (5, 300, SUSPICIOUS),
        (5, 2000, CRITICAL),
        (4, 59, CALM),
        (4, 60, SUSPICIOUS),  # nobody knows what is usual there
        (0, 5000, SUSPICIOUS),
    ],
)
def test_a_young_site_is_compared_with_what_is_known_of_it(known: int, challenges: int, expected: Hardening) -> None:
    assert state(history(100, Counts(challenges), known=known))[0] == expected


def test_the_first_event_of_a_site_raises_nothing() -> None:
    assert state(History.of(NOON, Counts(1))) == (CALM, None)


@pytest.mark.parametrize(
    ("verifications", "failed", "expected"),
    [
        (100, 30, CALM),
        (100, 31, SUSPICIOUS),
        (100, 60, SUSPICIOUS),
        (100, 61, UNDER_ATTACK),
        (100, 85, UNDER_ATTACK),
        (100, 86, CRITICAL),
        (49, 49, CALM),
        (50, 50, CRITICAL),
        (0, 0, CALM),
    ],
)
def test_the_share_of_failed_verifications_has_to_be_above_its_limits(
    verifications: int, failed: int, expected: Hardening
) -> None:
    past = history(10, Counts(verifications=verifications, failed=failed))
    assert state(past) == (expected, Signal.FAILED if expected else None)


@pytest.mark.parametrize(("which", "signal"), [(2, Signal.DATACENTERS), (3, Signal.REPUTATION)])
@pytest.mark.parametrize(
    ("challenges", "part", "expected"),
    [
        (100, 30, CALM),
        (100, 31, SUSPICIOUS),
        (100, 61, UNDER_ATTACK),
        (100, 86, CRITICAL),
        (59, 59, CALM),
        (60, 60, CRITICAL),
    ],
)
def test_the_share_of_suspect_clients_has_to_be_above_its_limits(
    which: int, signal: Signal, challenges: int, part: int, expected: Hardening
) -> None:
    counts = [500, challenges, 0, 0, 0, 0]
    counts[which] = part
    assert state(history(500, Counts(*counts))) == (expected, signal if expected else None)


def test_the_highest_signal_counts() -> None:
    assert state(history(100, Counts(350, 350, 310, 0, 60, 40))) == (CRITICAL, Signal.DATACENTERS)


def test_every_threshold_is_a_setting() -> None:
    past = history(100, Counts(500, 500, 250, 250, 100, 50))
    lax = Thresholds((6, 7, 8), (0.6, 0.7, 0.8), (0.6, 0.7, 0.8), (0.6, 0.7, 0.8))
    assert state(past, thresholds=lax) == (CALM, None)
    for strict, signal in (
        (Thresholds((1, 2, 5), *[(0.9, 0.9, 0.9)] * 3), Signal.SPIKE),
        (Thresholds((9, 9, 9), (0.1, 0.2, 0.3), *[(0.9, 0.9, 0.9)] * 2), Signal.FAILED),
        (Thresholds((9, 9, 9), (0.9, 0.9, 0.9), (0.1, 0.2, 0.3), (0.9, 0.9, 0.9)), Signal.DATACENTERS),
        (Thresholds((9, 9, 9), *[(0.9, 0.9, 0.9)] * 2, (0.1, 0.2, 0.3)), Signal.REPUTATION),
        (Thresholds((9, 9, 9), (0.1, 0.2, 0.3), least_challenges=501), Signal.FAILED),
        (Thresholds((9, 9, 9), (0.1, 0.2, 0.3), (0.1, 0.2, 0.3), least_verifications=101), Signal.DATACENTERS),
    ):
        assert state(past, thresholds=strict) == (CRITICAL, signal)


def test_a_signal_whose_thresholds_are_infinite_is_off() -> None:
    never = (inf, inf, inf)
    off = Thresholds(never, never, never, never)
    for past in (history(0, Counts(500, 500, 500, 500, 100, 100)), history(0, Counts(500), known=0)):
        assert state(past, thresholds=off) == (CALM, None)


# The last minute


@pytest.mark.parametrize("second", range(0, 60, 7))
def test_at_a_steady_rate_every_minute_has_as_many_wherever_it_begins(second: int) -> None:
    minutes = {PRESENT - ago: Counts(600) for ago in range(1, HOUR + 2)}
    past = History(PRESENT - HOUR - 1, {**minutes, PRESENT: Counts(10 * second)})
    now = NOON + second
    assert past.last_minute(now).challenges == pytest.approx(600)
    assert past.usual(now, 300) == pytest.approx(600)
    assert state(past, now) == (CALM, None)


def test_a_flood_is_still_seen_when_the_minute_is_over() -> None:
    past = History(PRESENT - HOUR, {PRESENT - HOUR: Counts(60), PRESENT - 1: Counts(1000)})
    assert [state(past, NOON + second)[0] for second in (-1, 0, 1, 20)] == [CRITICAL] * 4
    assert state(past, NOON + 60) == (CALM, None)


def test_the_usual_rate_leaves_the_last_minute_out_and_forgets_after_an_hour() -> None:
    past = History(PRESENT - 1000, {PRESENT - HOUR - 1: Counts(600), PRESENT: Counts(5000)})
    assert past.usual(NOON, 300) == 10
    assert past.usual(NOON + 30, 300) == 5
    assert past.usual(NOON + 60, 300) == 0


# The sticky rule


@pytest.mark.parametrize(
    ("fresh", "expected"),
    [
        # seconds and fresh states -> seconds and present states
        ({0: CRITICAL}, {0: CRITICAL, 599: CRITICAL, 601: CALM}),
        ({0: UNDER_ATTACK}, {299: UNDER_ATTACK, 301: CALM}),
        ({0: SUSPICIOUS}, {299: SUSPICIOUS, 301: CALM}),
        ({0: CRITICAL, 60: SUSPICIOUS}, {61: CRITICAL, 599: CRITICAL, 601: CALM}),  # a lower one shortens nothing
        ({0: CRITICAL, 590: UNDER_ATTACK}, {599: CRITICAL, 601: CALM}),  # and prolongs nothing
        ({0: CRITICAL, 610: SUSPICIOUS}, {605: CALM, 611: SUSPICIOUS, 909: SUSPICIOUS, 911: CALM}),
        ({0: SUSPICIOUS, 100: CRITICAL}, {99: SUSPICIOUS, 100: CRITICAL, 699: CRITICAL, 701: CALM}),
        ({0: SUSPICIOUS, 200: UNDER_ATTACK}, {301: UNDER_ATTACK, 499: UNDER_ATTACK, 501: CALM}),
        ({0: CRITICAL, 500: CRITICAL}, {601: CRITICAL, 1099: CRITICAL, 1101: CALM}),  # an equal one renews it
        ({0: CALM}, {1: CALM}),
        ({0: SUSPICIOUS, 100: CALM}, {101: SUSPICIOUS, 301: CALM}),
    ],
)
def test_a_state_sticks_for_its_window(fresh: Mapping[int, Hardening], expected: Mapping[int, Hardening]) -> None:
    standing, found = NORMAL, {}
    for second in sorted(fresh.keys() | expected.keys()):
        standing = standing.after(fresh.get(second, CALM), Signal.SPIKE, NOON + second, USUAL)
        found[second] = standing.state
    assert {second: found[second] for second in expected} == expected


def test_critical_and_then_calm_is_critical_at_9_59_and_normal_at_10_01() -> None:
    record = merged(Record(history(10, Counts())), History.of(NOON, Counts(1000)), NOON, USUAL)
    for second, expected in ((30, CRITICAL), (9 * 60 + 59, CRITICAL), (10 * 60 + 1, CALM)):
        now = NOON + second
        assert record.standing.at(now, USUAL).state == expected
        assert merged(record, History.of(now, Counts(1)), now, USUAL).standing.state == expected


def test_a_flood_that_goes_on_becomes_usual_within_half_an_hour() -> None:
    record, states = Record(history(10, Counts())), {}
    for second in range(0, 40 * MINUTE, 6):  # a hundred times as many as in the hour before
        now = NOON + second
        record = merged(record, History.of(now, Counts(100)), now, USUAL)
        states[second] = record.standing.state
    assert {states[minute * MINUTE] for minute in range(1, 13)} == {CRITICAL}
    assert {states[minute * MINUTE] for minute in range(14, 25)} == {SUSPICIOUS}
    assert {states[minute * MINUTE] for minute in range(28, 40)} == {CALM}


def test_the_windows_are_settings() -> None:
    thresholds = Thresholds(sticky=(1.0, 2.0, 3.0))
    lasting = [NORMAL.after(fresh, Signal.FAILED, NOON, thresholds).until - NOON for fresh in Hardening if fresh]
    assert lasting == [1, 2, 3]


# Clocks that were set


def test_no_state_from_the_far_future_lasts_longer_than_its_window() -> None:
    standing = Standing(CRITICAL, Signal.SPIKE, NOON + 10**9)
    assert standing.at(NOON, USUAL) == Standing(CRITICAL, Signal.SPIKE, NOON + 600)
    record = merged(Record(history(10, Counts()), standing), History.of(NOON, Counts(1)), NOON, USUAL)
    assert record.standing.at(NOON + 601, USUAL) == NORMAL


@pytest.mark.parametrize("back", [1, 59, 60, 61, 600, 86_400, 10**7])
def test_what_was_just_counted_counts_when_the_clock_was_set_back(back: int) -> None:
    before = history(100, Counts(150))
    now = NOON - back
    record = merged(Record(before), History.of(now, Counts(160)), now, USUAL)
    assert record.standing.state == SUSPICIOUS
    later = merged(record, History.of(now + 3600, Counts(1)), now + 3600, USUAL)
    assert later.standing.state == CALM


def test_another_machines_clock_may_be_ahead() -> None:
    ahead = History.of(NOON, Counts(200))
    record = merged(Record(history(100, Counts()).plus(ahead)), History.of(NOON - 5, Counts(100)), NOON - 5, USUAL)
    assert record.history.minutes[PRESENT] == Counts(200)
    assert record.history.last_minute(NOON - 5).challenges >= 300


@pytest.mark.parametrize("forward", [600, 86_400, 10**8])
def test_a_clock_that_was_set_forward_leaves_an_empty_hour(forward: int) -> None:
    now = NOON + forward
    record = merged(Record(history(100, Counts(100))), History.of(now, Counts(10)), now, USUAL)
    assert record.standing.state == CALM
    assert len(record.history.minutes) <= HOUR + 2


# Records

counts = st.builds(Counts, *[st.integers(0, 2**31 - 1)] * 6)
moments = st.integers(0, 2**32 - 1)
histories = st.builds(History, moments, st.dictionaries(moments, counts, max_size=70))
standings = st.builds(
    Standing, st.sampled_from(Hardening), st.sampled_from([None, *Signal]), st.floats(-1e12, 1e12, width=64)
)
records = st.builds(Record, histories, standings)
near = st.builds(History, st.just(PRESENT), st.dictionaries(st.integers(PRESENT - HOUR, PRESENT), counts, max_size=5))


@given(records)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert parse(bytes(record)) == record


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: b"\1\0\0" + tail))
def test_any_bytes_are_a_record_or_none(value: bytes) -> None:
    record = parse(value)
    assert record is None or bytes(record) == value


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: b"",
        lambda value: value[:-1],
        lambda value: value + b"\0",
        lambda value: b"\2" + value[1:],
        lambda value: value[:1] + b"\4" + value[2:],
        lambda value: value[:2] + b"\5" + value[3:],
        lambda value: value[:3] + b"\x7f\xf8" + value[5:],  # until: not a number
        lambda value: value[:3] + b"\x7f\xf0" + bytes(6) + value[11:],  # and infinite
        lambda value: value[:16] + value[44:72] + value[16:44] + value[72:],  # minutes out of order
        lambda value: value[:16] + value[16:44] * 2 + value[72:],
    ],
)
def test_what_is_no_record_of_ours_is_no_record(spoil: object) -> None:
    value = bytes(Record(history(1, Counts(1))))
    assert parse(value) is not None
    assert callable(spoil)
    assert parse(spoil(value)) is None


@given(records, near, st.integers(0, 2**31))
def test_whatever_stands_in_the_store_becomes_a_small_record(record: Record, pending: History, now: int) -> None:
    after = merged(record, pending, now, USUAL)
    assert len(after.history.minutes) <= HOUR + 3
    assert len(bytes(after)) < 2048
    assert parse(bytes(after)) == after
    assert after.standing.until <= now + 600
    assert merged(after, History.of(now + 8000, Counts(1)), now + 8000, USUAL).standing.state == CALM


@given(st.lists(near, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_histories_add_up_to_the_same_in_any_order(parts: list[History], random: object) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = parts[0], shuffled[0]
    for part in parts[1:]:
        one = one.plus(part)
    for part in shuffled[1:]:
        other = part.plus(other)
    assert one == other
