"""What every benchmark shares: rows, budgets, and timing by turns.

Machines are noisy, so nothing is measured alone: the variants of a comparison take turns, A B A B, and the median
of the rounds counts. Work that waits for nothing is measured in CPU time.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

MICRO = 1e6
NANO = 1e9


@dataclass(frozen=True, slots=True)
class Budget:
    """What must be reached: of our figure itself, or of its ratio to the first peer."""

    bound: Literal["at most", "at least"]
    limit: float
    of: Literal["ours", "ratio"]


def at_most(limit: float) -> Budget:
    return Budget("at most", limit, "ours")


def at_least(limit: float) -> Budget:
    return Budget("at least", limit, "ours")


def at_most_times(limit: float) -> Budget:
    return Budget("at most", limit, "ratio")


def at_least_times(limit: float) -> Budget:
    return Budget("at least", limit, "ratio")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    what:   what was measured
    ours:   our figure, in `unit`
    peers:  names and figures of peers and limits in the same unit; the first one makes the ratio
    budget: None where the figure is only the scale
    note:   what a reader has to know to judge the figure
    """

    what: str
    ours: float
    unit: str
    peers: tuple[tuple[str, float], ...] = ()
    budget: Budget | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if not self.peers or not self.peers[0][1]:
            return None
        return self.ours / self.peers[0][1]

    @property
    def spent(self) -> float | None:
        """How much of the budget is used: 1.0 is all of it, more is too much."""
        if self.budget is None:
            return None
        value = self.ours if self.budget.of == "ours" else self.ratio
        if value is None:
            raise ValueError(f"{self.what}: a budget of a ratio needs a peer")
        more, less = (value, self.budget.limit) if self.budget.bound == "at most" else (self.budget.limit, value)
        if less:
            return more / less
        return 0.0 if not more else float("inf")

    @property
    def ok(self) -> bool | None:
        return None if self.spent is None else self.spent <= 1.0


class Samples:
    """What the variants of one comparison took in each round, in seconds for each operation."""

    def __init__(self, rounds: Mapping[str, list[float]]) -> None:
        self._rounds = rounds

    def of(self, name: str) -> float:
        return statistics.median(self._rounds[name])

    def added(self, name: str, base: str) -> float:
        """What `name` takes more than `base`: the median of the rounds' differences, so that drift cancels."""
        pairs = zip(self._rounds[name], self._rounds[base], strict=True)
        return statistics.median(more - less for more, less in pairs)


def by_turns(variants: Mapping[str, Callable[[], float]], rounds: int = 7) -> Samples:
    """Run the variants by turns; each returns the seconds of one operation. A first round warms up and is dropped."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, measure in variants.items():
            gc.collect()
            seconds = measure()
            if number:
                taken[name].append(seconds)
    return Samples(taken)


def cpu_seconds(work: Callable[[], object], operations: int = 1) -> float:
    """CPU time of this process for each operation: other threads of ours count, other processes don't."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / operations
