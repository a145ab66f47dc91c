"""The states of a site whose traffic has changed for good: hours, in which nobody can run each request.

The rules are the gate's own (`hardening.merged`), told at the end of each half of a minute what came in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from caputchin_gate.difficulty import Hardening
from caputchin_gate.hardening import HOUR, MINUTE, Counts, Record, Thresholds, merged

STEPS = 2  # a minute


def course(usual: float, then: float, minutes: float) -> Sequence[Hardening]:
    """The state in each step, after an hour as usual. `usual` and `then`: challenges in a minute that count."""
    thresholds = Thresholds()
    record: Record | None = None
    states = []
    for step in range(int((HOUR + minutes) * STEPS)):
        happened = Counts((usual if step < HOUR * STEPS else then) / STEPS)
        now = (step + 1) * MINUTE / STEPS - 0.1
        record = merged(record, {step // STEPS: happened}, now, thresholds)
        states.append(record.standing.state)
    return states[HOUR * STEPS :]


def minutes_above(state: Hardening, states: Sequence[Hardening]) -> float:
    """Until the site is in this state or below, and stays there."""
    above = [step for step, found in enumerate(states) if found > state]
    return (above[-1] + 1) / STEPS if above else 0.0
