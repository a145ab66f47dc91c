"""At home in Flask: installs the gate, marks views, lets the application answer refusals in its own way.

    install(app, gate)                  # or install(app): the gate that app.config["CAPUTCHIN_GATE"] describes

    @app.post("/signup")
    @require_human                      # or @require_human(action="signup", receipt="2m")
    def signup(): ...

    decision_of(request).reason

The rules of the marked views are known at the first request: blueprints and views may come before or after `install`.
Templates get `captcha_widget()`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Final, TypeVar, Unpack, cast, overload

from flask import Flask, Request, current_app, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.routing import Rule
from werkzeug.wrappers import Response

from caputchin_gate import messages
from caputchin_gate.doors import decision_at, decision_in
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.gate import Gate, gate_from
from caputchin_gate.marks import MARK, Mark, MarkedView, MarkOptions, Variable, mark, pattern
from caputchin_gate.refusals import render, words_of
from caputchin_gate.verdict import Decision
from caputchin_gate.wsgi import Application, Environ, GateMiddleware, StartResponse, head_of

View = TypeVar("View", bound=Callable[..., Any])

SETTINGS: Final = "CAPUTCHIN_GATE"


class Refused(HTTPException):
    """A refusal, for the application's own error handlers: for this class, for HTTPException or for the status.

    decision: why
    description: what the visitor reads, in the visitor's language
    answer: the gate's own, which is sent where no handler is
    """

    code: int  # werkzeug's exceptions may have none, and no description
    description: str

    def __init__(self, decision: Decision, description: str, answer: messages.Response) -> None:
        HTTPException.__init__(self, description)
        self.decision = decision
        self.retry_after = None  # werkzeug's classes of some statuses look at it
        self.answer = answer

    def get_response(self, environ: object = None, scope: object = None) -> Response:
        return Response([self.answer.body], self.answer.status, list(self.answer.headers))


@functools.cache
def _class_of(status: int) -> type[Refused]:
    """Refusals with this status are werkzeug's exception for it too: Flask finds handlers of a status by that."""
    return type("Refused", (Refused, default_exceptions[status]), {"__module__": __name__})


def _refused(decision: Decision, environ: Environ, own: messages.Response) -> Refused:
    return _class_of(own.status)(decision, words_of(decision, head_of(environ, None)).sentences, own)


def decision_of(request: Request) -> Decision | None:
    """What the gate decided about a request; None where no rule guards it."""
    return decision_in(request.environ)


# The application


def install(app: Flask, gate: Gate | None = None) -> None:
    """Put the gate in front of an application, with the rules of its marked views added to the gate's own.

    gate: None for the one that `app.config["CAPUTCHIN_GATE"]` describes, a table with the keys of gate.toml

    Raises ConfigurationError when the settings are wrong, or there is a gate already. That nothing is protected, or a
    mark can't be kept, is raised with the first request.
    """
    if isinstance(app.wsgi_app, InstalledGate | GateMiddleware):
        what = "a gate stands in front of this application already"
        raise ConfigurationError([Problem("install", what, "install one gate, once: it may have several providers")])
    if gate is None:
        gate = gate_from(_settings(app))
    app.wsgi_app = InstalledGate(app, app.wsgi_app, gate)  # type: ignore[method-assign]
    app.add_template_global(functools.partial(captcha_widget, gate), "captcha_widget")


def captcha_widget(gate: Gate, **said: Any) -> Markup:
    """The widget of a guarded form, `<form data-captcha>{{ captcha_widget() }}...`: see `Gate.captcha_widget`."""
    return Markup(gate.captcha_widget(root=request.script_root, **said))  # noqa: S704, the gate has escaped it


def _settings(app: Flask) -> dict[str, Any]:
    settings = app.config.get(SETTINGS)
    if not isinstance(settings, dict):
        fix = f'app.config["{SETTINGS}"] = {{"provider": {{...}}}}, with the keys of gate.toml, or install(app, gate)'
        raise ConfigurationError([Problem(SETTINGS, "is no table" if settings else "is missing", fix)])
    return settings


class InstalledGate:
    """The gate's middleware, as soon as it is known which views are marked: with the first request."""

    def __init__(self, app: Flask, wsgi_app: Application, gate: Gate) -> None:
        self.gate = gate
        self._app = app
        self._wsgi_app = wsgi_app
        self._door: GateMiddleware | None = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        door = self._door
        if door is None:  # several threads at once make the same one
            gate = self.gate.guarding(marked_views(self._app))
            self._door = door = GateMiddleware(self._wsgi_app, gate=gate, refuse=functools.partial(_refuse, self._app))
        return door(environ, start_response)


def _refuse(app: Flask, environ: Environ, decision: Decision, own: messages.Response) -> messages.Response:
    """What the application answers to the exception: its own handler's answer, if it has one, else the gate's. What it
    does after each request, as adding headers, is done here too.
    """
    refused = _refused(decision, environ, own)
    with app.request_context(environ):
        answered = app.finalize_request(app.handle_user_exception(refused), from_error_handler=True)
        return messages.Response(answered.status_code, tuple(answered.headers), answered.get_data())


# Views


@overload
def require_human(view: View, /) -> View: ...
@overload
def require_human(**options: Unpack[MarkOptions]) -> Callable[[View], View]: ...
def require_human(view: Any = None, /, **options: Unpack[MarkOptions]) -> Any:
    """Marks a view, or a method of a MethodView: only people get there.

    It stands directly above the function (or in `decorators` of a class), below the route. `install` checks each
    request before it gets there; at the view the mark demands that this has happened. A token is asked for with every
    method that the view answers but GET, HEAD and OPTIONS; `methods` names others. The other options are those of a
    route.
    """
    found = mark(options)
    return functools.partial(_marked, mark=found) if view is None else _marked(view, mark=found)


def _marked(view: Callable[..., ResponseReturnValue], *, mark: Mark) -> Callable[..., ResponseReturnValue]:
    if isinstance(view, type) or not callable(view):
        raise TypeError("@require_human stands above a function; a MethodView takes it as decorators = [require_human]")
    name = getattr(view, "__qualname__", type(view).__name__)

    @functools.wraps(view)
    def admitted(*arguments: Any, **named: Any) -> ResponseReturnValue:
        demand(mark, name)
        return cast(ResponseReturnValue, current_app.ensure_sync(view)(*arguments, **named))

    setattr(admitted, MARK, mark)
    return admitted


def demand(mark: Mark, name: str) -> Decision:
    """The decision that lets a marked view run. Raises Refused when there is none."""
    environ = request.environ
    decision = mark.decided(request.method, decision_at(environ, environ["SCRIPT_NAME"], environ["PATH_INFO"]), name)
    if not mark.lets_run(decision):
        raise _refused(decision, environ, render(decision, head_of(environ, None)))
    return decision


# Finding what is marked


def marked_views(app: Flask) -> Iterator[MarkedView]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        methods = frozenset(rule.methods or ())
        for found, marked, asked in _marks_of(view, methods):
            yield MarkedView(rule.endpoint, pattern(_pieces(rule)), asked, found, marked)


def _marks_of(view: Any, methods: frozenset[str]) -> Iterator[tuple[Mark, Hashable, frozenset[str]]]:
    """The marks on one view, what carries each, and the methods it is for."""
    if (found := getattr(view, MARK, None)) is not None:
        yield found, view, methods
    view_class = getattr(view, "view_class", None)
    for name in methods:
        method = getattr(view_class, name.lower(), None)
        if (found := getattr(method, MARK, None)) is not None:
            yield found, method, frozenset({name})


def _pieces(rule: Rule) -> Iterator[str | Variable]:
    after_host = rule._trace.index((False, "|")) + 1
    for is_variable, text in rule._trace[after_host:]:
        yield Variable(not rule._converters[text].part_isolating) if is_variable else text


__all__ = ["InstalledGate", "Refused", "decision_of", "install", "require_human"]
