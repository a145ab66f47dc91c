"""An application behind the gate whose log, at its most talkative, must not hold a canary (`test_canaries.py`)."""

from __future__ import annotations

import logging
import os
from typing import Any

from caputchin_gate import Gate, Route
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.wsgi import GateMiddleware as WsgiGate

logging.basicConfig(level=logging.DEBUG)

gate = Gate(
    provider="caputchin",
    secret={"env": "CANARY_SECRET"},
    endpoint=os.environ["CANARY_PROVIDER"],
    timeout="300ms",
    attempts=1,
    protect=["POST /contact", Route("POST /passed", on_refuse="pass"), Route("POST /admit", on_outage="admit")],
    receipt="2m",
    store=os.environ["CANARY_STORE"],
    in_process={"signing_key": {"env": "CANARY_KEY"}},
    limits={"submissions_per_minute": 10_000},
)


@gate.on_decision
def listener(decision: Any) -> None:
    logging.getLogger("application").info("%r", decision)
    raise RuntimeError("the listener fails")


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


def _wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


asgi = AsgiGate(_asgi, gate=gate)
wsgi = WsgiGate(_wsgi, gate=gate)
