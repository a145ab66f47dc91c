"""At home in FastAPI: the same verbs as in Starlette (`starlette.py`), with `require_human` as a dependency.

    install(app, gate)

    @app.post("/signup", dependencies=[Depends(require_human)])     # or Depends(require_human(action="signup"))
    async def signup(...): ...

    async def contact(decision: Annotated[Decision, Depends(require_human)]): ...

Marked operations show in the OpenAPI document what they need, and how they refuse.
"""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, Unpack, overload

from fastapi import FastAPI
from fastapi.openapi.models import APIKey
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from caputchin_gate import starlette
from caputchin_gate.gate import Gate
from caputchin_gate.marks import MARK, Mark, MarkOptions, mark
from caputchin_gate.starlette import Refused, decision_of, demand, marked_views
from caputchin_gate.verdict import Decision

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

TOKEN: Final = "In the form or the JSON body, as the widget puts it there, or in this header."

_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "success": {"type": "boolean", "enum": [False]},
        "error-codes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["type", "title", "status", "detail", "success", "error-codes"],
}
_REFUSALS: Final = {
    "400": "The token can't be read from the request.",
    "403": "The token is missing, wrong, too old or used.",
    "503": "The token could not be verified. Retry-After tells when to try again.",
}


def install(app: FastAPI, gate: Gate, *, templates: Jinja2Templates | None = None) -> None:
    """Put the gate in front of an application, with the rules of its marked operations added to the gate's own.

    As `caputchin_gate.starlette.install`; the OpenAPI document tells the refusals of the marked operations.
    """
    starlette.install(app, gate, templates=templates)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        _describe_refusals(document, app)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_refusals(document: dict[str, Any], app: FastAPI) -> None:
    for view, route in marked_views(app.routes):
        operations = document.get("paths", {}).get(getattr(route, "path_format", None), {})
        for method in view.mark.guarded(view.methods) or ():
            if (operation := operations.get(method.lower())) is not None:
                for status, description in _REFUSALS.items():
                    content = {"application/problem+json": {"schema": _PROBLEM}}
                    operation["responses"].setdefault(status, {"description": description, "content": content})


class RequireHuman(SecurityBase):
    """The dependency `require_human`."""

    def __init__(self, mark: Mark) -> None:
        self.model = APIKey.model_validate({"in": "header", "name": "X-Caputchin-Token", "description": TOKEN})
        self.scheme_name = "captcha"
        setattr(self, MARK, mark)
        # FastAPI looks at these to see what to call this with, and that it may await it instead of starting a thread.
        self.__signature__ = inspect.signature(self._demand, eval_str=True)
        self.__call__ = self._demand  # type: ignore[method-assign, assignment]

    async def _demand(self, connection: HTTPConnection) -> Decision:
        name = getattr(connection.scope.get("endpoint"), "__qualname__", "of this path")
        return demand(connection, getattr(self, MARK), name)

    @overload
    def __call__(self, connection: HTTPConnection) -> Coroutine[Any, Any, Decision]: ...
    @overload
    def __call__(self, **options: Unpack[MarkOptions]) -> RequireHuman: ...
    def __call__(self, connection: HTTPConnection | None = None, **options: Any) -> Any:
        if connection is None:
            return RequireHuman(mark(options))
        if not isinstance(connection, HTTPConnection):
            raise TypeError("in FastAPI an operation is marked with Depends(require_human)")
        return self._demand(connection)


require_human: Final = RequireHuman(Mark())
"""Marks an operation or a whole router: only people get there.

`install` checks each request before it gets there; the dependency demands that this has happened, and gives the
decision. A token is asked for with every method but GET, HEAD and OPTIONS; `methods` names others. The other options
are those of a route: `Depends(require_human(action="signup", receipt="2m"))`.
"""

__all__ = ["Refused", "RequireHuman", "decision_of", "install", "require_human"]
