"""Reads values that mean nothing yet: truth values, texts, numbers, durations, sizes, one of several words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from caputchin_gate import durations
from caputchin_gate.config.settings.reading import ANYTHING, Reader, Schema, Wrong, reads
from caputchin_gate.errors import closest

TEXT: Final[Schema] = {"type": "string", "minLength": 1}


def one_or_more(one: Schema, least: int = 0) -> Schema:
    """A list, or one alone without brackets. An empty list is one too, where `least` is 0."""
    return {"anyOf": [one, {"type": "array", "items": one} | ({"minItems": least} if least else {})]}


def three(one: Schema) -> Schema:
    return {"type": "array", "items": one, "minItems": 3, "maxItems": 3}


def _text_or_number(pattern: str, low: float, high: float | None) -> Schema:
    """A quantity with its unit, or a plain number of the base unit."""
    number = {"type": "number", "minimum": low} | ({} if high is None else {"maximum": high})
    return {"anyOf": [{"type": "string", "pattern": pattern}, number]}


@reads({"type": "boolean"})
def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong("is neither true nor false")
    return value


@reads(TEXT)
def text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Wrong("is not a text")
    return value


@reads(one_or_more(TEXT))
def texts(value: object) -> tuple[str, ...]:
    """A list of texts; one alone need not be in brackets."""
    if isinstance(value, str):
        return (text(value),)
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise Wrong("is not a list of texts")
    return tuple(text(item) for item in value)


def number(low: float, high: float) -> Reader[float]:
    @reads({"type": "number", "minimum": low, "maximum": high})
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Wrong(f"is not a number from {low:g} to {high:g}")
        return float(value)

    return read


def whole(low: int, high: int) -> Reader[int]:
    @reads({"type": "integer", "minimum": low, "maximum": high})
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Wrong(f"is not a whole number from {low} to {high}")
        return value

    return read


def duration(low: float, high: float) -> Reader[float]:
    @reads(_text_or_number(durations.DURATION, low, high))
    def read(value: object) -> float:
        if isinstance(value, int | float) and value < 0:
            raise Wrong("is negative")
        try:
            seconds = durations.seconds(value)
        except ValueError:
            raise Wrong("is not a duration", 'write it like "5s", "250ms" or "2m"') from None
        if not low <= seconds <= high:
            raise Wrong(f"is not a duration from {low:g} to {high:g} seconds")
        return seconds

    return read


def size(low: int = 1, high: int | None = None) -> Reader[int]:
    @reads(_text_or_number(durations.SIZE, low, high))
    def read(value: object) -> int:
        try:
            octets = durations.size(value)
        except ValueError:
            raise Wrong("is not a size", 'write it like "64KiB" or "16MiB"') from None
        if octets < low:
            raise Wrong(f"is smaller than {low} bytes")
        if high is not None and octets > high:
            raise Wrong(f"is larger than {high} bytes")
        return octets

    return read


def choice(*options: str) -> Reader[str]:
    @reads({"enum": list(options)})
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in options:
            meant = closest(value, options) if isinstance(value, str) else None
            raise Wrong(f"is not one of {', '.join(options)}", f"did you mean {meant!r}?" if meant else "")
        return value

    return read


def list_of_three(value: object) -> list[object]:
    """One value for each state of a site that is attacked."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise Wrong("is not a list of three", "write one for suspicious, one for under attack, one for critical")
    return list(value)


@reads(ANYTHING, shown=False)
def anything(value: object) -> Any:
    """Left to whoever knows more about it."""
    return value
