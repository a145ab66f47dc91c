"""One guarded application for every door: it tells what reached it, byte for byte.

    asgi            any path: answers 200 with a JSON description of the request
    wsgi            the same for WSGI
    GET /runs       how often a handler other than these two ran to its end
    GET /begun      how often one began, before it read the body

The gate's settings come from the environment (GATE_STORE: its store; as JSON, GATE_LIMITS and GATE_HARDENING), so that
tests can solve challenges themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from caputchin_gate import Decision, Gate, Route
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.wsgi import GateMiddleware as WsgiGate

SIGNING_KEY = "a signing key that only these tests use"
PROTECT = (
    "POST /contact",
    "/any-method",
    "PUT /items/{item}",
    "GET /secret-page",
    Route("POST /small", max_body="64KiB"),
    Route("POST /redirected", on_refuse="redirect:/contact?captcha=failed"),
    Route("POST /passed-on", on_refuse="pass"),
    Route("POST /by-query", token_from=["query", "cookie"]),
    "POST /hooks/{name}",
)

runs = 0
begun = 0


def make_gate(protect: Sequence[str | Route] = PROTECT, exempt: Sequence[str] = ("POST /hooks/stripe",)) -> Gate:
    return Gate(**settings(protect, exempt))


def settings(protect: Sequence[str | Route], exempt: Sequence[str] = ()) -> Any:
    return {
        "provider": {"kind": "caputchin", "verification": "in-process"},
        "protect": protect,
        "exempt": exempt,
        "store": os.environ.get("GATE_STORE", "memory"),
        "limits": json.loads(os.environ.get("GATE_LIMITS", "{}")),
        "in_process": {
            "signing_key": SIGNING_KEY,
            "client_binding": "off",
            "challenges_per_minute": 10_000,
            "hardening": json.loads(os.environ.get("GATE_HARDENING", "{}")),
        },
    }


def description(body: Iterable[bytes], decision: Decision | None, headers: list[tuple[str, str]]) -> bytes:
    global runs
    runs += 1
    digest = hashlib.sha256()
    length = 0
    for piece in body:
        digest.update(piece)
        length += len(piece)
    told = {
        "length": length,
        "sha256": digest.hexdigest(),
        "reason": decision.reason if decision is not None else None,
        "admitted": decision.admitted if decision is not None else None,
        "own_headers": sorted(name for name, _ in headers if name.startswith("x-caputchin")),
    }
    return json.dumps(told).encode()


async def asgi_application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        return
    global begun
    if scope["path"].endswith(("/runs", "/begun")):
        answer = str(runs if scope["path"].endswith("/runs") else begun).encode()
    else:
        begun += 1
        pieces = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        answer = description(pieces, scope.get("caputchin_gate"), headers)
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer})


def wsgi_application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    global begun
    if environ["PATH_INFO"].endswith(("/runs", "/begun")):
        answer = str(runs if environ["PATH_INFO"].endswith("/runs") else begun).encode()
    else:
        begun += 1
        stream = environ["wsgi.input"]
        declared = environ.get("CONTENT_LENGTH") or None
        if declared is not None:
            body = stream.read(int(declared))
        else:
            body = stream.read() if environ.get("wsgi.input_terminated") else b""
        headers = [
            (name[5:].replace("_", "-").lower(), value) for name, value in environ.items() if name.startswith("HTTP_")
        ]
        answer = description([body], environ.get("caputchin_gate"), headers)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer]


gate = make_gate()
asgi = AsgiGate(asgi_application, gate=gate)
wsgi = WsgiGate(wsgi_application, gate=gate)
