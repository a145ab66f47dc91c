"""How hard a challenge is: the per-client curve and the multipliers of the hardening states (captchaapi.md 7).

A target is the threshold of the native proof of work: the smaller, the harder. Which state a site is in is decided
elsewhere; here a state is a code that travels in the token, and a multiplier of the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from caputchin_gate.errors import ConfigurationError, Problem

EASIEST: Final = 0x000FFFFF  # the first challenge of a client in its window: about 4,096 hashes
HARDEST: Final = 0x0000FFFF  # the last one below the cap: about 65,536 hashes
LEAST_CAP: Final = 2
GREATEST_CAP: Final = 2**14  # a step has 14 bits in the native token (design.md 7)
LEAST_UNDER_ATTACK: Final = 1.5
GREATEST_MULTIPLIER: Final = 16.0

_SPACE: Final = 2**32
_EASIEST_WORK: Final = 4096
_HARD_TO_EASY: Final = 16


class Hardening(IntEnum):
    """How much a site is under attack. The codes travel in tokens (two bits) and never change."""

    NORMAL = 0
    SUSPICIOUS = 1
    UNDER_ATTACK = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Multipliers:
    """How many times the work of a normal challenge each state asks for (captchaapi.md 7)."""

    suspicious: float = 1.5
    under_attack: float = 4.0
    critical: float = 16.0

    def __post_init__(self) -> None:
        rise = 1 <= self.suspicious <= self.under_attack <= self.critical <= GREATEST_MULTIPLIER
        if not rise or self.under_attack < LEAST_UNDER_ATTACK:
            what = f"{self.suspicious:g}, {self.under_attack:g}, {self.critical:g} can't be used"
            fix = f"let them rise from 1 to {GREATEST_MULTIPLIER:g}, the second being at least {LEAST_UNDER_ATTACK:g}"
            raise ConfigurationError([Problem("in_process.hardening.multipliers", what, fix)])

    def of(self, state: Hardening) -> float:
        return (1.0, self.suspicious, self.under_attack, self.critical)[state]


def target_for(base: int, multiplier: float) -> int:
    """The target that takes `multiplier` times the work of `base`, never below 1."""
    return max(1, int(base // multiplier))


def base_targets(cap: int) -> tuple[int, ...]:
    """The target of each step below the cap, geometric in the expected work.

    The two ends are set, so that floating point can't shift them.
    """
    last = cap - 1
    work = (_EASIEST_WORK * _HARD_TO_EASY ** ((step - 1) / (last - 1)) for step in range(2, last))
    return (EASIEST, *(int(_SPACE / hashes) - 1 for hashes in work), HARDEST)[:last]


class Curve:
    """The targets of one gate, computed once: a row for each state, a column for each step.

    cap: at how many challenges in a minute a client is refused.
    """

    __slots__ = ("_targets", "cap")

    def __init__(self, cap: int = 100, multipliers: Multipliers | None = None) -> None:
        if not LEAST_CAP <= cap <= GREATEST_CAP:
            fix = f"a whole number from {LEAST_CAP} to {GREATEST_CAP}"
            raise ConfigurationError([Problem("in_process.challenges_per_minute", f"{cap} is out of range", fix)])
        states = multipliers or Multipliers()
        bases = base_targets(cap)
        self.cap = cap
        self._targets = tuple(tuple(target_for(base, states.of(state)) for base in bases) for state in Hardening)

    def step_of(self, count: int) -> int | None:
        """The step of a client's `count`-th challenge in its window, None when the cap refuses it."""
        return max(1, count) if count < self.cap else None

    def target(self, step: int, state: Hardening = Hardening.NORMAL) -> int | None:
        """The target of a step in a state, None for a step that this gate never issues."""
        row = self._targets[state]
        return row[step - 1] if 1 <= step <= len(row) else None
