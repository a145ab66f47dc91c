"""What a regular expression of a URLconf can match, in pieces of a path: of `re_path` as of `path`, which makes one.

Exactly where that can be said with texts and variables, too widely where not, never too narrowly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from re import _constants as codes  # type: ignore[attr-defined]  # there is no other parser of Python's own expressions
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, TypeAlias

from caputchin_gate.marks import Variable

Pieces: TypeAlias = tuple[str | Variable, ...]

MOST_SPELLINGS: Final = 32
_SLASHES: Final = re.compile("//+")
_ANYTHING: Final[Pieces] = (Variable(crosses_slashes=True),)
_UNSAID: Final[Pieces] = (*_ANYTHING, "...")  # more follows than a rule can say
_BEGINNINGS: Final = frozenset({codes.AT_BEGINNING, codes.AT_BEGINNING_STRING})
_ENDS: Final = frozenset({codes.AT_END, codes.AT_END_STRING})
_WITHOUT_SLASH: Final = frozenset({codes.CATEGORY_DIGIT, codes.CATEGORY_WORD, codes.CATEGORY_SPACE})


def spellings(regex: str, *, whole: bool, goes_on: bool) -> tuple[Pieces, ...]:
    """All that a path can be in which a regex is found.

    whole: whether the path has to match as a whole; else the regex says itself where it begins and ends
    goes_on: whether what follows its end is matched by others
    """
    parsed = list(parser.parse(regex))
    before = () if whole or _is_at(parsed[:1], _BEGINNINGS) else _ANYTHING
    after = () if whole or goes_on or _is_at(parsed[-1:], _ENDS) else _ANYTHING
    found = tuple(dict.fromkeys(joined((*before, *pieces, *after)) for pieces in _sequence(parsed)))
    return found if len(found) <= MOST_SPELLINGS else (_UNSAID,)


def _is_at(part: Sequence[tuple[Any, Any]], places: frozenset[Any]) -> bool:
    return any(code is codes.AT and place in places for code, place in part)


def _has_slash(pieces: Pieces) -> bool:
    return any("/" in piece if isinstance(piece, str) else piece.crosses_slashes for piece in pieces)


def _sequence(parsed: Iterable[tuple[Any, Any]]) -> list[Pieces]:
    parts = [_part(code, argument) for code, argument in parsed]
    count = 1
    for part in parts:
        count *= len(part)
        if count > MOST_SPELLINGS:
            return [_UNSAID]
    return [tuple(piece for pieces in chosen for piece in pieces) for chosen in product(*parts)]


def _part(code: Any, argument: Any) -> Sequence[Pieces]:
    match code:
        case codes.LITERAL:
            return [(chr(argument),)]
        case codes.NOT_LITERAL:
            return [(Variable(argument != ord("/")),)]
        case codes.IN:
            return [(Variable(_may_be_slash(argument)),)]
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            return _repeated(*argument)
        case codes.SUBPATTERN:
            return _sequence(argument[-1])
        case codes.ATOMIC_GROUP:
            return _sequence(argument)
        case codes.BRANCH:
            return [pieces for branch in argument[1] for pieces in _sequence(branch)]
        case codes.AT | codes.ASSERT | codes.ASSERT_NOT:  # match nothing, and only forbid
            return [()]
        case codes.ANY:
            return [_ANYTHING]
        case _:
            return [_UNSAID]


def _repeated(least: int, most: int, parsed: Any) -> list[Pieces]:
    once = _sequence(parsed)
    if (least, most) == (1, 1):
        return once
    none: list[Pieces] = [()] if least == 0 or () in once else []
    if most == 1:
        return [*none, *once]
    return [*none, (Variable(any(map(_has_slash, once))),)]


def _may_be_slash(items: Sequence[tuple[Any, Any]]) -> bool:
    negated = bool(items) and items[0][0] is codes.NEGATE
    named = any(_may_contain_slash(code, argument) for code, argument in items)
    return named != negated


def _may_contain_slash(code: Any, argument: Any) -> bool:
    match code:
        case codes.LITERAL:
            return bool(argument == ord("/"))
        case codes.RANGE:
            return bool(argument[0] <= ord("/") <= argument[1])
        case codes.CATEGORY:
            return argument not in _WITHOUT_SLASH
        case _:
            return False


def joined(pieces: Iterable[str | Variable]) -> Pieces:
    """Neighbours as one. A variable is one or more characters already, and slashes one after the other count as one."""
    path: list[str | Variable] = []
    for piece in pieces:
        match path[-1] if path else None, piece:
            case str(before), str():
                path[-1] = _SLASHES.sub("/", before + piece)
            case Variable(crosses_slashes=before), Variable(crosses_slashes=after):
                path[-1] = Variable(before or after)
            case _:
                path.append(piece)
    return tuple(path)
