"""Adaptive hardening, as tables: captchaapi.md 7 and the rows of 12 that concern it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
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
    Minutes,
    Record,
    Signal,
    Standing,
    Thresholds,
    assess,
    merged,
    parse,
    together,
)

CALM, SUSPICIOUS, UNDER_ATTACK, CRITICAL = Hardening
USUAL = Thresholds()
NOON = 30_000_000 * MINUTE  # the beginning of a minute
PRESENT = NOON // MINUTE


def steady(a_minute: float, minutes: int = HOUR) -> Record:
    """As many challenges in each of so many minutes, which are over since a minute."""
    record: Record | None = None
    for minute in range(PRESENT - 1 - minutes, PRESENT - 1):
        record = merged(record, {minute: Counts(a_minute)}, minute * MINUTE, USUAL)
    return (record or Record(PRESENT - 1)).settle(PRESENT, USUAL)


def history(earlier: float, last: Counts, *, known: int = HOUR) -> Record:
    """That, and then these events."""
    return steady(earlier, known).plus({PRESENT: last}, PRESENT)


def at_a_pace(
    record: Record | None, a_minute: float, minutes: float, start: float = NOON
) -> Iterator[tuple[float, Record]]:
    """The minutes that have passed and the record, every ten seconds."""
    for step in range(int(minutes * 6)):
        now = start + 10 * step + 9
        record = merged(record, {int(now // MINUTE): Counts(a_minute / 6)}, now, USUAL)
        yield (step + 1) / 6, record


def state(past: Record, now: float = NOON, thresholds: Thresholds = USUAL) -> tuple[Hardening, Signal | None]:
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
    assert state(merged(None, {PRESENT: Counts(1)}, NOON, USUAL)) == (CALM, None)


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
    past = steady(600).plus({PRESENT - 1: Counts(600), PRESENT: Counts(10 * second)}, PRESENT)
    now = NOON + second
    assert past.last_minute(now).challenges == pytest.approx(600)
    assert past.usual == pytest.approx(600)
    assert state(past, now) == (CALM, None)


def test_a_flood_is_still_seen_when_the_minute_is_over() -> None:
    past = steady(1).plus({PRESENT - 1: Counts(1000)}, PRESENT)
    assert [state(past, NOON + second)[0] for second in (-1, 0, 1, 20)] == [CRITICAL] * 4
    assert state(past, NOON + 60) == (CALM, None)


# What is usual


@pytest.mark.parametrize("minutes", [5, 7, 59, 60, 600])
def test_a_steady_rate_is_usual_however_long_it_lasts(minutes: int) -> None:
    record = steady(100, minutes)
    assert (record.known, record.usual) == (min(minutes, 60), pytest.approx(100))


def test_what_is_usual_is_a_mean_of_about_an_hour() -> None:
    record: Record | None = None
    for minute in range(PRESENT - 601, PRESENT - 1):
        record = merged(record, {minute: Counts(100 + 20 * (minute % 2))}, minute * MINUTE, USUAL)
    assert record is not None
    assert record.usual == pytest.approx(110, abs=1)
    record = record.plus({PRESENT - 1: Counts(170)}, PRESENT)
    assert record.settle(PRESENT + 1, USUAL).usual == pytest.approx(111, abs=1)  # a sixtieth of what is more


@pytest.mark.parametrize("gap", [1, 10, 59, 60, 61, 600])
@pytest.mark.parametrize("known", [0, 3, 30, 60])
def test_a_gap_is_as_many_minutes_without_any_challenge(known: int, gap: int) -> None:
    begun = by_minutes = steady(100, known)
    for present in range(PRESENT, PRESENT + gap + 1):
        by_minutes = by_minutes.settle(present, USUAL)
    assert begun.settle(PRESENT + gap, USUAL) == by_minutes
    assert by_minutes.known == min(60, known + gap)


@pytest.mark.parametrize("gap", [30, 600, 10**5, 10**9])
def test_what_is_usual_fades_in_hours_without_visitors(gap: int) -> None:
    assert steady(100).settle(PRESENT + gap, USUAL).usual == pytest.approx(100 * (59 / 60) ** gap, abs=1e-6)


def test_an_attack_that_goes_on_is_one_for_hours() -> None:
    """250 times as many as usual."""
    states = {minutes: record.standing.state for minutes, record in at_a_pace(steady(40), 10_000, 5 * 60)}
    assert {found for minutes, found in states.items() if minutes > 1} == {CRITICAL}


@pytest.mark.parametrize("usual", [0, 1, 4, 19])
def test_a_quiet_site_does_not_get_used_to_an_attack_either(usual: int) -> None:
    states = {minutes: record.standing.state for minutes, record in at_a_pace(steady(usual), 1000, 2 * 60)}
    assert {found for minutes, found in states.items() if minutes > 1} == {CRITICAL}


def test_a_site_that_grew_tenfold_for_good_is_calm_again_after_some_hours() -> None:
    states = {minutes: record.standing.state for minutes, record in at_a_pace(steady(100), 1000, 4 * 60)}
    assert {found for minutes, found in states.items() if 2 < minutes < 25} == {UNDER_ATTACK}
    assert {found for minutes, found in states.items() if 40 < minutes < 120} == {SUSPICIOUS}
    assert {found for minutes, found in states.items() if minutes > 180} == {CALM}


@pytest.mark.parametrize("a_minute", [1, 20, 30])
def test_a_quiet_site_may_grow_as_it_likes_as_long_as_nobody_would_notice(a_minute: int) -> None:
    *_, (_, record) = at_a_pace(steady(0), a_minute, 5 * 60)
    assert record.usual == pytest.approx(a_minute, rel=0.02)


def test_a_site_that_starts_busy_is_not_held_to_its_first_minute() -> None:
    states = {record.standing.state for minutes, record in at_a_pace(None, 5000, 60) if minutes > 11}
    assert states == {CALM}


def test_after_an_attack_of_an_hour_the_next_one_is_seen() -> None:
    *_, (_, record) = at_a_pace(steady(40), 10_000, 60)
    *_, (_, record) = at_a_pace(record, 40, 30, NOON + 3600)
    assert record.standing.state is CALM
    *_, (_, record) = at_a_pace(record, 10_000, 1, NOON + 90 * MINUTE)
    assert record.standing.state is CRITICAL


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
    record = merged(steady(10), {PRESENT: Counts(1000)}, NOON, USUAL)
    for second, expected in ((30, CRITICAL), (9 * 60 + 59, CRITICAL), (10 * 60 + 1, CALM)):
        now = NOON + second
        assert record.standing.at(now, USUAL).state == expected
        assert merged(record, {int(now // MINUTE): Counts(1)}, now, USUAL).standing.state == expected


def test_the_windows_are_settings() -> None:
    thresholds = Thresholds(sticky=(1.0, 2.0, 3.0))
    lasting = [NORMAL.after(fresh, Signal.FAILED, NOON, thresholds).until - NOON for fresh in Hardening if fresh]
    assert lasting == [1, 2, 3]


# Clocks that were set


def test_no_state_from_the_far_future_lasts_longer_than_its_window() -> None:
    standing = Standing(CRITICAL, Signal.SPIKE, NOON + 10**9)
    assert standing.at(NOON, USUAL) == Standing(CRITICAL, Signal.SPIKE, NOON + 600)
    record = merged(replace(steady(10), standing=standing), {PRESENT: Counts(1)}, NOON, USUAL)
    assert record.standing.at(NOON + 601, USUAL) == NORMAL


@pytest.mark.parametrize("back", [1, 59, 60, 61, 600, 86_400, 10**7])
def test_what_was_just_counted_counts_when_the_clock_was_set_back(back: int) -> None:
    before = history(100, Counts(150))
    now = NOON - back
    record = merged(before, {now // MINUTE: Counts(160)}, now, USUAL)
    assert (record.standing.state, record.usual) == (SUSPICIOUS, before.usual)
    later = merged(record, {(now + 3600) // MINUTE: Counts(1)}, now + 3600, USUAL)
    assert later.standing.state == CALM


def test_another_machines_clock_may_be_ahead() -> None:
    ahead = history(100, Counts(200))
    record = merged(ahead, {PRESENT - 1: Counts(100)}, NOON - 5, USUAL)
    assert record.minutes[PRESENT] == Counts(200)
    assert record.last_minute(NOON - 5).challenges >= 300


@pytest.mark.parametrize("forward", [600, 86_400, 10**8])
def test_a_clock_that_was_set_forward_leaves_an_empty_hour(forward: int) -> None:
    now = NOON + forward
    record = merged(history(100, Counts(100)), {now // MINUTE: Counts(10)}, now, USUAL)
    assert record.standing.state == CALM
    assert len(record.minutes) == 1
    assert record.usual < 100


# Records

counts = st.builds(Counts, *[st.integers(0, 2**31 - 1)] * 6)
moments = st.integers(-(2**31), 2**31 - 1)
standings = st.builds(
    Standing, st.sampled_from(Hardening), st.sampled_from([None, *Signal]), st.floats(-1e12, 1e12, width=64)
)


@st.composite
def any_records(draw: st.DrawFn) -> Record:
    minutes = draw(st.dictionaries(moments, counts, max_size=70))
    settled = draw(st.integers(-(2**31), min(minutes, default=2**31 - 1)))
    usual = draw(st.floats(0, 1e300))
    return Record(settled, draw(st.integers(0, HOUR)), usual, minutes, draw(standings))


records = any_records()
near = st.dictionaries(st.integers(PRESENT - 3, PRESENT + 1), counts, max_size=5)


@given(records)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert parse(bytes(record)) == record


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: b"\2\0\0" + tail))
def test_any_bytes_are_a_record_or_none(value: bytes) -> None:
    record = parse(value)
    assert record is None or bytes(record) == value


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: b"",
        lambda value: value[:-1],
        lambda value: value + b"\0",
        lambda value: b"\1" + value[1:],
        lambda value: value[:1] + b"\4" + value[2:],
        lambda value: value[:2] + b"\5" + value[3:],
        lambda value: value[:3] + b"\x7f\xf8" + value[5:],  # until: not a number
        lambda value: value[:3] + b"\x7f\xf0" + bytes(6) + value[11:],  # and infinite
        lambda value: value[:15] + b"\x3d" + value[16:],  # known: 61 minutes
        lambda value: value[:16] + b"\xbf" + value[17:],  # usual: below zero
        lambda value: value[:16] + b"\x7f\xf8" + value[18:],  # and not a number
        lambda value: value[:25] + value[53:81] + value[25:53],  # minutes out of order
        lambda value: value[:25] + value[25:53] * 2,
        lambda value: value[:11] + b"\x7f" + value[12:],  # settled after them
    ],
)
def test_what_is_no_record_of_ours_is_no_record(spoil: object) -> None:
    value = bytes(steady(1).plus({PRESENT - 1: Counts(1), PRESENT: Counts(2)}, PRESENT))
    assert parse(value) is not None
    assert callable(spoil)
    assert parse(spoil(value)) is None


@given(records, near, st.integers(0, 2**31))
def test_whatever_stands_in_the_store_becomes_a_small_record(record: Record, pending: Minutes, now: int) -> None:
    after = merged(record, pending, now, USUAL)
    assert len(after.minutes) <= 3
    assert len(bytes(after)) < 128
    assert after.settled <= now // MINUTE + 1
    assert parse(bytes(after)) == after
    assert after.standing.until <= now + 600
    assert merged(after, {(now + 8000) // MINUTE: Counts(1)}, now + 8000, USUAL).standing.state == CALM


@given(st.lists(near, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_what_processes_counted_adds_up_to_the_same_in_any_order(parts: list[Minutes], random: object) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert reduce(together, parts) == reduce(together, shuffled)
