"""At home in Starlette: installs the gate, marks endpoints, lets the application answer refusals in its own way.

    install(app, gate)                  # templates=templates gives them captcha_widget()

    @require_human                      # or @require_human(action="signup", receipt="2m")
    async def signup(request): ...

    decision_of(request).reason

The rules of the marked endpoints are known when the application has started, or at its first request: routes, mounts
and routers may come before or after `install`. An endpoint that is added later has no rule, and its mark refuses.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, Unpack, overload

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import PARAM_REGEX, Host, Mount, WebSocketRoute
from starlette.status import WS_1008_POLICY_VIOLATION

from caputchin_gate import messages
from caputchin_gate.asgi import Application, GateMiddleware, Message, Receive, Scope, Send, closing, head_of
from caputchin_gate.doors import decision_at, decision_in
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.gate import Gate
from caputchin_gate.marks import MARK, Mark, MarkedView, MarkOptions, Variable, mark, pattern
from caputchin_gate.refusals import render, words_of
from caputchin_gate.verdict import Decision

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

View = TypeVar("View", bound=Callable[..., Any])
Handler: TypeAlias = Callable[[Request, Any], Response | Awaitable[Response]]

ROOT: Final = "caputchin_gate.root_path"  # below which path the gate stands: what is mounted behind it sees its own
ONE_SEGMENT: Final = frozenset({"str", "int", "float", "uuid"})  # Starlette's convertors that cross no slash


class Refused(HTTPException):
    """A refusal, for the application's own exception handlers: for this class, for HTTPException or for the status.

    decision: why
    detail: what the visitor reads, in the visitor's language
    answer: the gate's own, which is sent where no handler is
    """

    def __init__(self, decision: Decision, detail: str, answer: messages.Response) -> None:
        headers = {name: value for name, value in answer.headers if not name.lower().startswith("content-")}
        super().__init__(answer.status, detail, headers)
        self.decision = decision
        self.answer = answer


def decision_of(request: HTTPConnection) -> Decision | None:
    """What the gate decided about a request; None where no rule guards it."""
    return decision_in(request.scope)


# The application


def install(app: Starlette, gate: Gate, *, templates: Jinja2Templates | None = None) -> None:
    """Put the gate in front of an application, with the rules of its marked endpoints added to the gate's own.

    It stands outside of the middleware that the application has by now, but inside CORSMiddleware where that is the
    outermost, without which pages of other origins could not read a refusal. The gate is closed when the application
    shuts down.

    templates: they get `captcha_widget()`, the widget of a guarded form: see `Gate.captcha_widget`

    Raises ConfigurationError when the application has started, or there is a gate already. That nothing is protected,
    or a mark can't be kept, stops the application's start.
    """
    own: list[object] = [middleware.cls for middleware in app.user_middleware]
    if app.middleware_stack is not None:
        what = "the application has started, and takes no middleware any more"
        raise ConfigurationError([Problem("install", what, "call it where the application is made")])
    if _is_guarded(app):
        what = "a gate stands in front of this application already"
        raise ConfigurationError([Problem("install", what, "install one gate, once: it may have several providers")])
    app.exception_handlers.setdefault(Refused, answer_refused)
    outermost = len(list(itertools.takewhile(lambda cls: cls is CORSMiddleware, own)))
    app.user_middleware.insert(outermost, Middleware(InstalledGate, gate=gate))
    if templates is not None:
        templates.env.globals["captcha_widget"] = _for_templates(gate)


def _for_templates(gate: Gate) -> Callable[..., str]:
    from jinja2 import pass_context
    from markupsafe import Markup

    @pass_context
    def captcha_widget(context: Mapping[str, Any], **said: Any) -> str:
        scope = context["request"].scope
        root = scope.get(ROOT, "")
        return Markup(gate.captcha_widget(root=root.rstrip("/"), **said))  # noqa: S704, the gate has escaped it

    return captcha_widget


class InstalledGate:
    """The gate's middleware, as soon as it is known which endpoints are marked."""

    def __init__(self, app: Application, *, gate: Gate) -> None:
        self.app = app
        self.gate = gate
        self._door: GateMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, closing(self.gate, self._opening(scope["app"], send)))
            return
        door = self._door if self._door is not None else self._open(scope["app"])
        scope[ROOT] = scope.get("root_path", "")
        await door(scope, receive, send)

    def _open(self, app: Starlette) -> GateMiddleware:
        gate = self.gate.guarding(view for view, _ in marked_views(app.routes))
        self._door = GateMiddleware(self.app, gate=gate, refuse=functools.partial(_refuse, app))
        return self._door

    def _opening(self, app: Starlette, send: Send) -> Send:
        """Lifespan's `send`: an application that has started has all its routes. What is wrong with them stops it."""

        async def open_and_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._open(app)
            await send(message)

        return open_and_send


async def _refuse(
    app: Starlette, scope: Scope, receive: Receive, decision: Decision, own: messages.Response
) -> messages.Response:
    """The answer of the application's exception handler, if it has one for refusals."""
    refused = Refused(decision, _words(decision, scope), own)
    handler = own_handler(app, refused)
    if handler is None:
        return own

    async def raising(scope: Scope, receive: Receive, send: Send) -> None:
        raise refused

    answer: list[Message] = []

    async def collect(message: Message) -> None:
        answer.append(message)

    await ExceptionMiddleware(raising, handlers={Refused: handler})(scope, receive, collect)
    start, *rest = answer
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    return messages.Response(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


def own_handler(app: Starlette, refused: Refused) -> Handler | None:
    """The handler that the application has for refusals; those that are there anyway don't count."""
    for kind in (refused.status_code, Refused, HTTPException):
        handler: Handler | None = app.exception_handlers.get(kind)
        if handler is not None and handler is not answer_refused and handler.__module__ != "fastapi.exception_handlers":
            return handler
    return None


async def answer_refused(request: Request, refused: Exception) -> Response:
    """Handles refusals at marked endpoints: as the application handles HTTPException, else with the gate's answer."""
    assert isinstance(refused, Refused)
    handler = own_handler(request.app, refused)
    if handler is None:
        own = refused.answer
        response = Response(own.body, own.status)
        response.raw_headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in own.headers]
        return response
    answered = handler(request, refused)
    return await answered if inspect.isawaitable(answered) else answered


# Endpoints


@overload
def require_human(view: View, /) -> View: ...
@overload
def require_human(**options: Unpack[MarkOptions]) -> Callable[[View], View]: ...
def require_human(view: Any = None, /, **options: Unpack[MarkOptions]) -> Any:
    """Marks an endpoint, a function or an HTTPEndpoint or one of its methods: only people get there.

    `install` checks each request before it gets there; at the endpoint the mark demands that this has happened. A
    token is asked for with every method that the endpoint answers but GET, HEAD and OPTIONS; `methods` names others.
    The other options are those of a route.
    """
    found = mark(options)
    return functools.partial(_marked, mark=found) if view is None else _marked(view, mark=found)


def _marked(view: Any, *, mark: Mark) -> Any:
    name = getattr(view, "__qualname__", type(view).__name__)
    if inspect.isclass(view) and issubclass(view, HTTPEndpoint):
        dispatch = view.dispatch

        async def dispatch_admitted(endpoint: HTTPEndpoint) -> None:
            demand(HTTPConnection(endpoint.scope), mark, name)
            await dispatch(endpoint)

        setattr(view, "dispatch", dispatch_admitted)  # noqa: B010
        setattr(view, MARK, mark)
        return view
    if not inspect.isroutine(view) and not isinstance(view, functools.partial):
        raise TypeError(f"{name} is no endpoint: @require_human stands directly above a function or an HTTPEndpoint")
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def admitted(*arguments: Any, **named: Any) -> Any:
            demand(_request_of(arguments, named), mark, name)
            return await view(*arguments, **named)

        setattr(admitted, MARK, mark)
        return admitted

    @functools.wraps(view)
    def admitted_in_a_thread(*arguments: Any, **named: Any) -> Any:
        demand(_request_of(arguments, named), mark, name)
        return view(*arguments, **named)

    setattr(admitted_in_a_thread, MARK, mark)
    return admitted_in_a_thread


def _request_of(arguments: tuple[Any, ...], named: dict[str, Any]) -> HTTPConnection:
    for value in (*arguments, *named.values()):
        if isinstance(value, HTTPConnection):
            return value
    raise TypeError("a marked endpoint gets no request; in FastAPI it is marked with Depends(require_human)")


def demand(connection: HTTPConnection, mark: Mark, name: str) -> Decision:
    """The decision that lets a marked endpoint run. Raises Refused when there is none."""
    scope = connection.scope
    if scope["type"] != "http":  # a handshake carries no token
        raise WebSocketException(WS_1008_POLICY_VIOLATION)
    decision = mark.decided(scope["method"], decision_at(scope, scope.get("root_path", ""), scope["path"]), name)
    if not mark.lets_run(decision):
        raise Refused(decision, _words(decision, scope), render(decision, head_of(scope)))
    return decision


def _words(decision: Decision, scope: Scope) -> str:
    return words_of(decision, head_of(scope)).sentences


# Finding what is marked. FastAPI's routes are Starlette's with dependencies; both are found here, because applications
# of one are mounted in those of the other.


def marked_views(routes: Iterable[Any], prefix: tuple[str | Variable, ...] = ()) -> Iterator[tuple[MarkedView, Any]]:
    """All marked endpoints, each with its route, also those of mounted applications that have no gate of their own."""
    for route in _flat(routes):
        kind = getattr(route, "original_route", route)
        path = (*prefix, *_pieces(getattr(route, "path", None) or ""))
        if isinstance(kind, Mount | Host):
            if not _is_guarded(getattr(route, "app", None)):
                yield from marked_views(route.routes, path)
        elif not isinstance(kind, WebSocketRoute) and callable(getattr(route, "endpoint", None)):
            for found, marked, methods in _marks_of(route):
                name = getattr(route.endpoint, "__qualname__", route.path)
                yield MarkedView(name, pattern(path), methods, found, marked), route


def _flat(routes: Iterable[Any]) -> Iterable[Any]:
    """The routes with those of included routers, for whom FastAPI keeps one entry."""
    fastapi = sys.modules.get("fastapi.routing")
    each: Callable[[Iterable[Any]], Iterable[Any]] | None = getattr(fastapi, "iter_route_contexts", None)
    return each(routes) if each is not None else routes


def _is_guarded(app: object) -> bool:
    middleware: list[Any] = getattr(app, "user_middleware", [])
    return any(one.cls in (InstalledGate, GateMiddleware) for one in middleware)


def _pieces(path: str) -> Iterator[str | Variable]:
    texts = PARAM_REGEX.split(path)  # a text, then a name, a convertor with its colon, and a text, again and again
    yield texts[0]
    for converter, text in zip(texts[2::3], texts[3::3], strict=True):
        yield Variable(crosses_slashes=(converter or ":str").removeprefix(":") not in ONE_SEGMENT)
        yield text


def _marks_of(route: Any) -> Iterator[tuple[Mark, Hashable, frozenset[str] | None]]:
    """The marks on one route, what carries each, and the methods it is for."""
    methods = frozenset(route.methods) if route.methods else None
    endpoint = route.endpoint
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    if (found := getattr(endpoint, MARK, None)) is not None:
        yield found, endpoint, methods
    if inspect.isclass(endpoint):
        for name in ("get", "head", "post", "put", "patch", "delete", "options"):
            method = getattr(endpoint, name, None)
            if (found := getattr(method, MARK, None)) is not None:
                yield found, method, frozenset({name.upper()})
    dependant = getattr(route, "dependant", None)
    if dependant is not None:
        listed = list(route.dependencies)  # these come first among the dependencies
        for number, dependency in enumerate(dependant.dependencies):
            carrier: Hashable = id(listed[number]) if number < len(listed) else endpoint
            for found in _marks_below(dependency):
                yield found, carrier, methods


def _marks_below(dependency: Any) -> Iterator[Mark]:
    if (found := getattr(dependency.call, MARK, None)) is not None:
        yield found
    for below in dependency.dependencies:
        yield from _marks_below(below)


__all__ = ["InstalledGate", "Refused", "decision_of", "install", "require_human"]
