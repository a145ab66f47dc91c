"""The routes of Flask, and of whatever else keeps a map of Werkzeug's."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import MethodType
from typing import Any, Final

from werkzeug.routing import Map, Rule

from caputchin_gate.audit.endpoints import EVERY_METHOD, Endpoint, Walk, marked_methods, name_of
from caputchin_gate.audit.paths import AppPath, Piece, Variable
from caputchin_gate.marks import MarkedView

_BELOW_MIDDLEWARE: Final[set[int]] = set()  # applications whose middleware is being looked into
_VARIABLE: Final = re.compile(r"<(?:[a-zA-Z_]\w*(?:\(.*?\))?:)?([a-zA-Z_]\w*)>")


def is_one(app: object) -> bool:
    """An application, or the method of it that its middleware calls."""
    return isinstance(getattr(_owner(app), "url_map", None), Map)


def endpoints(app: Any, prefix: AppPath, walk: Walk) -> Iterator[Endpoint]:
    replaced = "wsgi_app" in getattr(app, "__dict__", {})  # app.wsgi_app = Middleware(app.wsgi_app)
    if replaced and id(app) not in _BELOW_MIDDLEWARE:
        _BELOW_MIDDLEWARE.add(id(app))  # middleware may mount more, and may keep the application itself
        try:
            yield from walk(app.wsgi_app, prefix)
        finally:
            _BELOW_MIDDLEWARE.discard(id(app))
        return
    owner: Any = _owner(app)
    url_map: Map = owner.url_map
    views = getattr(owner, "view_functions", {})
    marks = list(_marks(owner))
    for rule in url_map.iter_rules():
        if rule.websocket or rule.build_only or rule.redirect_to:
            continue
        view = views.get(rule.endpoint)
        methods = frozenset(rule.methods) if rule.methods is not None else EVERY_METHOD
        strict = url_map.strict_slashes if rule.strict_slashes is None else rule.strict_slashes
        yield Endpoint(
            prefix.then(*_pieces(rule)),
            methods,
            name_of(view) if view is not None else str(rule.endpoint),
            redirects=strict and rule.rule.endswith("/"),
            marked=marked_methods((mark for mark in marks if mark.name == rule.endpoint), methods),
        )


def _marks(app: object) -> Iterator[MarkedView]:
    """The marked views, if it is an application of Flask and not of somebody else with such a map."""
    if "flask" in sys.modules:
        from flask import Flask

        from caputchin_gate.flask import marked_views

        if isinstance(app, Flask):
            yield from marked_views(app)


def _owner(app: object) -> object:
    return app.__self__ if isinstance(app, MethodType) else app


def _pieces(rule: Rule) -> list[Piece]:
    pieces: list[Piece] = []
    end = 0
    for found in _VARIABLE.finditer(rule.rule):
        converter = rule._converters[found[1]]
        pieces += [rule.rule[end : found.start()], Variable(found[1], converter.regex, converter.to_python)]
        end = found.end()
    return [*pieces, rule.rule[end:]]
