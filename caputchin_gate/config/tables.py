"""Reads a table of settings by its description, and notes every problem on the way.

What the keys mean stands in `settings/`; whether the table came from a file, a dict or keyword arguments is not known
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from caputchin_gate.config.settings import Reader, Setting, TableOf, TablesOf, Wrong
from caputchin_gate.errors import UNKNOWN_KEY, Problem, nearest

T = TypeVar("T")
D = TypeVar("D")

Table: TypeAlias = Mapping[str, Any]

LONGEST_SHOWN: Final = 60  # characters of a value in a message
_GREATEST_SHOWN: Final = 2**63  # a whole number of thousands of digits can't even be written


def read_table(typed: Table, known: Mapping[str, Setting], path: str, problems: list[Problem]) -> dict[str, Any]:
    """All settings of a table, and of the tables in it. `path` is its own, empty for the whole."""
    for key in typed:
        if key not in known:
            problems.append(Problem(below(path, key), UNKNOWN_KEY, nearest(str(key), known)))
    read = {}
    for key, setting in known.items():
        where = below(path, key)
        if setting.required and key not in typed:
            problems.append(Problem(where, "is missing", f"add {key} = {setting.example}"))
        read[key] = _read_setting(setting, typed, key, where, problems)
    return read


def _read_setting(setting: Setting, typed: Table, key: str, where: str, problems: list[Problem]) -> Any:
    match setting.read:
        case TableOf(known):
            if key not in typed and setting.default is None:
                return None
            return read_table(table_of(typed.get(key, {}), where, problems), known, where, problems)
        case TablesOf(known):
            items = enumerate(list_of(typed.get(key, ()), where, problems))
            return tuple(
                read_table(table_of(item, f"{where}[{index}]", problems), known, f"{where}[{index}]", problems)
                for index, item in items
            )
        case reader:
            return read_value(reader, typed[key], where, setting.default, problems) if key in typed else setting.default


def read_value(reader: Reader[T], value: object, where: str, default: D, problems: list[Problem]) -> T | D:
    try:
        return reader(value)
    except Wrong as wrong:
        typed = value if wrong.item is None else wrong.item
        problems.append(Problem(where, wrong.what, wrong.fix, _shown(typed) if reader.shown else ""))
        return default


def _shown(value: object) -> str:
    """The value as a message shows it, where it is short. Tables never are: there may be a secret in them."""
    match value:
        case int() | float() if abs(value) >= _GREATEST_SHOWN:
            return ""
        case str() | int() | float():
            shown = repr(value)
        case list() | tuple() if all(map(_shown, value)):
            shown = repr(value)
        case _:
            return ""
    return shown if len(shown) <= LONGEST_SHOWN else ""


def below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def table_of(value: object, where: str, problems: list[Problem]) -> Table:
    if isinstance(value, Mapping):
        return value
    problems.append(Problem(where, "is not a table"))
    return {}


def list_of(value: object, where: str, problems: list[Problem]) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        return value
    problems.append(Problem(where, "is not a list"))
    return ()
