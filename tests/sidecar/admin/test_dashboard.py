"""How the dashboard makes its numbers, and how it writes them."""

from __future__ import annotations

import pytest

from caputchin_gate.sidecar.admin.dashboard import Sample, chart, number, pace, percent, quantile, reasons, routes, span
from caputchin_gate.sidecar.counters import Counters, Counts
from caputchin_gate.sidecar.ledger import Ledger, Seen, Snapshot
from caputchin_gate.sidecar.reports import Secret, State, read, written
from caputchin_gate.verdict import Decision, Passed, Reason

EVEN = [("1.0", 10), ("2.0", 20), ("+Inf", 20)]


@pytest.mark.parametrize(
    ("buckets", "share", "found"),
    [
        ([], 0.5, None),
        ([("1.0", 0), ("+Inf", 0)], 0.5, None),
        (EVEN, 0.5, 1.0),
        (EVEN, 0.25, 0.5),
        (EVEN, 0.75, 1.5),
        (EVEN, 1.0, 2.0),
        ([("1.0", 0), ("+Inf", 4)], 0.5, 1.0),
        ([("1.0", 4), ("2.0", 4), ("+Inf", 4)], 0.99, 0.99),
    ],
)
def test_a_quantile_is_even_within_its_bucket(buckets: list[tuple[str, float]], share: float, found: float) -> None:
    assert quantile(buckets, share) == (pytest.approx(found) if found is not None else None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.00034, "340 µs"),
        (0.0012, "1.2 ms"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (60, "1 min"),
        (62, "1 min"),
        (90, "1.5 min"),
        (86400 * 3, "3 d"),
        (86400 * 30, "30 d"),
    ],
)
def test_a_time_is_written_for_people(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_so_are_numbers_and_shares() -> None:
    assert [number(value) for value in (None, 0, 0.98, 7, 7.25, 1234567, 123.4)] == [
        *("-", "0", "1", "7", "7.2", "1,234,567", "123")
    ]
    assert [percent(share) for share in (None, 0, 1, 0.123)] == ["-", "0 %", "100 %", "12.3 %"]


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0, "0/s"), (1 / 61, "1/min"), (0.05, "3/min"), (0.1, "0.1/s"), (0.42, "0.4/s"), (250, "250/s")],
)
def test_what_happens_rarely_is_told_by_the_minute(per_second: float, text: str) -> None:
    assert "".join(pace(per_second)) == text


def test_the_chart_ends_now_and_its_highest_bar_fills_it() -> None:
    past = [Sample(0.0), Sample(10.0, admitted=10), Sample(20.0, admitted=10, refused=40), Sample(20.5, admitted=99)]
    bars, highest = chart(past[:3], 40.0)
    assert highest == 4.0
    assert [(bar.left, bar.admitted, bar.refused) for bar in bars] == [(50.0, 25.0, 0.0), (75.0, 0.0, 100.0)]
    assert len(chart(past, 40.0)[0]) == 2  # too short a time tells no rate
    assert chart([Sample(0.0), Sample(10.0)], 60.0) == ([], 0.0)


COUNTS: Counts = {
    ("decisions", "POST /a", "caputchin", "verified", "true"): 6,
    ("decisions", "POST /a", "", "token-missing", "false"): 2,
    ("decisions", "POST /b", "", "token-missing", "false"): 10,
    ("requests",): 99,
}


def test_the_busiest_comes_first() -> None:
    assert routes(COUNTS) == [("POST /b", 0, 10), ("POST /a", 6, 2)]
    assert reasons(COUNTS) == [("token-missing", False, 12, 1.0), ("verified", True, 6, 0.5)]


# What is told between the processes


def test_taking_leaves_nothing_behind_and_the_sums_are_whole() -> None:
    counters, ledger = Counters(in_flight=1), Ledger()
    verified = Decision(Reason.VERIFIED, "caputchin", "POST /a", Passed("caputchin"), verified_in=0.0003)
    for times in (1, 2):
        for _ in range(times):
            counters.requests += 1
            counters.decided(verified)
            counters.decided(Decision(Reason.REPORT_ONLY, route="POST /a", would_refuse=Reason.TOKEN_USED))
            counters.unreadable[400] += 1
        ledger.add(counters.take())
    assert counters.take() == {}
    assert counters.in_flight == 1
    assert ledger.counts == {
        ("requests",): 3,
        ("decisions", "POST /a", "caputchin", "verified", "true"): 3,
        ("decisions", "POST /a", "", "report-only", "true"): 3,
        ("would_refuse", "POST /a", "token-used"): 3,
        ("unreadable", "400"): 3,
        ("verified_seconds", "caputchin", "passed"): pytest.approx(0.0009),
        ("verified", "caputchin", "passed", "0.0005"): 3,
    }


def test_what_is_told_arrives_as_it_was() -> None:
    state = State(connections=3, secrets={"a": Secret(1.5, 0.0)}, hardening={"site\n": "normal"})
    line = written(COUNTS, state)
    assert line.count(b"\n") == 1
    assert read(line) == (COUNTS, state)
    ledger = Ledger(counts=dict(COUNTS), started=5.0, reloaded=None)
    snapshot = ledger.snapshot([Seen(7, ready=True, retired=False, state=state)], ending=True)
    told = Snapshot.read(snapshot.written())
    assert (told.counts, list(told.workers)) == (COUNTS, list(snapshot.workers))
    assert (told.started, told.reloaded, told.ending) == (5.0, None, True)
