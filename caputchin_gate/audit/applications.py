"""Importing an application, and looking into it: through middleware and mounts, down to the routers."""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from types import CellType, MethodType, ModuleType
from typing import Any, Final

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from caputchin_gate.audit.endpoints import EVERY_METHOD, Endpoint, Walk, name_of
from caputchin_gate.audit.paths import AppPath, Variable

_ATTRIBUTE: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(\(\))?")
_USUAL_NAMES: Final = ("application", "app")
_INNER_NAMES: Final = ("app", "application", "wsgi_app", "asgi_app", "_app", "inner", "__wrapped__", "func")
DEEPEST: Final = 50  # wrappers around wrappers


class CantLoad(Exception):
    """The application could not be imported: the text says what failed. Its cause is the application's exception."""


def load(spec: str) -> object:
    """The application that `module:name`, `module:factory()`, or a module of Django settings stands for."""
    name, colon, attribute = spec.partition(":")
    found = _ATTRIBUTE.fullmatch(attribute) if colon else None
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name) or (colon and found is None):
        raise CantLoad(f"{spec!r} is no application: write it like shop.main:app, or shop.main:create_app()")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module = _imported(name)
    if found is not None:
        return _application(_attribute(module, found[1], is_factory=found[2] is not None), spec)
    if hasattr(module, "ROOT_URLCONF"):
        return _django_site(name)
    for usual in _USUAL_NAMES:
        if hasattr(module, usual):
            return _application(getattr(module, usual), f"{name}:{usual}")
    raise CantLoad(f"{name} has neither {' nor '.join(_USUAL_NAMES)}: name it, as in {name}:site")


def endpoints_of(app: object, prefix: AppPath) -> Iterator[Endpoint]:
    """All endpoints of an application. What can't be looked into is an endpoint of every path and method."""
    layer: list[object] = [app]
    beside: dict[int, object] = {}  # applications that a wrapper keeps, by identity
    for _ in range(DEEPEST):
        known = [(inner, walk) for inner in layer if (walk := _walk_of(inner)) is not None]
        for inner, walk in known:
            try:
                yield from walk(inner, prefix, endpoints_of)
            except (Exception, SystemExit) as failure:  # a URLconf is imported only now
                raise CantLoad(f"the routes of {name_of(inner)} can't be read: {_what_failed(failure)}") from failure
        if known:
            for one in beside.values():
                if not any(_same(one, inner) for inner, _ in known):
                    yield _opaque(one, prefix)
            return
        beside |= {id(kept): kept for outer in layer for kept in _kept(outer) if _walk_of(kept) is not None}
        layer = _all_inside(layer)
    yield _opaque(app, prefix)


def only_inside(app: object) -> object | None:
    """What gets all of its requests. None where there is no such thing, or a choice."""
    inside = _all_inside([app])
    kept = [one for one in _kept(app) if _walk_of(one) is not None]
    if len(inside) != 1 or isinstance(app, DispatcherMiddleware) or not all(_same(one, inside[0]) for one in kept):
        return None
    return inside[0]


def _all_inside(layer: Sequence[object]) -> list[object]:
    return list({id(inner): inner for outer in layer for inner in _inside(outer)}.values())


def _opaque(app: object, prefix: AppPath) -> Endpoint:
    return Endpoint(prefix.then("/", Variable("rest", ".*")), EVERY_METHOD, name_of(app), opaque=True)


def _walk_of(app: object) -> Callable[[Any, AppPath, Walk], Iterator[Endpoint]] | None:
    """What tells the endpoints of an application. A framework that it has not imported can't be its own."""
    from caputchin_gate.audit import flask

    if "starlette.routing" in sys.modules:
        from caputchin_gate.audit import starlette

        if starlette.is_one(app):
            return starlette.endpoints
    if flask.is_one(app):
        return flask.endpoints
    if "django.core.handlers.base" in sys.modules:
        from caputchin_gate.audit import django

        if django.is_one(app):
            return django.endpoints
    if isinstance(app, DispatcherMiddleware):
        return _mounts
    return None


def _mounts(app: Any, prefix: AppPath, walk: Walk) -> Iterator[Endpoint]:
    for mount, inner in app.mounts.items():
        yield from walk(inner, prefix.then(mount))
    yield from walk(app.app, prefix)


def _inside(app: object) -> Iterator[object]:
    """What an application may wrap: middleware keeps it in an attribute, a decorator in a closure."""
    if isinstance(app, MethodType):
        yield app.__self__
    for cell in getattr(app, "__closure__", None) or ():
        if callable(content := _content_of(cell)):
            yield content
    for name in _INNER_NAMES:
        inner = getattr(app, name, None)
        if callable(inner) and not isinstance(inner, type):
            yield inner
    protocols = getattr(app, "application_mapping", None)  # Channels
    if isinstance(protocols, dict) and "http" in protocols:
        yield protocols["http"]


def _kept(wrapper: object) -> Iterator[object]:
    """All that a wrapper keeps. An application among it that is not the one inside gets requests of its own choice."""
    cells = (_content_of(cell) for cell in getattr(wrapper, "__closure__", None) or ())
    for value in (*cells, *getattr(wrapper, "__dict__", {}).values()):
        yield value
        yield from _members(value)


def _members(value: object) -> Iterator[object]:
    """Of a table or list of applications, and of one of pairs with them."""
    match value:
        case dict():
            yield from value.values()
        case list() | tuple() | set():
            for one in value:
                yield one
                if isinstance(one, tuple):
                    yield from one
        case _:
            return


def _same(one: object, other: object) -> bool:
    """Flask's application is also known by its method."""
    return getattr(one, "__self__", one) is getattr(other, "__self__", other)


def _content_of(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet set
        return None


# Importing


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as failure:
        if failure.name is not None and (name == failure.name or name.startswith(failure.name + ".")):
            raise CantLoad(f"there is no module {failure.name} in {os.getcwd()} or on the path of Python") from failure
        raise CantLoad(f"{name} can't be imported: {_what_failed(failure)}") from failure
    except (Exception, SystemExit) as failure:
        raise CantLoad(f"{name} can't be imported: {_what_failed(failure)}") from failure


def _attribute(module: ModuleType, path: str, *, is_factory: bool) -> object:
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise CantLoad(f"{module.__name__} has no {path}")
        found = getattr(found, name)
    if not is_factory:
        return found
    try:
        return found()
    except (Exception, SystemExit) as failure:
        raise CantLoad(f"{module.__name__}:{path}() failed: {_what_failed(failure)}") from failure


def _application(found: object, spec: str) -> object:
    """What was found, if it may be one: frameworks beyond ours have classes of their own."""
    if found is None:
        raise CantLoad(f"{spec} is None")
    if not callable(found):
        raise CantLoad(f"{spec} is no application but of type {type(found).__name__}")
    for what, is_one in (("function", inspect.isfunction), ("class", inspect.isclass)):
        if is_one(found) and _takes_nothing(found):
            raise CantLoad(f"{spec} is a {what}; write {spec}()")
    return found


def _takes_nothing(function: Callable[..., object]) -> bool:
    """Whether it can be called as it is. Applications are called with a request, wrapped ones with anything."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # of what is not written in Python
        return False
    return all(one.default is not one.empty or one.kind is one.VAR_KEYWORD for one in parameters)


def _django_site(settings: str) -> object:
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    try:
        import django
        from django.core.handlers.base import BaseHandler

        django.setup()
    except (Exception, SystemExit) as failure:
        raise CantLoad(f"Django can't be set up with {settings}: {_what_failed(failure)}") from failure
    return BaseHandler()


def _what_failed(failure: BaseException) -> str:
    """The exception of an application and the line of its code that it came from."""
    frames = [frame for frame in traceback.extract_tb(failure.__traceback__) if not _is_ours(frame.filename)]
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    if isinstance(failure, SyntaxError) and failure.filename is not None:
        place = f" ({os.path.basename(failure.filename)}:{failure.lineno})"
    text = failure.msg if isinstance(failure, SyntaxError) else str(failure)
    return f"{type(failure).__name__}: {text}{place}" if text else f"{type(failure).__name__}{place}"


def _is_ours(file: str) -> bool:
    return file.startswith("<frozen") or os.path.dirname(file) == os.path.dirname(__file__) or "importlib" in file
