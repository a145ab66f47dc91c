"""Requests a second under uvicorn, with the gate in front of a small application and without it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from typing import cast

import uvloop

from benchmarks.harness import Row, at_least_times, by_turns
from benchmarks.serving import keep_to_core, server
from benchmarks.unprotected_asgi import USUAL_PATHS

REQUESTS = 4_000
CONNECTIONS = 16


def rows() -> Iterator[Row]:
    with server("small") as bare, server("gated small") as gated:
        keep_to_core(0)
        ports = {"gate": gated, "bare": bare}
        samples = by_turns({name: partial(measure, port) for name, port in ports.items()}, rounds=21)
    yield Row(
        "unprotected requests under uvicorn",
        1 / samples.of("gate"),
        "a second",
        (("bare application", 1 / samples.of("bare")),),
        at_least_times(0.97),
        note="Requests in each second of the server's CPU time, so that the client can't be what limits it.",
    )


def measure(port: int) -> float:
    return uvloop.run(seconds_of_a_request(port))


async def seconds_of_a_request(port: int) -> float:
    """CPU seconds of the server."""
    before = float(await fetch(port, "/cpu"))
    requests = islice(cycle(request(path) for path in USUAL_PATHS), REQUESTS)
    loop, connections = asyncio.get_running_loop(), []
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(lambda: Connection(requests), "127.0.0.1", port)
        connections.append(connection)
    async with asyncio.timeout(60):
        await asyncio.gather(*(connection.ended for connection in connections))
    return (float(await fetch(port, "/cpu")) - before) / REQUESTS


def request(path: str) -> bytes:
    head = (f"GET {path} HTTP/1.1", "Host: shop.example", "User-Agent: Mozilla/5.0 (benchmark)", "Accept: */*")
    return "\r\n".join([*head, "", ""]).encode()


async def fetch(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(path).replace(b"Accept: */*", b"Connection: close"))
    _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return body


class Connection(asyncio.Protocol):
    """One request after the other, each when the answer to the last one is there."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._received = b""
        self._send_next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\nhello"):
            self._received = b""
            self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    def _send_next(self) -> None:
        following = next(self._requests, None)
        if following is not None:
            self._transport.write(following)
        else:
            self.ended.set_result(None)
            self._transport.close()
