"""What a guarded submission pays: a small form, in-process proof of work, each request with a token of its own.

Driven without a server: the applications are called with scope and environ. CPU time of the whole process, so a
store that is asked from a thread is counted too.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import starlette.requests
import werkzeug

from benchmarks.harness import MICRO, Row, Samples, at_most, by_turns, cpu_seconds
from benchmarks.requests import environ_of, scope_of
from benchmarks.solutions import gate, solved
from caputchin_gate import asgi, wsgi

SUBMISSIONS = 1_000
NOTE = "A urlencoded form of about 150 bytes; what is named is the CPU time over the bare application's."


def rows() -> Iterator[Row]:
    bodies = [form_with(token) for token in solved(SUBMISSIONS)]
    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder, f"{number}.db") for number in count())
        stores: dict[str, Callable[[], str]] = {"memory": lambda: "memory", "sqlite": lambda: f"sqlite://{next(files)}"}
        for door, cost, parsing in (("ASGI", asgi_cost, starlette_form), ("WSGI", wsgi_cost, werkzeug_form)):
            samples = by_turns(
                {"bare": partial(cost, None, bodies), "form": partial(parsing, bodies)}
                | {name: partial(cost, store, bodies) for name, store in stores.items()},
                rounds=5,
            )
            peer = f"{parsing.__name__.removesuffix('_form')} reads the form"
            yield row(f"protected {door} POST, memory store, adds", "memory", 45, samples, peer)
            yield row(f"protected {door} POST, sqlite store, adds", "sqlite", 80, samples, peer)


def row(what: str, store: str, limit: float, samples: Samples, peer: str) -> Row:
    ours, form = (samples.added(name, "bare") * MICRO for name in (store, "form"))
    return Row(what, ours, "us", ((peer, form),), at_most(limit), NOTE)


def form_with(token: str) -> bytes:
    return (
        b"name=Ada+Lovelace&email=ada%40example.org&message=Could+you+send+me+your+catalogue%3F+Thanks"
        b"&caputchin-token=" + token.encode()
    )


def asgi_cost(store: Callable[[], str] | None, bodies: Sequence[bytes]) -> float:
    """CPU seconds of one submission; without a store the bare application's."""
    application = AsgiApplication()
    scopes = [scope_of("/contact", "POST", len(body)) for body in bodies]

    async def serve(app: Callable[..., Awaitable[None]]) -> float:
        started = time.process_time()
        for scope, body in zip(scopes, bodies, strict=True):
            await app(scope, Request(body).receive, discard)
        return (time.process_time() - started) / len(bodies)

    if store is None:
        return asyncio.run(serve(application))
    guard = gate(store())
    seconds = asyncio.run(serve(asgi.GateMiddleware(application, gate=guard)))
    guard.close()
    _expect_all(application.bytes_read, bodies)
    return seconds


def starlette_form(bodies: Sequence[bytes]) -> float:
    """What the framework itself takes to parse such a form."""

    async def parse() -> float:
        started = time.process_time()
        for scope, body in zip(scopes, bodies, strict=True):
            await starlette.requests.Request(scope, Request(body).receive).form()
        return (time.process_time() - started) / len(bodies)

    scopes = [scope_of("/contact", "POST", len(body)) for body in bodies]
    return asyncio.run(parse())


class Request:
    """The body of one request, in one piece, as a server gives a small one."""

    def __init__(self, body: bytes) -> None:
        self._message = {"type": "http.request", "body": body, "more_body": False}

    async def receive(self) -> dict[str, Any]:
        return self._message


async def discard(message: Any) -> None:
    pass


class AsgiApplication:
    """Reads the body and answers."""

    def __init__(self) -> None:
        self.bytes_read = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            self.bytes_read += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def wsgi_cost(store: Callable[[], str] | None, bodies: Sequence[bytes]) -> float:
    """CPU seconds of one submission; without a store the bare application's."""
    application = WsgiApplication()
    environs = [environ_of("/contact", "POST", body) for body in bodies]

    def serve(app: Callable[[Any, Any], Iterable[bytes]]) -> None:
        for environ in environs:
            for _ in app(environ, discard_start):
                pass

    if store is None:
        return cpu_seconds(lambda: serve(application), len(bodies))
    guard = gate(store())
    app = wsgi.GateMiddleware(application, gate=guard)
    seconds = cpu_seconds(lambda: serve(app), len(bodies))
    guard.close()
    _expect_all(application.bytes_read, bodies)
    return seconds


def werkzeug_form(bodies: Sequence[bytes]) -> float:
    environs = [environ_of("/contact", "POST", body) for body in bodies]
    return cpu_seconds(lambda: [len(werkzeug.Request(environ).form) for environ in environs], len(bodies))


def discard_start(status: str, headers: Any, exc_info: Any = None) -> Any:
    pass


class WsgiApplication:
    """Reads the body and answers."""

    def __init__(self) -> None:
        self.bytes_read = 0

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.bytes_read += len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("204 No Content", [])
        return ()


def _expect_all(bytes_read: int, bodies: Sequence[bytes]) -> None:
    if bytes_read != sum(map(len, bodies)):
        raise RuntimeError("some submissions were refused: their cost is not what is measured here")
