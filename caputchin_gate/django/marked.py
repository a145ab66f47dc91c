"""`require_human`: marks a view, finds what is marked in the URLconf, and demands a decision at the view."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Unpack, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.views import View

from caputchin_gate import messages
from caputchin_gate.django.current import decision_at_view, head_in, record_of
from caputchin_gate.django.regexes import Pieces
from caputchin_gate.django.urls import class_of, methods_of, views
from caputchin_gate.marks import MARK, Mark, MarkedView, MarkOptions, Variable, mark, pattern
from caputchin_gate.refusals import render

Marked = TypeVar("Marked", bound=Callable[..., Any])


@overload
def require_human(view: Marked, /) -> Marked: ...
@overload
def require_human(**options: Unpack[MarkOptions]) -> Callable[[Marked], Marked]: ...
def require_human(view: Any = None, /, **options: Unpack[MarkOptions]) -> Any:
    """Marks a view, be it a function, a class or a method of a class: only people get there.

    The gate checks each request before it gets there; at the view the mark demands that this has happened. A token is
    asked for with every method that the view answers but GET, HEAD and OPTIONS; `methods` names others. The other
    options are those of a route.
    """
    found = mark(options)
    return functools.partial(_marked, mark=found) if view is None else _marked(view, mark=found)


def _marked(view: Any, *, mark: Mark) -> Any:
    if isinstance(view, type):
        if not issubclass(view, View):
            raise TypeError(
                f"{view.__qualname__} is no view: @require_human stands above a function, a View or a method"
            )
        marked_class: Any = view
        marked_class.dispatch = _marked(marked_class.dispatch, mark=mark)
        return view
    if not callable(view):
        raise TypeError("@require_human stands above a function, a View or a method")
    name = getattr(view, "__qualname__", type(view).__name__)

    @functools.wraps(view)
    def admitted(*arguments: Any, **named: Any) -> Any:
        refusal = _demand(_request_of(arguments, named), mark, name)
        if refusal is None:
            return view(*arguments, **named)
        return _awaited(refusal) if _is_awaited(view, arguments) else refusal

    setattr(admitted, MARK, mark)
    if iscoroutinefunction(view):
        markcoroutinefunction(admitted)
    return admitted


def _demand(request: HttpRequest, mark: Mark, name: str) -> HttpResponse | None:
    """The refusal, where no decision lets the view run."""
    decision = mark.decided(request.method, decision_at_view(request), name)
    return None if mark.lets_run(decision) else http_response(render(decision, head_in(record_of(request))))


def http_response(answer: messages.Response) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def _request_of(arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The request is the first argument, or follows the view that it is a method of."""
    for value in (*arguments[:2], named.get("request")):
        if hasattr(value, "META"):
            return value
    raise TypeError("a marked view gets no request")


def _is_awaited(view: Any, arguments: tuple[Any, ...]) -> bool:
    owner = arguments[0] if arguments else None
    if not isinstance(owner, View):  # method_decorator hands over a method that is bound already
        owner = getattr(getattr(view, "func", view), "__self__", None)
    return iscoroutinefunction(view) or (isinstance(owner, View) and owner.view_is_async)


async def _awaited(refusal: HttpResponse) -> HttpResponse:
    return refusal


# Finding what is marked


def marked_views() -> Iterator[MarkedView]:
    """The marked views of the URLconf, each with every path that leads to it."""
    return (marked for view, path in views() for marked in marks_of(view, pattern(path)))


def marks_of(view: Any, path: str) -> Iterator[MarkedView]:
    """The marks on one view: on the function or the class, on its methods, among its permissions."""
    methods = methods_of(view)
    own = class_of(view)
    name = getattr(own or view, "__qualname__", type(view).__name__)
    if (found := getattr(view, MARK, None)) is not None:
        yield MarkedView(name, path, methods, found, view)
    if own is None:
        return
    for method in methods or ():
        handler = getattr(own, getattr(view, "actions", {}).get(method.lower(), method.lower()), None)
        if (found := getattr(handler, MARK, None)) is not None:
            yield MarkedView(name, path, frozenset({method}), found, handler)
    options = getattr(view, "initkwargs", {})  # of Django REST framework
    for permission in options.get("permission_classes", getattr(own, "permission_classes", ())):
        for found in _marks_below(permission):
            yield MarkedView(name, path, methods, found, view)


def _marks_below(permission: Any) -> Iterator[Mark]:
    """The marks of a permission, or of those that it is composed of, as in `IsAuthenticated & IsHuman`."""
    if (found := getattr(permission, MARK, None)) is not None:
        yield found
    for name in ("op1_class", "op2_class"):
        if (operand := getattr(permission, name, None)) is not None:
            yield from _marks_below(operand)


def is_wider(path: Pieces) -> bool:
    """Whether the rule for a path guards others too."""
    for number, piece in enumerate(path):
        if isinstance(piece, Variable) and piece.crosses_slashes:
            before = path[number - 1] if number else ""
            return number < len(path) - 1 or not (isinstance(before, str) and before.endswith("/"))
    return False
