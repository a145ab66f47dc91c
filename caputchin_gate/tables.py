"""Reads a table of settings by its description, and notes every problem on the way.

What the keys mean stands in `settings.py`; whether the table came from a file, a dict or keyword arguments is not
known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from caputchin_gate.errors import Problem, nearest
from caputchin_gate.settings import HARDENING, IN_PROCESS, LIMITS, ROUTE, SIDECAR, SIDECAR_TIMEOUTS, TOP, Setting, Wrong

Table: TypeAlias = Mapping[str, Any]

# The settings whose values may appear in a message. A store and an endpoint may hold a password, a secret is one.
_KEYS: Final = frozenset({*TOP, *ROUTE, *IN_PROCESS, *HARDENING, *LIMITS, *SIDECAR, *SIDECAR_TIMEOUTS}) | {
    *("timeout", "token_field", "kind")
}
_TABLES: Final = {"provider", "providers", "sites", "in_process", "hardening", "limits", "sidecar"}
_SHOWN: Final = _KEYS - _TABLES - {"store", "signing_key", "sign_verdicts", "upstream"}


def read_table(typed: Table, known: Mapping[str, Setting], prefix: str, problems: list[Problem]) -> dict[str, Any]:
    for key in typed:
        if key not in known:
            problems.append(Problem(f"{prefix}{key}", "unknown key", nearest(str(key), known)))
    return {
        key: read_value(setting.read, typed[key], prefix + key, setting.default, problems)
        if key in typed
        else setting.default
        for key, setting in known.items()
    }


def read_value(reader: Any, value: object, name: str, default: Any, problems: list[Problem]) -> Any:
    try:
        return reader(value)
    except Wrong as wrong:
        problems.append(Problem(name, _shown(name, value) + wrong.what, wrong.fix))
        return default


def _shown(name: str, value: object) -> str:
    """The value as a message shows it: never one that is, or may hold, a secret (threats.md R35)."""
    key = re.sub(r"\[\d+\]", "", name).rpartition(".")[2]
    shown = repr(value)
    may_show = key in _SHOWN and isinstance(value, str | int | float | list | tuple) and len(shown) <= 60
    return f"{shown} " if may_show else ""


def table_of(value: object, name: str, problems: list[Problem]) -> Table:
    if isinstance(value, Mapping):
        return value
    problems.append(Problem(name, "is not a table"))
    return {}


def list_of(value: object, name: str, problems: list[Problem]) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        return value
    problems.append(Problem(name, "is not a list"))
    return ()
