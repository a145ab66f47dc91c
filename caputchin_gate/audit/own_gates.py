"""The gate that an application has in front of it already: around it, among its middleware, or in Django's settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from caputchin_gate.audit.applications import DEEPEST, CantLoad, only_inside
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.gate import Gate

_DOORS: Final = frozenset(f"caputchin_gate.{door}" for door in ("asgi", "wsgi", "starlette", "flask"))


def gate_around(app: object) -> Gate:
    """The outermost one that all requests meet. Raises CantLoad where there is none."""
    inner: object | None = app
    try:
        for _ in range(DEEPEST):
            if (gate := next(_gates_of(inner), None)) is not None:
                return gate
            inner = only_inside(inner)
    except ConfigurationError as failure:
        raise CantLoad(f"the gate of the application can't be made: {failure.problems[0]}") from failure
    raise CantLoad("no gate stands in front of the application: put one there, or name a gate.toml before it")


def _gates_of(one: object) -> Iterator[Gate]:
    doors = [(type(one), getattr(one, "gate", None))]
    doors += [(middleware.cls, middleware.kwargs.get("gate")) for middleware in getattr(one, "user_middleware", ())]
    yield from (gate for kind, gate in doors if _is_door(kind) and isinstance(gate, Gate))
    if "django.core.handlers.base" in sys.modules:
        from caputchin_gate.audit import django

        if django.is_one(one):
            yield from django.gates()


def _is_door(kind: object) -> bool:
    return isinstance(kind, type) and any(known.__module__ in _DOORS for known in kind.__mro__)
