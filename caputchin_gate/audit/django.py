"""The routes of Django: its URLconf, and what each view answers to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.urls import get_resolver
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern, URLPattern, URLResolver

from caputchin_gate.audit.endpoints import EVERY_METHOD, Endpoint, Walk, marked_methods, name_of
from caputchin_gate.audit.paths import AppPath, Piece, Variable
from caputchin_gate.django.gates import site_gate
from caputchin_gate.django.marked import marks_of
from caputchin_gate.django.system_checks import has_door
from caputchin_gate.django.urls import class_of, methods_of
from caputchin_gate.gate import Gate

_VARIABLE: Final = re.compile(r"<(?:[^>:]+:)?([^>]+)>")


def is_one(app: object) -> bool:
    return isinstance(app, BaseHandler)


def gates() -> Iterator[Gate]:
    """That of the site, if something lets requests through it."""
    if has_door():
        yield site_gate()


def endpoints(app: object, prefix: AppPath, walk: Walk) -> Iterator[Endpoint]:
    redirects = settings.APPEND_SLASH and "django.middleware.common.CommonMiddleware" in settings.MIDDLEWARE
    yield from _below(get_resolver(), prefix.then("/"), redirects)


def _below(resolver: URLResolver, prefix: AppPath, redirects: bool) -> Iterator[Endpoint]:
    for pattern in resolver.url_patterns:
        path = prefix.then(*_pieces(pattern.pattern))
        match pattern:
            case URLResolver():
                yield from _below(pattern, path, redirects)
            case URLPattern(callback=view):
                declared = methods_of(view)
                methods = EVERY_METHOD if declared is None else EVERY_METHOD & declared
                yield Endpoint(
                    path,
                    methods,
                    name_of(class_of(view) or view),
                    declared=methods != EVERY_METHOD,
                    marked=marked_methods(marks_of(view, str(pattern.pattern)), methods),
                    redirects=redirects and path.ends_with_slash and getattr(view, "should_append_slash", True),
                )
            case _:  # something that Django itself could not resolve
                continue


# Paths


def _pieces(pattern: Any) -> list[Piece]:
    match pattern:
        case RoutePattern():
            return _route(pattern)
        case LocalePrefixPattern():
            languages = [f"{code}/" for code, _ in settings.LANGUAGES]
            if not pattern.prefix_default_language:
                languages = ["", *(prefix for prefix in languages if prefix != f"{settings.LANGUAGE_CODE}/")]
            return [Variable("language/", "|".join(map(re.escape, languages)))]
        case RegexPattern():
            return [_regex(pattern)]
        case _:
            return [Variable(str(pattern), ".*")]


def _route(pattern: Any) -> list[Piece]:
    route = str(pattern)
    pieces: list[Piece] = []
    end = 0
    for found in _VARIABLE.finditer(route):
        converter = pattern.converters[found[1]]
        pieces += [route[end : found.start()], Variable(found[1], converter.regex, converter.to_python)]
        end = found.end()
    return [*pieces, route[end:]]


def _regex(pattern: Any) -> Variable:
    """A whole regex as one variable. Without anchors it is found anywhere in the path."""
    regex = str(pattern)
    ends = regex.endswith(("$", r"\Z")) or not pattern._is_endpoint
    begins = regex.startswith(("^", r"\A")) or (pattern._is_endpoint and regex.endswith("$"))
    around = ("" if begins else "(?:|x|x/|.*)", "" if ends else "(?:|x|/x|.*)")
    return Variable(regex.lstrip("^").rstrip("$"), f"{around[0]}(?:{regex}){around[1]}")
