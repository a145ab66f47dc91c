"""What one worker counts: plain numbers while requests pass, taken now and then by whoever adds them up.

Taking leaves nothing behind, so what was taken from all workers that ever lived is the whole: no number goes back when
one of them ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from caputchin_gate.verdict import Decision, Reason

Key: TypeAlias = tuple[str, ...]  # what was counted, then the values of its labels
Counts: TypeAlias = dict[Key, float]

# Upper bounds in seconds: what is checked in process takes less than a millisecond, a provider some tenths of a second.
BOUNDS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_PLAIN: Final = ("connections", "turned_away", "requests", "unguarded")


class Latencies:
    """How long something took, by `BOUNDS`; the last bucket is for what took longer."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Counters:
    """Since they were taken last, but for `in_flight` and `tunnels`, which are what there is now.

    unguarded:    requests that no rule guards, or an exemption takes out
    decisions:    the others, by route, provider and reason
    would_refuse: what `mode = "report"` let pass, by route and reason
    verified:     how long verifications took, by provider and kind of verdict
    own:          requests to the gate's own paths, by the status of the answer
    unreadable:   what was no request, by the status of its answer
    failures:     requests that the application did not answer well, by the status of their answer
    turned_away:  connections over a limit
    """

    connections: int = 0
    turned_away: int = 0
    requests: int = 0
    in_flight: int = 0
    unguarded: int = 0
    tunnels: int = 0
    decisions: Counter[tuple[str | None, str | None, Reason]] = field(default_factory=Counter)
    would_refuse: Counter[tuple[str | None, Reason]] = field(default_factory=Counter)
    verified: dict[tuple[str, str], Latencies] = field(default_factory=dict)
    own: Counter[int] = field(default_factory=Counter)
    unreadable: Counter[int] = field(default_factory=Counter)
    failures: Counter[int] = field(default_factory=Counter)

    def decided(self, decision: Decision) -> None:
        self.decisions[decision.route, decision.provider, decision.reason] += 1
        if decision.would_refuse is not None:
            self.would_refuse[decision.route, decision.would_refuse] += 1
        if decision.verified_in is not None:
            by = decision.provider or "", type(decision.verdict).__name__.lower()
            latencies = self.verified.get(by)
            if latencies is None:
                latencies = self.verified[by] = Latencies()
            latencies.observe(decision.verified_in)

    def take(self) -> Counts:
        taken: Counts = {(name,): getattr(self, name) for name in _PLAIN}
        for (route, provider, reason), times in self.decisions.items():
            admitted = str(Decision(reason).admitted).lower()
            taken["decisions", route or "", provider or "", str(reason), admitted] = times
        for (route, reason), times in self.would_refuse.items():
            taken["would_refuse", route or "", str(reason)] = times
        for name in ("own", "unreadable", "failures"):
            for status, times in getattr(self, name).items():
                taken[name, str(status)] = times
        for by, latencies in self.verified.items():
            taken["verified_seconds", *by] = latencies.seconds
            for bound, times in zip((*map(str, BOUNDS), "+Inf"), latencies.buckets, strict=True):
                taken["verified", *by, bound] = times
        for name in _PLAIN:
            setattr(self, name, 0)
        for counted in (self.decisions, self.would_refuse, self.verified, self.own, self.unreadable, self.failures):
            counted.clear()
        return {key: times for key, times in taken.items() if times}
