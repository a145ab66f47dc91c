"""Many clients that upload slowly through a guarded route at once: the memory and the patience of one worker."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.harness import Row, at_most
from benchmarks.serving import keep_to_core, server
from benchmarks.solutions import solved
from benchmarks.upload import BOUNDARY, MEBIBYTE

CLIENTS = 64
SIZE = 20 * MEBIBYTE
SECONDS = 8.0  # that each upload takes
PIECE = 64 * 1024
NOTE = (
    f"{CLIENTS} clients at once, 20 MiB each in {SECONDS:g} seconds. Memory is the peak over its value before; the lag "
    "is how long at worst the event loop of the worker was kept waiting."
)


def rows() -> Iterator[Row]:
    tokens = solved(2 * CLIENTS, client="127.0.0.1")
    with server("upload") as application, relay(application) as (port, observer):
        keep_to_core(0)
        for place, first, memory, lag in (("first", True, 30, 20), ("last", False, 60, 50)):
            mine = [tokens.pop() for _ in range(CLIENTS)]
            before = tell(observer)
            asyncio.run(upload_all(port, mine, token_first=first))
            after = tell(observer)
            grown = (after["peak"] - before["resident"]) / MEBIBYTE
            what = f"sidecar, {CLIENTS} slow uploads, token {place}"
            yield Row(f"{what}: memory grows by", grown, "MiB", budget=at_most(memory), note=NOTE)
            yield Row(f"{what}: loop lag", after["lag"] * 1000, "ms", budget=at_most(lag), note=NOTE)


@contextmanager
def relay(application: int) -> Iterator[tuple[int, int]]:
    """Its port, and that of its observer."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as clients, socket.create_server(("127.0.0.1", 0)) as ours:
        descriptors = clients.fileno(), ours.fileno()
        command = [sys.executable, "-m", "benchmarks.relaying", *map(str, (application, *descriptors))]
        process = subprocess.Popen(command, pass_fds=descriptors)
        try:
            yield clients.getsockname()[1], ours.getsockname()[1]
        finally:
            process.terminate()
            process.wait(timeout=40)


def tell(observer: int) -> dict[str, float]:
    with socket.create_connection(("127.0.0.1", observer), timeout=20) as connection:
        told: dict[str, float] = json.loads(connection.makefile().read())
        return told


async def upload_all(port: int, tokens: Sequence[str], *, token_first: bool) -> None:
    async with asyncio.TaskGroup() as group:
        for token in tokens:
            group.create_task(upload(port, token, token_first=token_first))


async def upload(port: int, token: str, *, token_first: bool) -> None:
    part = b"--%s\r\nContent-Disposition: form-data; name=%s\r\n\r\n"
    field = part % (BOUNDARY, b'"caputchin-token"') + token.encode() + b"\r\n"
    file = part % (BOUNDARY, b'"film"; filename="film.mp4"')
    start = (field if token_first else b"") + file
    end = b"\r\n" + (b"" if token_first else field) + b"--%s--\r\n" % BOUNDARY
    head = (
        "POST /upload HTTP/1.1",
        "Host: shop.example",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}",
        f"Content-Length: {len(start) + SIZE + len(end)}",
        f"X-File-Offset: {len(start)}",
        "Connection: close",
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*head, "", ""]).encode() + start)
    piece = bytes(PIECE)
    for _ in range(SIZE // PIECE):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(SECONDS / (SIZE // PIECE))
    writer.write(end)
    answer = await reader.read()
    writer.close()
    if b" 200 " not in answer[:20]:
        raise RuntimeError(f"refused: {answer[:300]!r}")
