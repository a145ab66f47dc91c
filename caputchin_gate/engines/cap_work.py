"""How much work a challenge of Cap's is, and how much it can be (cap.md 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from caputchin_gate.difficulty import Multipliers
from caputchin_gate.errors import Problem

MOST_PUZZLES: Final = 1000
LEAST_SALT: Final = 8
MOST_SALT: Final = 44  # the WASM solver takes 55 bytes, and up to 11 are the nonce's (cap.md 3.4)

# Milder than elsewhere: a calm challenge is a second of a phone already, and sixteen would give up on visitors first.
MULTIPLIERS: Final = Multipliers(1, 1.5, 2)

_ONE_DIGIT: Final = 16  # so many times the work of a puzzle is one more digit of its target


@dataclass(frozen=True, slots=True)
class Work:
    """What a challenge asks for: puzzles, and in format 2 also a chain of squarings (none where it is 0)."""

    format: int = 1
    puzzles: int = 50
    salt_length: int = 32
    difficulty: int = 4
    squarings: int = 0

    def problem(self) -> Problem | None:
        """Why no browser could do it, or need not do anything, or why judging it would take too long."""
        if self.puzzles > MOST_PUZZLES:
            return Problem("puzzles", "are too many", f"use at most {MOST_PUZZLES}")
        if self.salt_length > MOST_SALT:
            return Problem("salt_length", "is more than browsers can solve", f"use at most {MOST_SALT}")
        if self.format == 1 and self.squarings:
            return Problem("squarings", "belong to format 2", "set format = 2")
        if not self.puzzles and not self.squarings:
            return Problem("puzzles", "ask for no work at all", "use at least 1")
        if self.difficulty < 1:
            return Problem("difficulty", "asks for no work at all", "use at least 1")
        if self.salt_length < LEAST_SALT:
            return Problem("salt_length", "leaves puzzles that were solved before", f"use at least {LEAST_SALT}")
        if self.format == 1 and not self.puzzles:
            return Problem("puzzles", "are all that format 1 has", "use at least 1")
        return None

    def times(self, multiplier: float) -> Work:
        """So many times the work, as far as puzzles go: squarings stay.

        Sixteen times is one more digit for each puzzle, which costs the gate nothing; anything less is more puzzles.
        """
        digits = int(multiplier // _ONE_DIGIT)
        puzzles = min(MOST_PUZZLES, math.ceil(self.puzzles * multiplier / _ONE_DIGIT**digits))
        return replace(self, puzzles=puzzles, difficulty=self.difficulty + digits)

    def covers(self, floor: Work) -> bool:
        """Whether it is the same kind of work, and in nothing less than the floor."""
        return (
            self.format == floor.format
            and self.puzzles >= floor.puzzles
            and self.salt_length >= floor.salt_length
            and self.difficulty >= floor.difficulty
            and self.squarings >= floor.squarings
        )
