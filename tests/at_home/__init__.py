"""The application of `tests/echo.py`, at home in frameworks: each once with rules alone, once with marked views.

Both ask for the same, so the same table of scenarios holds for both.
"""

from __future__ import annotations

from typing import Any, Final

from caputchin_gate import Gate, Route
from tests import echo

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def split(route: str | Route) -> tuple[str, dict[str, Any]]:
    """The path of a rule, and the options of the mark that asks for the same."""
    table = route.as_table() if isinstance(route, Route) else {"match": route}
    *methods, path = table.pop("match").split()
    return path, {**table, **({"methods": methods[0].split("|")} if methods else {})}


# An exemption takes a path out of what a rule guards, so this one stays a rule.
MARKED: Final = tuple(split(rule) for rule in echo.PROTECT if rule != "POST /hooks/{name}")


def gate_for_marks() -> Gate:
    """The gate of the echo, without the rules that the marks stand for."""
    return echo.make_gate(["POST /hooks/{name}"])
