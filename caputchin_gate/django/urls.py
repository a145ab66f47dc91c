"""The URLconf, flat: every view with the paths that lead to it, and the methods that it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.urls import get_resolver
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern, URLPattern, URLResolver
from django.utils import translation

from caputchin_gate.django.regexes import Pieces, joined, spellings

_MOST_DECORATORS: Final = 50


def views() -> Iterator[tuple[Any, Pieces]]:
    """Each view of the URLconf with one of its paths, in every language of the site where they differ."""
    root = get_resolver()
    if not (settings.USE_I18N and _is_translated(root)):
        yield from _below(root, ())
        return
    for code, _ in settings.LANGUAGES:
        with translation.override(code):
            yield from _below(root, ())


def _below(resolver: URLResolver, prefix: Pieces) -> Iterator[tuple[Any, Pieces]]:
    for spelt in _spellings(resolver.pattern, is_endpoint=False):
        for pattern in resolver.url_patterns:
            match pattern:
                case URLResolver():
                    yield from _below(pattern, (*prefix, *spelt))
                case URLPattern(callback=view):
                    for end in _spellings(pattern.pattern, is_endpoint=True):
                        yield view, joined((*prefix, *spelt, *end))
                case _:  # something that Django itself could not resolve
                    continue


def _spellings(pattern: Any, *, is_endpoint: bool) -> tuple[Pieces, ...]:
    match pattern:
        case LocalePrefixPattern():
            return ((pattern.language_prefix,),) if pattern.language_prefix else ((),)
        case RoutePattern() | RegexPattern():
            regex = pattern.regex.pattern  # in the language that is active now
            return spellings(regex, whole=is_endpoint and regex.endswith("$"), goes_on=not is_endpoint)
        case _:
            return spellings(".*", whole=True, goes_on=False)


def _is_translated(resolver: URLResolver) -> bool:
    return isinstance(resolver.pattern, LocalePrefixPattern) or any(
        _is_translated(pattern)
        if isinstance(pattern, URLResolver)
        else not isinstance(getattr(pattern.pattern, "_route", getattr(pattern.pattern, "_regex", "")), str)
        for pattern in resolver.url_patterns
    )


def class_of(view: Any) -> Any:
    """The class behind a view, of Django or of Django REST framework."""
    return getattr(view, "view_class", None) or getattr(view, "cls", None)


def methods_of(view: Any) -> frozenset[str] | None:
    """The methods that reach a view; None for all, as with a function without a decorator that says something else."""
    allowed = list(_required(view))
    own = class_of(view)
    if own is not None and _dispatches_as_usual(own):
        names = getattr(view, "view_initkwargs", {}).get("http_method_names") or own.http_method_names
        actions = getattr(view, "actions", None) or {}  # of a view set
        allowed.append(frozenset(name.upper() for name in names if name in actions or hasattr(own, name)))
    return frozenset.intersection(*allowed) if allowed else None


def _dispatches_as_usual(view: type) -> bool:
    """Whether the method of a request picks the method of the class; one that dispatches itself may do anything."""
    defining = next((one for one in view.__mro__ if "dispatch" in vars(one)), None)
    return defining is not None and defining.__module__.partition(".")[0] in ("django", "rest_framework")


def _required(view: Any) -> Iterator[frozenset[str]]:
    """What `require_http_methods` and its kin allow, however deep among the decorators."""
    for _ in range(_MOST_DECORATORS):
        names = getattr(getattr(view, "__code__", None), "co_freevars", ())
        for name, cell in zip(names, getattr(view, "__closure__", None) or (), strict=False):
            if name == "request_method_list":
                yield frozenset(cell.cell_contents)
        view = getattr(view, "__wrapped__", None)
        if view is None:
            return
