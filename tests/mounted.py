"""Guarded applications inside others: the rules of a sub-application are written as it sees them, or in full."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.wsgi import GateMiddleware as WsgiGate


def make_gate(rule: str) -> Gate:
    return Gate(provider="caputchin", verification="in-process", store="memory", protect=[rule])


async def ran(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ran")


def shop(rule: str) -> Starlette:
    return Starlette(
        routes=[Route("/contact", ran, methods=["GET", "POST"])],
        middleware=[Middleware(AsgiGate, gate=make_gate(rule))],
    )


asgi = Starlette(
    routes=[
        Mount("/relative", app=shop("POST /contact")),
        Mount("/full", app=shop("POST /full/contact")),
        Mount("/bare", app=Starlette(routes=[Route("/contact", ran, methods=["GET", "POST"])])),
    ]
)


def wsgi_ran(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ran"]


wsgi = DispatcherMiddleware(
    wsgi_ran,
    {
        "/relative": WsgiGate(wsgi_ran, gate=make_gate("POST /contact")),
        "/full": WsgiGate(wsgi_ran, gate=make_gate("POST /full/contact")),
    },
)
