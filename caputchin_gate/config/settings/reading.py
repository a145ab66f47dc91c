"""What a setting is, and what reads one: turns what was typed into what is used, and says what can be typed.

A reader raises `Wrong` for a value it can't use; the value itself never appears there, it might be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeAlias, TypeVar

from caputchin_gate.errors import ConfigurationError

T = TypeVar("T")

Schema: TypeAlias = Mapping[str, Any]
"""What can be typed, as JSON Schema (draft 2020-12): for editors, and for values that come as plain text."""

ANYTHING: Final[Schema] = {}


class Wrong(Exception):
    """A value that can't be used: what is wrong with it, and the fix.

    item: the one of a list that is wrong, where that is known
    """

    def __init__(self, what: str, fix: str = "", item: object = None) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.item = item

    @classmethod
    def like(cls, failure: ConfigurationError) -> Wrong:
        """The same as the first problem of another part, which checks such values too."""
        first = failure.problems[0]
        return cls(first.what, first.fix)


@dataclass(frozen=True, slots=True)
class Reader(Generic[T]):
    """Reads one kind of value.

    schema: what it takes, as far as that can be said of the value alone
    shown:  whether a message may repeat the value; never where it is, or may hold, a secret (threats.md R35)
    """

    function: Callable[[object], T]
    schema: Schema
    shown: bool = True

    def __call__(self, value: object) -> T:
        return self.function(value)

    def hidden(self) -> Reader[T]:
        return replace(self, shown=False)


def reads(schema: Schema, *, shown: bool = True) -> Callable[[Callable[[object], T]], Reader[T]]:
    """Makes a function the reader of what the schema describes."""

    def made(function: Callable[[object], T]) -> Reader[T]:
        return Reader(function, schema, shown)

    return made


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table with settings of its own."""

    known: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class TablesOf:
    """A list of such tables."""

    known: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: `read` turns what was typed into what is used; `default` is used as it stands.

    A table that is not there is read as an empty one, but for the default None.

    required: whether its table is wrong without it
    """

    read: Reader[Any] | TableOf | TablesOf
    default: Any
    purpose: str
    example: str
    required: bool = False
