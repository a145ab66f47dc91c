"""The routes of Starlette and FastAPI."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import BaseRoute, Host, Mount, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from caputchin_gate.audit.endpoints import EVERY_METHOD, Endpoint, Walk, marked_methods, name_of
from caputchin_gate.audit.paths import AppPath, Piece, Variable
from caputchin_gate.starlette import marked_views

_VARIABLE: Final = re.compile(r"\{([a-zA-Z_]\w*)(?::[a-zA-Z_]\w*)?\}")


def is_one(app: object) -> bool:
    return isinstance(app, Starlette | Router | StaticFiles)


def endpoints(app: object, prefix: AppPath, walk: Walk) -> Iterator[Endpoint]:
    match app:
        case StaticFiles():
            path = prefix.then("/", Variable("file", ".*"))
            yield Endpoint(path, frozenset({"GET", "HEAD"}), name_of(app))
        case Starlette():
            yield from _router(app.router, prefix, walk)
        case Router():
            yield from _router(app, prefix, walk)
        case _:
            raise TypeError(f"{type(app).__name__} has no routes")


def _router(router: Router, prefix: AppPath, walk: Walk) -> Iterator[Endpoint]:
    for route, told in _told(router.routes):
        yield from _route(route, told, prefix, router.redirect_slashes, walk)
    if router.default != router.not_found:  # what gets the requests that no route is for
        yield from walk(router.default, prefix)


def _told(routes: Sequence[BaseRoute]) -> Iterator[tuple[BaseRoute, Any]]:
    """Each route, and what tells its path and methods: FastAPI keeps the prefix of an included router apart."""
    try:
        from fastapi.routing import iter_route_contexts  # newer versions
    except ImportError:
        yield from ((route, route) for route in routes)
        return
    for context in iter_route_contexts(routes):
        yield context.original_route, context


def _route(route: BaseRoute, told: Any, prefix: AppPath, redirects: bool, walk: Walk) -> Iterator[Endpoint]:
    match route:
        case WebSocketRoute():
            return
        case Mount():
            yield from walk(told.app, prefix.then(*_pieces(told.path, told.param_convertors)))
        case Host():
            yield from walk(told.app, prefix)
        case _ if getattr(told, "path", None) and hasattr(told, "methods"):
            path = prefix.then(*_pieces(told.path, getattr(told, "param_convertors", None) or {}))
            view = getattr(told, "endpoint", None) or route
            methods = frozenset(told.methods) if told.methods else _methods_of(view)
            marked = marked_methods((marked for marked, _ in marked_views([told])), methods)
            yield Endpoint(path, methods, name_of(view), redirects=redirects, marked=marked)
        case _ if hasattr(route, "routes"):
            for inner in route.routes:
                yield from _route(inner, inner, prefix, redirects, walk)
        case _:
            yield Endpoint(prefix.then("/", Variable("rest", ".*")), EVERY_METHOD, name_of(route), opaque=True)


def _methods_of(view: object) -> frozenset[str]:
    """The methods of an endpoint that is no function: an ASGI application may answer to all."""
    while isinstance(view, partial):
        view = view.func
    if isinstance(view, type) and issubclass(view, HTTPEndpoint) and view.dispatch is HTTPEndpoint.dispatch:
        return frozenset(method for method in EVERY_METHOD if hasattr(view, method.lower()))
    return EVERY_METHOD


def _pieces(path: str, convertors: Mapping[str, Any]) -> list[Piece]:
    pieces: list[Piece] = []
    end = 0
    for found in _VARIABLE.finditer(path):
        name = found[1]
        regex = convertors[name].regex if name in convertors else "[^/]+"
        pieces += [path[end : found.start()], Variable(name, regex)]
        end = found.end()
    return [*pieces, path[end:]]
