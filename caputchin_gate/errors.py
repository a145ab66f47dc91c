"""Whose fault is it? Mistakes of the person who configures the gate are exceptions of this file.

    GateError
    └── ConfigurationError      one or more settings are wrong; `problems` lists all of them at once

Failures of the world (a provider that is down, a body that breaks off) are never exceptions: they are values,
see `effects.py` and `verdict.py`. Tokens and secrets never appear in a message of this file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting: where it stands, what is wrong, and how to fix it."""

    setting: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        sentence = f"{self.setting}: {self.what}"
        return f"{sentence}; {self.fix}" if self.fix else sentence


class GateError(Exception):
    """Base of every exception this library raises on purpose."""


class ConfigurationError(GateError):
    """The settings can't be used. Every problem is in `problems`, and in the text, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if any is like it."""
    from difflib import get_close_matches  # only who made a mistake waits for it

    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that names what was probably meant: "did you mean 'x'?", else what is known."""
    names = sorted(known)
    meant = closest(word, names)
    return f"did you mean {meant!r}?" if meant is not None else "known: " + ", ".join(names)
