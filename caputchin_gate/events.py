"""What the gate tells while it runs: events, each with a name, a sentence for people and fields for programs.

In an application they are records of the logger `caputchin_gate`, and the fields are attributes of the record. A
command owns its process and takes them at once, because a record costs more than the decision that it tells of.

No token, secret, query, body or header is part of an event (threats.md R35). `docs/logging.md` lists them all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

logger: Final = logging.getLogger("caputchin_gate")

Take: TypeAlias = Callable[[int, str, object, Mapping[str, Any]], None]


class _Taker:
    """Who takes events before they become records, if anybody does."""

    take: Take | None = None


def hand_to(take: Take | None) -> None:
    """From now on `take(level, event, message, fields)` gets the events of this process, from `logging.INFO` up."""
    _Taker.take = take


def tell(level: int, event: str, message: object, **fields: Any) -> None:
    """Tell of an event. `level` is one of `logging`; `message` is turned into a text where one is needed."""
    _tell(level, event, message, fields)


def tell_line(level: int, event: str, line: Line) -> None:
    """Tell of an event whose message lists its fields."""
    _tell(level, event, line, line.fields)


def _tell(level: int, event: str, message: object, fields: Mapping[str, Any]) -> None:
    if _Taker.take is not None:
        _Taker.take(level, event, message, fields)
    elif logger.isEnabledFor(level):
        logger.log(level, message, extra={"event": event, **fields})


class Line:
    """A message that lists the fields of its event: `words` alone where the fields stand beside it.

    within: the fields that the words tell already
    """

    __slots__ = ("_within", "fields", "words")

    def __init__(self, words: str, fields: Mapping[str, Any], within: frozenset[str] = frozenset()) -> None:
        self.words = words
        self.fields = fields
        self._within = within

    def __str__(self) -> str:
        listed = ((name, value) for name, value in self.fields.items() if name not in self._within)
        shown = (f"{name}={_shown(value)}" for name, value in listed if value is not None and value != ())
        return " ".join([self.words, *shown])


def _shown(value: Any) -> str:
    match value:
        case str() if value.isascii() and not set(value) & _QUOTED:
            return value
        case tuple():
            return ",".join(map(_shown, value))
        case _:
            return repr(value)


_QUOTED: Final = {*map(chr, range(33)), "\x7f", "'", '"', "=", ","}


def place_of(failure: BaseException) -> str:
    """The class of an exception and the line it came from, never its text: that may hold a token."""
    trace = failure.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return type(failure).__name__ + place


def tell_broken(failure: BaseException, what: str = "internal error") -> None:
    """Tell of an exception that nobody expected."""
    place = place_of(failure)
    tell(logging.ERROR, "internal-error", f"{what}: {place}", exception=place)
