"""A provider for the tests: a real HTTP server on loopback that answers what its script says and keeps what it got.

It speaks HTTP/1.1 by hand, because half of what it has to send is something no decent server would.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Any


class Pace(Enum):
    AT_ONCE = "at once"
    TRICKLE = "the head, then a blank every few milliseconds, for ever"
    SILENT = "reads the request and never answers"
    GONE = "reads the request and closes the connection"


@dataclass(frozen=True)
class Scripted:
    """One answer. `content_length` is said instead of the true one; `raw` replaces head and body.

    After either of them the server closes the connection, after others it keeps it, unless `closes` says otherwise.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_length: int | None = None
    pace: Pace = Pace.AT_ONCE
    closes: bool | None = None
    raw: bytes | None = None

    @classmethod
    def json(cls, answer: object, status: int = 200) -> Scripted:
        return cls(status, (("Content-Type", "application/json"),), json.dumps(answer).encode())

    @classmethod
    def recorded(cls, file: Path) -> Scripted:
        """A file of `providers/replies`: status, headers, and `body` (JSON) or `body_text`."""
        reply: dict[str, Any] = json.loads(file.read_text())
        body = reply["body_text"] if "body_text" in reply else json.dumps(reply["body"])
        headers = tuple(reply.get("headers", {"Content-Type": "application/json"}).items())
        return cls(reply["status"], headers, body.encode(), reply.get("content_length"))

    def wire(self) -> bytes:
        if self.raw is not None:
            return self.raw
        length = len(self.body) if self.content_length is None else self.content_length
        head = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in self.headers)]
        head.append(f"Content-Length: {10**6 if self.pace is Pace.TRICKLE else length}")
        return "\r\n".join([*head, "", ""]).encode() + self.body

    @property
    def ends_connection(self) -> bool:
        odd = self.raw is not None or self.content_length is not None or self.pace is Pace.GONE
        return odd if self.closes is None else self.closes


@dataclass(frozen=True)
class Received:
    """A request as it came: header names as sent, the body, and the number of its connection."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)


@dataclass
class SiteverifyServer:
    """`with SiteverifyServer(reply, ...) as server`: answers in that order, and the last one from then on."""

    script: Sequence[Scripted]
    tls: SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    got_request: threading.Event = field(default_factory=threading.Event)
    closed_connection: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}/siteverify"

    def __enter__(self) -> SiteverifyServer:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._converse, "127.0.0.1", 0, ssl=self.tls), self._loop
        ).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        try:
            while True:
                self.received.append(await self._read(reader, connection))
                reply = self.script[min(len(self.received), len(self.script)) - 1]
                self.got_request.set()
                await self._answer(reply, reader, writer)
                if reply.ends_connection:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()
            self._loop.call_soon(self.closed_connection.set)

    async def _read(self, reader: asyncio.StreamReader, connection: int) -> Received:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        return Received(method, target, headers, await reader.readexactly(length), connection)

    async def _answer(self, reply: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match reply.pace:
            case Pace.GONE:
                return
            case Pace.SILENT:
                await reader.read()
            case Pace.AT_ONCE:
                writer.write(reply.wire())
                await writer.drain()
            case Pace.TRICKLE:
                writer.write(reply.wire())
                while not reader.at_eof():
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.005)
