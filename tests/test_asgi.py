"""What only ASGI has: lifespan, WebSockets, mounts; and what must not be disturbed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from caputchin_gate import ConfigurationError, Gate
from caputchin_gate.asgi import GateMiddleware
from tests.servers import STACKS, Server, serve, serve_all
from tests.wire import connect, exchange, request_bytes

GATE = Gate(
    provider="caputchin",
    verification="in-process",
    store="memory",
    protect=["POST /contact", "/chat", "/open-chat"],
    exempt=["* /open-chat"],
)
HANDSHAKE = (
    "\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
)


def call(scope: dict[str, Any], *messages: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Drive the middleware with a scope; what was sent, and the scopes that the application saw."""
    sent: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    coming = iter(messages)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": (await receive())["type"] + ".complete"})

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(GateMiddleware(application, gate=GATE)(scope, receive, send))
    return sent, seen


def test_lifespan_passes_as_it_is() -> None:
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    sent, seen = call(scope, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert seen == [scope]


def test_an_open_request_is_handed_on_with_the_very_same_scope() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": []}
    _, seen = call(scope)
    assert seen[0] is scope


def test_an_unknown_kind_of_scope_passes() -> None:
    scope = {"type": "something.new"}
    _, seen = call(scope)
    assert seen == [scope]


def test_a_gate_that_guards_nothing_is_a_mistake() -> None:
    idle = Gate(provider="caputchin", secret="cpt_sec_example", store="memory")
    with pytest.raises(ConfigurationError, match="nothing is protected"):
        GateMiddleware(lambda *_: None, gate=idle)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/", True),
        ("/contact", False),
        ("//contact", False),
        ("/%63hat", False),
        ("/chat", False),
        ("/open-chat", True),
    ],
)
@pytest.mark.parametrize("stack", ["uvicorn-httptools", "hypercorn"])
def test_a_websocket_to_a_guarded_path_is_closed(stack: str, path: str, passes: bool, websocket_ports: Any) -> None:
    answer = exchange_handshake(websocket_ports[stack], path)
    assert answer.startswith(b"HTTP/1.1 101" if passes else b"HTTP/1.1 403")


def exchange_handshake(port: int, path: str) -> bytes:
    raw = request_bytes(f"GET {path}{HANDSHAKE}", b"", close=False)
    with connect(port) as connection:
        connection.sendall(raw)
        return connection.recv(64)


async def chatting(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})


guarded_chat = GateMiddleware(chatting, gate=GATE)


@pytest.fixture(scope="module")
def websocket_ports() -> Any:
    stacks = ("uvicorn-httptools", "hypercorn")
    with serve_all([Server(stack, "tests.test_asgi:guarded_chat") for stack in stacks]) as servers:
        yield {server.stack: server.port for server in servers}


@pytest.mark.parametrize("stack", ["uvicorn-h11", "hypercorn", "gunicorn-sync", "waitress"])
def test_a_mounted_application_is_guarded_by_rules_as_it_sees_them_and_in_full(stack: str) -> None:
    with serve(stack, f"tests.mounted:{STACKS[stack].interface}") as server:
        for mount, status in (("/relative", 403), ("/full", 403), ("/bare", 200)):
            post = request_bytes(f"POST {mount}/contact", b"")
            assert exchange(server.port, post).status == status
            script = exchange(server.port, request_bytes(f"GET {mount}/.caputchin/captcha.js", b""))
            assert (script.status == 200 and b"caputchin" in script.body) == (status == 403)
