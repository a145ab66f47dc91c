"""Clients that ask again and again, on connections that are kept and partly pipelined, while something happens.

    with under_load(running.port) as load:
        load.go_on(300)                 until so many more requests were answered
        ...
    load.outcomes                       of every request that was sent

A third each are GETs, POSTs to an open path, and POSTs to a guarded one: with a fresh token, which half of the time is
sent twice on two connections, or without. The requests go to a `Counted` application, so each answer can be told to be
the right one.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.test_doors import fresh_token
from tests.wire import request_bytes

CLIENTS = 12
DEPTHS = (1, 1, 1, 4)  # how many requests a client sends at once
BATCHES = 40  # on one connection
PAUSE = 0.004  # between those, so that the machine is busy and not drowned
TOKENS = 200
PATIENCE = 20.0


class Kind(Enum):
    GET = auto()
    OPEN = auto()  # a POST that no rule guards
    TOKEN = auto()
    TOKENLESS = auto()


TURNS = (Kind.GET, Kind.OPEN, Kind.TOKEN, Kind.GET, Kind.OPEN, Kind.TOKENLESS)


@dataclass(frozen=True)
class Asked:
    id: int
    kind: Kind
    raw: bytes
    token: str | None = None


class End(Enum):
    RIGHT = auto()  # the answer to this very request
    REFUSED = auto()  # 403, by the gate
    FAILED = auto()  # 502
    CUT = auto()  # the connection ended before the answer was complete
    UNTAKEN = auto()  # an earlier answer on the connection said that it ends there
    DROPPED = auto()  # the connection was new, and ended before anything was answered on it
    WRONG = auto()


@dataclass(frozen=True, repr=False)
class Outcome:
    asked: Asked
    end: End
    began: float
    ended: float
    client: int  # the port it came from
    what: str = ""

    def __repr__(self) -> str:
        took = f"{self.began:.3f} to {self.ended:.3f}"
        return f"<{self.asked.id} {self.asked.kind.name} {self.end.name} from {self.client} {took} {self.what[:90]!r}>"

    def within(self, start: float, end: float) -> bool:
        """Whether it was under way at some time between these."""
        return self.began <= end and start <= self.ended


@dataclass
class Load:
    port: int
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._tokens = [token for number in range(TOKENS) for token in [fresh_token()] * (1 + number % 2)]
        self._ending = False
        self._went_on = threading.Condition()

    # For the test

    def go_on(self, more: int) -> None:
        """Until so many more requests have come to their end."""
        with self._went_on:
            enough = len(self.outcomes) + more
            assert self._went_on.wait_for(lambda: len(self.outcomes) >= enough, PATIENCE), self.ends()

    def ends(self) -> dict[str, int]:
        found = [f"{outcome.asked.kind.name} {outcome.end.name}" for outcome in self.outcomes]
        return {name: found.count(name) for name in sorted(set(found))}

    def all(self, *ends: End) -> Sequence[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.end in ends]

    # The clients

    async def run(self) -> None:
        await asyncio.gather(*(self._client(DEPTHS[number % len(DEPTHS)]) for number in range(CLIENTS)))

    def end(self) -> None:
        self._ending = True

    async def _client(self, depth: int) -> None:
        while not self._ending:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionError:  # nobody listens any more
                return
            for turn in range(BATCHES):
                asked = [self._next() for _ in range(depth)]
                if self._ending or not await self._batch(reader, writer, asked, is_new=not turn):
                    break
                await asyncio.sleep(PAUSE)
            writer.close()

    async def _batch(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[Asked], *, is_new: bool
    ) -> bool:
        """Whether the connection can be used further."""
        began, port = time.monotonic(), writer.get_extra_info("sockname")[1]
        writer.write(b"".join(one.raw for one in asked))
        lost: End | None = None
        for one in asked:
            end, what = (lost, "") if lost is not None else await self._outcome(reader, one)
            if end is End.CUT and is_new and one is asked[0]:
                end = End.DROPPED
            with self._went_on:
                self.outcomes.append(Outcome(one, end, began, time.monotonic(), port, what))
                self._went_on.notify_all()
            if end in (End.CUT, End.DROPPED):
                lost = end
            elif lost is None and "\r\nconnection: close\r\n" in what.lower():
                lost = End.UNTAKEN
        return lost is None

    async def _outcome(self, reader: asyncio.StreamReader, asked: Asked) -> tuple[End, str]:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lengths = [
                int(line.split()[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:")
            ]
            body = await reader.readexactly(lengths[0])
        except (asyncio.IncompleteReadError, ConnectionError) as failure:
            return End.CUT, repr(failure)
        status = head.split(" ", 2)[1]
        method = asked.raw.split(b" ", 1)[0]
        if status == "200" and body == b"%b %d" % (method, asked.id) and asked.kind is not Kind.TOKENLESS:
            return End.RIGHT, head
        if status == "403" and asked.kind in (Kind.TOKEN, Kind.TOKENLESS):
            return End.REFUSED, head
        return (End.FAILED if status == "502" else End.WRONG), head

    def _next(self) -> Asked:
        number = next(self._numbers)
        kind = TURNS[number % len(TURNS)]
        if kind is Kind.TOKEN and not self._tokens:
            kind = Kind.TOKENLESS
        wait = "&wait=30" if number % 5 == 0 else ""
        if kind is Kind.GET:
            return Asked(number, kind, request_bytes(f"GET /open?id={number}{wait}", b"", close=False))
        if kind is Kind.OPEN:
            body = b"name=Ann&text=" + b"x" * (number % 700)
            return Asked(number, kind, request_bytes(f"POST /open?id={number}{wait}", body, close=False))
        token = self._tokens.pop() if kind is Kind.TOKEN else None
        body = b"name=Ann" + (f"&caputchin-token={token}".encode() if token is not None else b"")
        head = f"POST /contact?id={number}{wait}\nContent-Type: application/x-www-form-urlencoded"
        return Asked(number, kind, request_bytes(head, body, close=False), token)


@contextmanager
def under_load(port: int) -> Iterator[Load]:
    load = Load(port)
    clients = threading.Thread(target=lambda: asyncio.run(asyncio.wait_for(load.run(), 60)), daemon=True)
    clients.start()
    try:
        yield load
    finally:
        load.end()
        clients.join(PATIENCE)
        assert not clients.is_alive(), "a client waits for an answer that does not come"
