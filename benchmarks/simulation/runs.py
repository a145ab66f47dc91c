"""The runs: a site with ordinary visitors, an hour for the gate to learn what is usual, an event, and what follows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, Literal

from benchmarks.simulation import clients
from benchmarks.simulation.assumptions import rhythm
from benchmarks.simulation.world import Asked, World
from caputchin_gate.difficulty import Hardening

MINUTE = 60.0
HOUR = 3600.0
SEED = 2026
PEAK = 4.0  # visitors a minute of an ordinary site when it is busiest

Phase = Literal["before", "during", "after"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times in seconds.

    begins:   the event, since midnight
    lasts:    how long it lasts
    after:    how long the site is watched then
    peak:     visitors a minute when the site is busiest
    rush:     so many times as many visitors come at the beginning of the event; they get fewer until it ends
    attacker: what else comes
    counts:   whether a million submissions of the attacker can be reckoned from it
    """

    name: str
    begins: float = 14 * HOUR
    before: float = 90 * MINUTE
    lasts: float = 40 * MINUTE
    after: float = 35 * MINUTE
    peak: float = PEAK
    rush: float = 1.0
    attacker: Callable[[World, float], Iterator[float]] | None = None
    counts: bool = False
    in_process: Mapping[str, Any] = field(default_factory=dict)

    def result(self, seed: int = SEED) -> Result:
        world = World(seed, now=self.begins - self.before, in_process=self.in_process)
        end = self.begins + self.lasts + self.after
        world.start(clients.visitors(world, self._visitors, end, self.peak * max(1.0, self.rush)))
        if self.attacker is not None:
            world.start(self.attacker(world, self.begins + self.lasts), self.begins)
        world.run(end)
        return Result(self, world)

    def _visitors(self, now: float) -> float:
        usual = self.peak * rhythm(now)
        passed = (now - self.begins) / self.lasts
        return usual * (1 + (self.rush - 1) * (1 - passed)) if 0 <= passed < 1 else usual


class Result:
    """What a run came to."""

    def __init__(self, run: Run, world: World) -> None:
        self.run = run
        self.asked: Sequence[Asked] = world.asked
        self.sent = world.sent
        self.waited = world.waited

    def phase(self, at: float) -> Phase:
        if at < self.run.begins:
            return "before"
        return "during" if at < self.run.begins + self.run.lasts else "after"

    def of(self, who: str, phase: Phase) -> list[Asked]:
        return [asked for asked in self.asked if asked.who == who and self.phase(asked.at) == phase]

    def hashes(self, who: str, phase: Phase) -> list[float]:
        """What each challenge that was issued takes, on average."""
        return [asked.hashes for asked in self.of(who, phase) if asked.token]

    def median(self, who: str, phase: Phase) -> float:
        return statistics.median(self.hashes(who, phase) or [0.0])

    def most(self, who: str, phase: Phase) -> float:
        return max(self.hashes(who, phase), default=0.0)

    def refused(self, who: str) -> float:
        """The share of the requests for a challenge that were refused, while it lasted."""
        asked = self.of(who, "during")
        return sum(not one.token for one in asked) / len(asked) if asked else 0.0

    def sent_away(self, who: str) -> float:
        """How many refusals there were for each challenge that was issued, while it lasted."""
        asked = self.of(who, "during")
        issued = sum(bool(one.token) for one in asked)
        return (len(asked) - issued) / issued if issued else 0.0

    @cached_property
    def states(self) -> Sequence[tuple[float, Hardening]]:
        """When the state changed, as the challenges tell: seconds since the event began."""
        changes: list[tuple[float, Hardening]] = []
        for asked in self.asked:
            if asked.token and (not changes or changes[-1][1] != asked.state):
                changes.append((asked.at - self.run.begins, asked.state))
        return changes

    def reached(self, state: Hardening) -> float | None:
        """Seconds from the beginning of the event until the site was in this state or above, None for never."""
        return next((at for at, now in self.states if at >= 0 and now >= state), None)

    def fell_to(self, state: Hardening) -> float | None:
        """Seconds from the beginning of the event until the site was in this state or below, and for a minute at least.

        None if it never was above, or never came back.
        """
        changes = [*self.states, (self.run.lasts + self.run.after, None)]
        was_above = False
        for (at, now), (until, _) in pairwise(changes):
            was_above |= at >= 0 and now is not None and now > state
            if was_above and now is not None and now <= state and until - at >= MINUTE:
                return at
        return None

    def share_of(self, state: Hardening) -> float:
        """The share of the event in which the site was in this state."""
        edges = [*self.states, (self.run.lasts, None)]
        held = 0.0
        for (at, now), (until, _) in pairwise(edges):
            if now is state:
                held += max(0.0, min(until, self.run.lasts) - max(at, 0.0))
        return held / self.run.lasts


RUSH = Run("a newsletter", rush=20.0)
FORGER = Run("wrong tokens from one client", attacker=clients.forger)
LOUD = Run("one loud client", attacker=clients.loud, counts=True)
BOTNET = Run("a botnet of 10,000 clients", attacker=partial(clients.botnet, size=10_000, every=600.0), counts=True)
SOLVER = Run("a GPU behind 16 addresses", attacker=partial(clients.fast_solver, addresses=16), counts=True)
RUNS = (RUSH, FORGER, LOUD, BOTNET, SOLVER)

# A hundredth of a botnet that asks for 100,000 challenges a minute, and of the cap in all: what is refused is the same.
LOCKOUT = Run(
    "100,000 challenges a minute are asked for",
    attacker=partial(clients.botnet, size=100, every=6.0),
    lasts=10 * MINUTE,
    peak=20.0,
    in_process={"challenges_per_minute_in_all": 600},
)
