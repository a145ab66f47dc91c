"""Paths as an application's router has them, whatever its language: literal text, and variables with a regex each.

Nothing here compares patterns. A path is turned into targets that a client could send for it, and those are asked of
the gate's own table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain, islice, product
from typing import Any, Final, TypeAlias

MOST_TARGETS: Final = 48  # of one path; more differ in what no rule looks at
# Two words, so that a rule for one of them does not pass for a rule for all; several segments or none, where they fit.
_WORDS: Final = ("x", "qz", "7", "4093")
_SEGMENTS: Final = ("x/qz", "x/qz/7/4093")
_NUMBERS: Final = ("1", *("7" * digits for digits in range(2, 13)))  # where a number has bounds, or so many digits
_LIKELY: Final = "x7Xa0A-_./ " + "".join(map(chr, range(0x21, 0x7F)))
_NAMED_GROUP: Final = re.compile(r"\(\?P<\w+>")

_parser: Final[Any] = import_module("re._parser")  # no public module takes a regex apart


@dataclass(frozen=True, slots=True)
class Variable:
    """A part of a path that a client fills in: what the router calls it, the regex it has to match, and what reads it,
    which may raise ValueError for what the regex lets through.
    """

    name: str
    regex: str
    read: Callable[[str], object] = field(default=str, compare=False)

    def __str__(self) -> str:
        return f"{{{self.name}}}"


Piece: TypeAlias = str | Variable


@dataclass(frozen=True, slots=True)
class AppPath:
    """A path of an application, from its root."""

    pieces: tuple[Piece, ...] = ()

    def __str__(self) -> str:
        return "".join(map(str, self.pieces)) or "/"

    def then(self, *pieces: Piece) -> AppPath:
        return AppPath((*self.pieces, *pieces))

    @property
    def ends_with_slash(self) -> bool:
        return str(self).endswith("/")

    def targets(self) -> tuple[str, ...]:
        """Paths, decoded, that its router finds it by; empty where none could be made up."""
        choices = [(piece,) if isinstance(piece, str) else examples(piece) for piece in self.pieces]
        if not all(choices):
            return ()
        each_once = (
            tuple(choice[number % len(choice)] for choice in choices)
            for number in range(max(map(len, choices), default=1))
        )
        paths = ("".join(parts) or "/" for parts in chain(each_once, product(*choices)))
        return tuple(dict.fromkeys(islice(paths, MOST_TARGETS)))

    def finds(self, path: str) -> bool:
        """Whether its router finds it by this path."""
        parts = (re.escape(piece) if isinstance(piece, str) else f"(?:{piece.regex})" for piece in self.pieces)
        try:
            return re.fullmatch(_NAMED_GROUP.sub("(?:", "".join(parts)) or "/", path) is not None
        except re.error:  # a regex that refers to its own groups
            return False


def examples(variable: Variable) -> tuple[str, ...]:
    """Texts that a client may fill in: usual ones, else some that are made for the regex."""
    compiled = re.compile(variable.regex)

    def fitting(texts: Iterable[str], most: int) -> tuple[str, ...]:
        found = (text for text in texts if compiled.fullmatch(text) and _reads(variable, text))
        return tuple(islice(dict.fromkeys(found), most))

    if words := fitting(_WORDS, 2):
        return words + fitting((*_SEGMENTS, ""), 3)
    made = islice(_texts(_parser.parse(variable.regex)), MOST_TARGETS)
    return fitting(_NUMBERS, 2) or fitting(made, MOST_TARGETS)


def _reads(variable: Variable, text: str) -> bool:
    try:
        variable.read(text)
    except ValueError:
        return False
    return True


def _texts(parsed: Any) -> Iterator[str]:
    """What a parsed regex may match: every branch, optional parts with and without."""
    choices = [list(islice(_choices(str(operation), argument), MOST_TARGETS)) for operation, argument in parsed]
    return ("".join(parts) for parts in product(*choices))


def _choices(operation: str, argument: Any) -> Iterator[str]:
    match operation:
        case "LITERAL":
            yield chr(argument)
        case "NOT_LITERAL":
            yield "x" if argument != ord("x") else "y"
        case "ANY":
            yield "x"
        case "IN":
            yield from islice((character for character in _LIKELY if _is_in(argument, character)), 1)
        case "BRANCH":
            for branch in argument[1]:
                yield from _texts(branch)
        case "SUBPATTERN" | "ATOMIC_GROUP":
            yield from _texts(argument[-1] if operation == "SUBPATTERN" else argument)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, repeated = argument
            if least == 0:
                yield ""
            if int(most) > 0:
                yield from (text * max(least, 1) for text in _texts(repeated))
            if int(most) >= len(_SEGMENTS[-1]):  # those that don't fit are found out
                yield from _SEGMENTS
        case _:  # anchors and assertions take no characters; a reference shows when its text does not match
            yield ""


def _is_in(members: Any, character: str) -> bool:
    """Whether a character is in a set, as a parsed regex has it."""
    code, negated, found = ord(character), False, False
    for operation, argument in members:
        match str(operation):
            case "NEGATE":
                negated = True
            case "LITERAL":
                found |= code == argument
            case "RANGE":
                found |= argument[0] <= code <= argument[1]
            case _:  # a category
                found |= _is_of(str(argument), character)
    return found != negated


def _is_of(category: str, character: str) -> bool:
    kinds = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}
    name = category.rpartition("_")[2]
    return (re.match(kinds[name], character) is not None) != ("_NOT_" in category)
