"""What one worker counts: plain numbers, for whoever shows them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from caputchin_gate.verdict import Decision

DecisionKey: TypeAlias = tuple[str | None, str | None, str]  # route, provider, reason


@dataclass(slots=True)
class Counters:
    """Since the worker began, but for `in_flight`.

    unguarded:   requests that no rule guards
    decisions:   the others, by route, provider and reason
    unreadable:  what was no request, by the status of its answer
    failures:    requests that the application did not answer well, by the status of their answer
    turned_away: connections over a limit
    """

    connections: int = 0
    requests: int = 0
    in_flight: int = 0
    unguarded: int = 0
    turned_away: int = 0
    tunnels: int = 0
    decisions: Counter[DecisionKey] = field(default_factory=Counter)
    unreadable: Counter[int] = field(default_factory=Counter)
    failures: Counter[int] = field(default_factory=Counter)

    def decided(self, decision: Decision) -> None:
        self.decisions[decision.route, decision.provider, str(decision.reason)] += 1
