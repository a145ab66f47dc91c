"""Whose fault is it? Mistakes of the person who configures the gate are exceptions of this file.

    GateError
    └── ConfigurationError      one or more settings are wrong; `problems` lists all of them at once

Failures of the world (a provider that is down, a body that breaks off) are never exceptions: they are values,
see `effects.py` and `verdict.py`. Tokens and secrets never appear in a message of this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

UNKNOWN_KEY: Final = "unknown key"

_NO_NAME: Final = re.compile(r"[^.\[\]]{33,}")  # no setting has so long a name: it may be a secret in the wrong place


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was typed: a file, or the name of an environment variable. Line and column begin with 1; both
    are 0 where nothing stands that could be pointed at.
    """

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting: which one, what is wrong with it, and how to fix it.

    setting: its path, as in `in_process.sites[1].secret`
    shown:   what was typed, where that is no secret and helps
    place:   where it was typed, for settings that were not typed in Python
    """

    setting: str
    what: str
    fix: str = ""
    shown: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        setting = _NO_NAME.sub("...", self.setting) if self.what == UNKNOWN_KEY else self.setting
        if self.place is not None and self.what == UNKNOWN_KEY:
            return f"{self.place}: {self.what} {setting!r}, {self.fix}"
        parts = (self.place and str(self.place), setting, f"{self.shown} {self.what}".lstrip())
        sentence = ": ".join(part for part in parts if part)
        return f"{sentence}; {self.fix}" if self.fix else sentence


class GateError(Exception):
    """Base of every exception this library raises on purpose."""


class ConfigurationError(GateError):
    """The settings can't be used. The text has every problem, one a line.

    problems: all of them
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if any is like it."""
    from difflib import get_close_matches  # only who made a mistake waits for it

    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that names what was probably meant: "did you mean 'x'?", else what is known."""
    names = sorted(set(known))
    meant = closest(word, names)
    return f"did you mean {meant!r}?" if meant is not None else "known: " + ", ".join(names)
