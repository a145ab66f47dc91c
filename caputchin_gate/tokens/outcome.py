"""What a search for the token is asked, and what it answers.

Here live the places a route looks in, the candidates that were seen, and the three outcomes; how each kind of body
is read lives in the neighbouring files, one a grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as attribute
from enum import StrEnum
from typing import Final, TypeAlias

from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.values import value
from caputchin_gate.verdict import Reason

MAX_TOKEN: Final = 16384  # the longest any provider uses (threats.md R9); each checks its own alphabet and length later

_TOKEN: Final = re.compile(rf"[!-~]{{1,{MAX_TOKEN}}}")
_BLANKS: Final = " \t\r\n\v\f"

# Characters that every framework reads alike in a form field, a JSON key, a cookie and a multipart part name.
_FIELD: Final = re.compile(r"[A-Za-z0-9_.:@$!*()\[\]~/-]+")
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)+")


class Source(StrEnum):
    """Where in a request a token can be (`token_from` in gate.toml)."""

    FORM = "form"
    JSON = "json"
    HEADER = "header"
    QUERY = "query"
    COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a route looks.

    fields:       names of the form field, JSON key, query parameter and cookie, one for each accepted provider
    sources:      which parts of the request are looked at
    json_pointer: RFC 6901; where given, a JSON token is looked for there only, and belongs to the first field
    """

    fields: tuple[str, ...]
    sources: frozenset[Source] = frozenset({Source.FORM, Source.JSON, Source.HEADER})
    json_pointer: str | None = None
    names: dict[bytes, str] = attribute(init=False, repr=False, compare=False)  # field by its bytes
    longest: int = attribute(init=False, repr=False, compare=False)  # the longest a name gets, every letter escaped
    steps: tuple[str, ...] = attribute(init=False, repr=False, compare=False)  # the pointer, taken apart
    # Asking `sources` takes a microsecond for each request.
    header: bool = attribute(init=False, repr=False, compare=False)
    query: bool = attribute(init=False, repr=False, compare=False)
    cookie: bool = attribute(init=False, repr=False, compare=False)
    form: bool = attribute(init=False, repr=False, compare=False)
    json: bool = attribute(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ConfigurationError(problems)
        steps = (self.json_pointer or "").split("/")[1:]
        set_once = object.__setattr__  # the way of a frozen dataclass
        set_once(self, "names", {name.encode("ascii"): name for name in self.fields})
        set_once(self, "longest", 3 * max(map(len, self.fields), default=0))
        set_once(self, "steps", tuple(step.replace("~1", "/").replace("~0", "~") for step in steps))
        for source in Source:
            set_once(self, source.value, source in self.sources)

    def _problems(self) -> list[Problem]:
        problems = [
            Problem(
                "token_field", f"{name!r} is read differently by different frameworks", "use letters, digits, - or _"
            )
            for name in self.fields
            if not _FIELD.fullmatch(name)
        ]
        if self.json_pointer is not None and not _POINTER.fullmatch(self.json_pointer):
            problems.append(Problem("json_pointer", "is no JSON pointer", 'write it like "/captcha/token"'))
        return problems


@value
class Candidate:
    """A token as it was found. The header names no provider, so there `field` is None."""

    field: str | None
    value: str = attribute(repr=False)
    source: Source


@value
class Found:
    """Exactly one token, well formed as far as all providers agree."""

    candidate: Candidate


@value
class Missing:
    """No token in any of the places."""


@value
class Refused:
    """The request can't be judged by any token. `why` is a constant phrase for the log and never request data."""

    reason: Reason
    why: str
    status: int | None = None  # where it isn't the reason's own


Outcome: TypeAlias = Found | Missing | Refused

MISSING: Final = Missing()
AMBIGUOUS: Final = Refused(Reason.TOKEN_AMBIGUOUS, "more than one token")
MALFORMED: Final = Refused(Reason.TOKEN_MALFORMED, "the token has characters or a length that no token has")


def unreadable(why: str, status: int | None = None) -> Refused:
    return Refused(Reason.BODY_UNREADABLE, why, status)


class Candidates:
    """Every token seen so far. Equal values in one field count once, empty ones not at all (threats.md R20)."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[tuple[str | None, str | None], Source] = {}

    def __bool__(self) -> bool:
        return bool(self._seen)

    def add(self, field: str | None, value: str, source: Source) -> None:
        value = value.strip(_BLANKS)
        if not value or self.ambiguous or (None, value) in self._seen:  # the header names no field: equal is the same
            return
        self._seen.setdefault((field, value), source)

    def add_malformed(self, field: str | None, source: Source) -> None:
        """Something stands where the token belongs, and it can't be one."""
        self._seen.setdefault((field, None), source)

    @property
    def ambiguous(self) -> bool:
        return len(self._seen) > 1

    def outcome(self) -> Outcome:
        if not self._seen:
            return MISSING
        if self.ambiguous:
            return AMBIGUOUS
        (((field, value), source),) = self._seen.items()
        if value is None or not _TOKEN.fullmatch(value):
            return MALFORMED
        return Found(Candidate(field, value, source))
