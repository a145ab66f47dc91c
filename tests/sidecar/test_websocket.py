"""WebSockets, through real servers and a real client library: they pass where no rule guards, and nowhere else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.servers import serve
from tests.sidecar.running import Running, sidecar
from tests.sidecar.scripted import Play, Scripted
from tests.sidecar.talking import read_all
from tests.wire import connect as connect_raw
from tests.wire import request_bytes

APP = "tests.sidecar.test_websocket:application"
STACKS = ("uvicorn-httptools", "hypercorn", "daphne")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Echoes messages; `end` is answered by the end."""
    if scope["type"] != "websocket":
        return
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    await send({"type": "websocket.send", "text": headers.get("x-caputchin-verdict", "none")})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "end":
            await send({"type": "websocket.close", "code": 1000})
            return
        await send({"type": "websocket.send", **{key: message[key] for key in ("text", "bytes") if message.get(key)}})


@pytest.fixture(scope="module", params=STACKS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(request.param, APP) as server:
        url = f"http://127.0.0.1:{server.port}"
        with sidecar(tmp_path_factory.mktemp("gate"), url) as started:
            yield started


def opened(running: Running, path: str, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{running.port}{path}", open_timeout=15, proxy=None, max_size=None, **options)


def test_messages_pass_both_ways_as_they_are(running: Running) -> None:
    with opened(running, "/chat?a=b", subprotocols=["v1.example"]) as socket:
        assert socket.subprotocol == "v1.example"
        assert socket.recv(10) == "unguarded"
        for message in ("", "hello", "ü" * 5000, b"\x00\xff" * 40_000, b"x" * 900_000):
            if message:
                socket.send(message)
                assert socket.recv(10) == message
        socket.send("end")
        with pytest.raises(ConnectionClosed):
            socket.recv(10)


def test_messages_of_both_sides_at_once_do_not_block_each_other(running: Running) -> None:
    with opened(running, "/chat") as socket:
        socket.recv(10)
        sender = threading.Thread(target=lambda: [socket.send(b"x" * 65536) for _ in range(200)])
        sender.start()
        assert sum(len(socket.recv(10)) for _ in range(200)) == 200 * 65536
        sender.join()


@pytest.mark.parametrize("path", ["/contact", "//contact", "/%63ontact", "/secret-page", "/any-method"])
def test_a_handshake_to_a_guarded_path_is_refused(running: Running, path: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        opened(running, path)
    assert refusal.value.response.status_code == 403


def test_a_handshake_that_the_application_refuses_is_refused(running: Running) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        opened(running, "/refused")
    assert refusal.value.response.status_code == 403


def test_the_end_of_one_side_is_the_end_of_the_other(running: Running) -> None:
    with opened(running, "/chat") as socket:
        socket.recv(10)
        socket.socket.close()
    with opened(running, "/chat") as socket:
        assert socket.recv(10) == "unguarded"


ACCEPTS = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
HANDSHAKE = request_bytes("GET /chat\nConnection: Upgrade\nUpgrade: websocket", b"", close=False)
HASTY = {"timeouts": {"response": "300ms"}}


def test_a_websocket_on_which_nothing_is_said_yet_stays_open(tmp_path: Path) -> None:
    """A server that lets the client speak first: only `silence` ends it."""
    with (
        Scripted([Play(ACCEPTS)]) as upstream,
        sidecar(tmp_path, upstream.url, sidecar=HASTY) as running,
        connect_raw(running.port) as connection,
    ):
        connection.sendall(HANDSHAKE)
        assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_silent_websocket_whose_application_does_not_read_leaves_nothing_open(tmp_path: Path) -> None:
    table = {"timeouts": {"response": "300ms", "silence": "1s"}}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with sidecar(tmp_path, url, sidecar=table) as running:
            before = open_files(running)
            with connect_raw(running.port) as client:
                client.sendall(HANDSHAKE)
                application, _ = listening.accept()
                application.recv(65536)
                application.sendall(ACCEPTS)
                client.recv(65536)
                client.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    client.sendall(b"x" * 20_000_000)
            end = time.monotonic() + 5
            while open_files(running) > before:
                assert time.monotonic() < end
                time.sleep(0.05)
            application.close()


def test_a_client_that_ended_its_side_before_the_101_has_ended_it_for_the_application_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with sidecar(tmp_path, url) as running, connect_raw(running.port) as client:
            client.sendall(HANDSHAKE)
            client.shutdown(socket.SHUT_WR)
            application, _ = listening.accept()
            with application:
                application.settimeout(5)
                application.recv(65536)
                time.sleep(0.2)  # so that the sidecar has seen the end
                application.sendall(ACCEPTS)
                assert application.recv(65536) == b""
            assert read_all(client).startswith(b"HTTP/1.1 101 ")


def open_files(running: Running) -> int:
    (worker,) = running.workers()
    return len(list(Path(f"/proc/{worker}/fd").iterdir()))


def test_websockets_can_be_switched_off(tmp_path: Path) -> None:
    with serve("uvicorn-httptools", APP) as server:
        url = f"http://127.0.0.1:{server.port}"
        with sidecar(tmp_path, url, sidecar={"websockets": False}) as running, pytest.raises(InvalidStatus):
            opened(running, "/chat")
