"""The verification server: the gate's own paths on an address of their own, without an application behind them.

    caputchin-gate serve gate.toml

Challenges, the widget, siteverify and forward-auth; every other path is a constant 404. `OwnPaths` is an ASGI
application, so it runs on any server of that kind; this command runs it on uvicorn.
"""

from __future__ import annotations

import json
import logging
import socket
from typing import Any, Final

import uvicorn

from caputchin_gate.asgi import IncomingBody, Receive, Scope, Send, answer, head_of
from caputchin_gate.events import tell
from caputchin_gate.gate import Gate
from caputchin_gate.kept_body import KeptBody
from caputchin_gate.messages import Response
from caputchin_gate.policy import Answer
from caputchin_gate.refusals import NO_STORE

GRACE_SECONDS: Final = 5

_PROBLEM: Final = {"type": "about:blank", "title": "Not Found", "status": 404}
NOT_FOUND: Final = Response(
    404, (("Content-Type", "application/problem+json"), *NO_STORE), json.dumps(_PROBLEM).encode()
)


class OwnPaths:
    """An ASGI application of the gate's own paths and nothing else."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._answer(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case _:  # a WebSocket's handshake: there is none to open
                await receive()
                await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = head_of(scope)
        body = IncomingBody(receive, KeptBody(self.gate.budget), head.header("content-length"), self.gate.body_timeout)
        try:
            ruling = await self.gate.aserve(head, body.read)
            await answer(ruling.response if isinstance(ruling, Answer) else NOT_FOUND, scope, body, send)
        finally:
            body.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.gate.aclose()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def serve(gate: Gate, listener: socket.socket) -> None:
    """Serve on a listening socket until the process is told to end."""
    config = uvicorn.Config(
        OwnPaths(gate),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who the peer is decides whether it may ask: no header may change that
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    Server(config).run([listener])


class Server(uvicorn.Server):
    """Says where it is, once it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port, *_ = _address(listener)
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            print(f"Listening on {place}. Ctrl-C ends it.", flush=True)
            tell(logging.INFO, "ready", f"listening on {place}", listen=[place])


def _address(listener: socket.socket) -> tuple[Any, ...]:
    name: tuple[Any, ...] = listener.getsockname()
    return name
