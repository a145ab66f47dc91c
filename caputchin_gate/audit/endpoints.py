"""What an application answers to: an endpoint is one path of its router, with the methods of the view behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from caputchin_gate.audit.paths import AppPath
from caputchin_gate.marks import MarkedView

WRITING: Final = ("POST", "PUT", "PATCH", "DELETE")
EVERY_METHOD: Final = frozenset({"GET", "HEAD", "OPTIONS", *WRITING})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """methods:   those that reach the view
    view:      where it is defined
    declared:  whether the application says which methods those are; else the view answers to all of them
    redirects: whether the application redirects to this path where a client leaves its last slash out, or adds one
    marked:    the methods for which the view itself demands an admitting decision (`require_human`)
    opaque:    whether it is an application that can't be looked into, so anything may be below its path
    """

    path: AppPath
    methods: frozenset[str]
    view: str
    declared: bool = True
    redirects: bool = False
    marked: frozenset[str] = frozenset()
    opaque: bool = False


# How the endpoints of an application inside of another are told, given where it is mounted.
Walk: TypeAlias = Callable[[object, AppPath], Iterator[Endpoint]]


def marked_methods(views: Iterable[MarkedView], methods: frozenset[str]) -> frozenset[str]:
    """What the marks on a view that answers these methods ask for."""
    asked = (methods if (named := view.mark.guarded(view.methods)) is None else named for view in views)
    return frozenset[str]().union(*asked)


def name_of(view: object) -> str:
    """Where a view is defined, as people look for it."""
    while isinstance(view, partial):
        view = view.func
    view = getattr(view, "view_class", None) or getattr(view, "cls", None) or view  # of Flask, Django, REST framework
    named = view if hasattr(view, "__qualname__") else type(view)
    return f"{named.__module__}.{named.__qualname__}"
