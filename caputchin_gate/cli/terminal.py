"""What every command says in the same way: exit codes, complaints, problems of a file."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final, TextIO

from caputchin_gate.errors import ConfigurationError

DONE: Final = 0
FINDING: Final = 1  # a problem in gate.toml, a token that did not pass, a route that is open
WRONG_USE: Final = 2
INTERRUPTED: Final = 128 + 2  # by Ctrl-C, as shells tell it: nothing was found out
BROKEN_PIPE: Final = 128 + 13


class WrongUse(Exception):
    """What was typed can't be done: the text says why, and what to do."""


class Colour(Enum):
    """The colours of terminals, whatever each shows for them."""

    ERROR = 31
    GOOD = 32
    WARNING = 33


def coloured(text: str, colour: Colour, stream: TextIO) -> str:
    """The text as it is written to a stream: plain but for terminals whose user wants colours (no-color.org)."""
    is_plain = not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    return text if is_plain else f"\x1b[{colour.value}m{text}\x1b[0m"


def complain(sentence: str, colour: Colour = Colour.ERROR) -> None:
    """One line on stderr, after those that a log still keeps."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    print(coloured("caputchin-gate:", colour, sys.stderr), one_line(sentence), file=sys.stderr)


def warn(sentence: str, place: object = None) -> None:
    """The same for what is no error. place: what it is about, where that is known"""
    complain(f"{place}: warning: {sentence}" if place is not None else f"warning: {sentence}", Colour.WARNING)


def one_line(text: str) -> str:
    """What was typed may hold anything, also bytes that are no text."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


def list_problems(failure: ConfigurationError, file: str | None) -> None:
    """A line on stderr for each problem of a file."""
    for problem in failure.problems:
        complain(str(problem) if problem.place is not None or file is None else f"{file}: {problem}")


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Where the libraries of an extra are imported: says what to install if one is missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        library = (missing.name or "").partition(".")[0]
        if library not in ("shtab", "starlette", "uvicorn", "uvloop"):
            raise
        raise WrongUse(f"{what} needs {library}: pip install 'caputchin-gate[{extra}]'") from None
