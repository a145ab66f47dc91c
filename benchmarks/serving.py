"""Server processes for the benchmarks: `python -m benchmarks.serving NAME DESCRIPTOR` serves one of the applications
below on a listening socket that it inherits, so nobody waits for a port to open."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def server(name: str) -> Iterator[int]:
    """Run a server process until the block ends; gives its port on loopback."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        descriptor = listening.fileno()
        command = [sys.executable, "-m", "benchmarks.serving", name, str(descriptor)]
        process = subprocess.Popen(command, pass_fds=(descriptor,))
        try:
            yield listening.getsockname()[1]
        finally:
            process.terminate()
            process.wait(timeout=10)


def keep_to_core(number: int) -> None:
    """Client and server on a core each, and both servers of a comparison on the same one."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


# A small application for rates: it tells the CPU time of its process when asked


async def small(scope: Any, receive: Any, send: Any) -> None:
    body = str(time.process_time()).encode() if scope["path"] == "/cpu" else b"hello"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# An application for uploads: it drops what it reads, and tells when the file began and how much memory was used


async def upload(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/reset":
        answer: dict[str, float] = {"resident": reset_peak()}
    else:
        answer = await receive_file(scope, receive)
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def receive_file(scope: Any, receive: Any) -> dict[str, float]:
    offset = int(dict(scope["headers"])[b"x-file-offset"])
    received, first_byte, more = 0, 0.0, True
    while more:
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
        if not first_byte and received > offset:
            first_byte = time.monotonic()
    return {"received": received, "first_file_byte": first_byte, "peak": peak_bytes()}


def reset_peak() -> int:
    """Let the peak of resident memory begin again; the resident bytes now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_bytes() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def gated(app: Any) -> Any:
    from benchmarks.solutions import gate
    from caputchin_gate.asgi import GateMiddleware

    return GateMiddleware(app, gate=gate(protect=["POST /upload"]))


def run_uvicorn(app: Any, listening: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(app, access_log=False, log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


# A provider that says yes


class Provider(asyncio.Protocol):
    """Answers every complete request on its connection with the same yes."""

    body = b'{"success":true}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        while end and len(body) >= (length := self._length(head)):
            self._transport.write(self.answer)
            self._received = body[length:]
            head, end, body = self._received.partition(b"\r\n\r\n")

    @staticmethod
    def _length(head: bytes) -> int:
        _, _, rest = head.lower().partition(b"content-length:")
        return int(rest.split(b"\r\n", 1)[0])


def run_provider(listening: socket.socket) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Provider, sock=listening)
        await server.serve_forever()

    asyncio.run(serve())


def main(name: str, descriptor: int) -> None:
    listening = socket.socket(fileno=descriptor)
    keep_to_core(1)
    logging.getLogger("caputchin_gate").setLevel(logging.ERROR)  # a store in memory is what we want here
    match name:
        case "provider":
            run_provider(listening)
        case "small" | "upload":
            run_uvicorn(globals()[name], listening)
        case "gated small" | "gated upload":
            run_uvicorn(gated(globals()[name.removeprefix("gated ")]), listening)
        case _:
            raise SystemExit(f"no server is named {name}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
