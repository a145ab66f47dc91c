"""The numbers as people read them: one page, made anew each time it is asked for; a script puts the new in the old's
place. Everything that is written into the page is escaped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from caputchin_gate import __version__
from caputchin_gate.sidecar.admin.health import Check
from caputchin_gate.sidecar.admin.metrics import latencies
from caputchin_gate.sidecar.admin.sources import World
from caputchin_gate.sidecar.counters import Counts
from caputchin_gate.sidecar.ledger import Snapshot
from caputchin_gate.sidecar.settings import RelaySettings

SAMPLE_SECONDS: Final = 2.5
SAMPLES: Final = 241  # of ten minutes
SHORTEST_CHART: Final = 60.0
LAST_MINUTE: Final = 60.0
MOST_ROWS: Final = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted up to a moment (monotonic seconds)."""

    at: float
    admitted: float = 0
    refused: float = 0
    verified: Counts = field(default_factory=dict)

    @property
    def decisions(self) -> float:
        return self.admitted + self.refused

    @classmethod
    def of(cls, snapshot: Snapshot, at: float) -> Sample:
        decided = Counter[str]()
        for key, times in snapshot.counts.items():
            if key[0] == "decisions":
                decided[key[4]] += int(times)
        verified = {key: times for key, times in snapshot.counts.items() if key[0].startswith("verified")}
        return cls(at, decided["true"], decided["false"], verified)


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of the chart; places and heights in percent."""

    left: float
    width: float
    admitted: float
    refused: float


class Dashboard:
    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._past: deque[Sample] = deque(maxlen=SAMPLES)
        pages = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        pages.filters |= {"number": number, "pace": pace, "span": span, "percent": percent}
        self._template = pages.get_template("dashboard.html")

    async def remember(self, snapshot: Callable[[], Awaitable[Snapshot | None]]) -> None:
        while True:
            found = await snapshot()
            if found is not None:
                self._past.append(Sample.of(found, time.monotonic()))
            await asyncio.sleep(SAMPLE_SECONDS)

    def page(self, snapshot: Snapshot, world: World, checks: Sequence[Check]) -> str:
        now = Sample.of(snapshot, time.monotonic())
        past = [*self._past, now]
        before = next((sample for sample in past if now.at - sample.at <= LAST_MINUTE), now)
        seconds, decisions = max(now.at - before.at, 1.0), now.decisions - before.decisions
        recent = {key: times - past[0].verified.get(key, 0) for key, times in now.verified.items()}
        charted = max(now.at - past[0].at, SHORTEST_CHART)
        bars, highest = chart(past, charted)
        states = [seen.state for seen in snapshot.workers]
        counts = snapshot.counts
        rules = routes(counts)
        return self._template.render(
            version=__version__,
            time=datetime.now(UTC).strftime("%H:%M:%S"),
            uptime=time.time() - snapshot.started,
            reloaded=time.time() - snapshot.reloaded if snapshot.reloaded is not None else None,
            troubles=[check for check in checks if not check.passed],
            rate=decisions / seconds,
            refused_share=(now.refused - before.refused) / decisions if decisions else None,
            quantile=quantile(_all(latencies(recent).values()), 0.95),
            in_flight=sum(state.in_flight for state in states),
            connections=sum(state.connections for state in states),
            tunnels=sum(state.tunnels for state in states),
            verifying=sum(state.verifying for state in states),
            bars=bars,
            highest=highest,
            chart_admitted=now.admitted - past[0].admitted,
            chart_refused=now.refused - past[0].refused,
            charted=charted,
            reasons=reasons(counts),
            routes=rules[:MOST_ROWS],
            more_routes=max(0, len(rules) - MOST_ROWS),
            providers=[(by, _quantiles(buckets)) for by, buckets in latencies(counts).items()],
            upstreams=[
                (str(it), up, counts.get(("upstream_failures", str(it)), 0)) for it, up in world.upstreams.items()
            ],
            store=world.store,
            store_operations=counts.get(("store_operations",), 0),
            store_failures=counts.get(("store_failures",), 0),
            hardening=sorted({pair for seen in snapshot.serving for pair in seen.state.hardening.items()}),
            workers=snapshot.workers,
            requests=counts.get(("requests",), 0),
            unguarded=counts.get(("unguarded",), 0),
            own=_sum(counts, "own"),
            unreadable=_sum(counts, "unreadable"),
            failures=_sum(counts, "failures"),
            turned_away=counts.get(("turned_away",), 0),
            deaths=counts.get(("worker_deaths",), 0),
        )


def chart(past: Sequence[Sample], seconds: float) -> tuple[list[Bar], float]:
    """Decisions a second between each two samples, the newest at the right; and the highest of them.

    seconds: how long the whole chart is
    """
    steps = [
        (now, (now.admitted - then.admitted) / lasted, (now.refused - then.refused) / lasted, lasted)
        for then, now in pairwise(past)
        if (lasted := now.at - then.at) >= 1.0
    ]
    highest = max((admitted + refused for _, admitted, refused, _ in steps), default=0.0)
    ends = past[-1].at
    bars = []
    for now, admitted, refused, lasted in steps:
        left = 100 * (1 - (ends - now.at + lasted) / seconds)
        if highest:
            bars.append(Bar(left, 90 * lasted / seconds, 100 * admitted / highest, 100 * refused / highest))
    return bars, highest


def reasons(counts: Counts) -> list[tuple[str, bool, float, float]]:
    """Each reason, whether it admits, how often, and its share of the most frequent one."""
    found = Counter[tuple[str, bool]]()
    for key, times in counts.items():
        if key[0] == "decisions":
            found[key[3], key[4] == "true"] += int(times)
    most = max(found.values(), default=1)
    return [(reason, admits, times, times / most) for (reason, admits), times in found.most_common()]


def routes(counts: Counts) -> list[tuple[str, float, float]]:
    """Each rule, how many it admitted and refused; the busiest first."""
    found: dict[str, list[float]] = {}
    for key, times in counts.items():
        if key[0] == "decisions":
            found.setdefault(key[1], [0, 0])[key[4] == "false"] += times
    rows = [(route, admitted, refused) for route, (admitted, refused) in found.items()]
    return sorted(rows, key=lambda row: -row[1] - row[2])


Buckets = Sequence[tuple[str, float]]


def quantile(buckets: Buckets, share: float) -> float | None:
    """As Prometheus estimates it: evenly within a bucket. None of nothing."""
    wanted, lower, below = share * (buckets[-1][1] if buckets else 0), 0.0, 0.0
    if not wanted:
        return None
    for bound, upto in buckets:
        upper = float(bound)
        if upto >= wanted:
            return lower if upper == float("inf") else lower + (upper - lower) * (wanted - below) / (upto - below)
        lower, below = upper, upto
    return lower


def _quantiles(buckets: Buckets) -> dict[str, Any]:
    shares = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    return {"count": buckets[-1][1], **{name: quantile(buckets, share) for name, share in shares.items()}}


def _all(several: Iterable[Buckets]) -> Buckets:
    found: dict[str, float] = {}
    for buckets in several:
        for bound, below in buckets:
            found[bound] = found.get(bound, 0) + below
    return list(found.items())


def _sum(counts: Counts, name: str) -> list[tuple[str, float]]:
    return sorted((key[1], times) for key, times in counts.items() if key[0] == name)


# How numbers are written


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}".removesuffix(".0")


def pace(per_second: float) -> tuple[str, str]:
    """How often something happens, and the unit in which that is a number to read."""
    return (number(per_second), "/s") if per_second == 0 or per_second >= 0.1 else (number(60 * per_second), "/min")


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def span(seconds: float | None) -> str:
    """A length of time for a person: 340 µs, 1.2 ms, 4 min."""
    if seconds is None:
        return "-"
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if seconds >= unit:
            value = seconds / unit
            return f"{value:.0f} {name}" if value >= 10 else f"{value:.1f} {name}".replace(".0 ", " ")
    return f"{seconds * 1e6:.0f} µs"
