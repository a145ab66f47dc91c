"""The body of one request on its way from the client: to the policy first where it is asked, then to the application.

It holds at most what one read of the socket gave; while nobody takes that, nothing more is read from the client.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from caputchin_gate.body_pace import BodyPace
from caputchin_gate.effects import BodyEnd, LastPiece

if TYPE_CHECKING:
    from caputchin_gate.sidecar.client import ClientConnection
    from caputchin_gate.sidecar.settings import Timeouts
    from caputchin_gate.sidecar.wire import Request


class Sink(Protocol):
    """Where a body flows to."""

    @property
    def is_full(self) -> bool: ...

    def write_body(self, content: bytes) -> None: ...

    def end_body(self) -> None: ...

    def flush(self) -> None: ...


class NoRequestBody:
    """Of a request that has none, most of them: one for all."""

    __slots__ = ()
    complete: Final = True
    wanted: Final = False
    broken: Final = None

    async def next(self) -> BodyEnd:
        return BodyEnd.COMPLETE

    def next_now(self) -> BodyEnd:
        return BodyEnd.COMPLETE

    def flow_into(self, sink: Sink) -> None:
        sink.end_body()

    def fail(self, why: BodyEnd) -> None:
        pass

    def stop(self) -> None:
        pass


NO_REQUEST_BODY: Final = NoRequestBody()


class WholeBody:
    """One that came with its head, as most do."""

    __slots__ = ("_content",)
    complete: Final = True
    wanted: Final = False
    broken: Final = None

    def __init__(self, content: bytes) -> None:
        self._content = content

    def next_now(self) -> LastPiece | BodyEnd:
        content, self._content = self._content, b""
        return LastPiece(content) if content else BodyEnd.COMPLETE

    async def next(self) -> LastPiece | BodyEnd:
        return self.next_now()

    def flow_into(self, sink: Sink) -> None:
        if self._content:
            sink.write_body(self._content)
        sink.end_body()

    def fail(self, why: BodyEnd) -> None:
        pass

    def stop(self) -> None:
        pass


class RequestBody:
    __slots__ = ("_client", "_expects", "_held", "_noted", "_pace", "_reader", "_sink", "_waiter", "broken", "received")

    def __init__(self, client: ClientConnection, request: Request) -> None:
        self._client = client
        self._reader = request.body
        self._expects = request.expects
        self._held: list[bytes] = []
        self._sink: Sink | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._pace: BodyPace | None = None
        self._noted = 0  # how much of it the pace knows of
        self.received = 0
        self.broken: BodyEnd | None = None  # why no more will come although it is not complete

    @property
    def complete(self) -> bool:
        return self._reader.done

    @property
    def wanted(self) -> bool:
        """Whether somebody is there to take more of it."""
        if self._reader.done or self.broken is not None:
            return False
        if self._sink is not None:
            return not self._sink.is_full
        # An event loop may read dozens of times before whoever waits here gets its turn.
        return self._waiter is not None and not self._held

    def pace(self, timeouts: Timeouts, now: float) -> BodyPace:
        """The time it may take; most bodies come with their head, and never need it."""
        if self._pace is None:
            self._pace = BodyPace(timeouts.body_stall, now, timeouts.body_rate)
            self._noted = self.received
        elif self.received > self._noted:
            self._pace.came(self.received - self._noted, now)
            self._noted = self.received
        return self._pace

    # From the client

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; what follows the body is given back. Raises BadFraming."""
        self._expects = False
        content, rest = self._reader.feed(data)
        self.received += len(content)
        if self._sink is not None:
            if content:
                self._sink.write_body(content)
            if self._reader.done:
                self._sink.end_body()
        elif content or self._reader.done:
            if content:
                self._held.append(content)
            self._wake()
        return rest

    def fail(self, why: BodyEnd) -> None:
        if self.broken is None and not self._reader.done:
            self.broken = why
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # To the policy

    async def next(self) -> bytes | LastPiece | BodyEnd:
        """The next piece, never empty, or why none will come."""
        while (piece := self.next_now()) is None:
            self._waiter = asyncio.get_running_loop().create_future()
            self._ask()
            try:
                await self._waiter
            finally:
                self._waiter = None
                self._client.update_reading()
        return piece

    def next_now(self) -> bytes | LastPiece | BodyEnd | None:
        """The same, None where it has to be waited for."""
        if self._held:
            piece = self._take_held()
            return LastPiece(piece) if self._reader.done else piece
        if self.broken is not None:
            return self.broken
        return BodyEnd.COMPLETE if self._reader.done else None

    # To the application

    def flow_into(self, sink: Sink) -> None:
        """What is held, then everything as it comes."""
        self._sink = sink
        if self._held:
            sink.write_body(self._take_held())
        if self._reader.done:
            sink.end_body()
        else:
            sink.flush()
            self._ask()

    def stop(self) -> None:
        """Nobody takes any more of it."""
        self._sink = None
        self._held.clear()

    def _ask(self) -> None:
        if self._expects:  # the client waits for this before it sends anything (threats.md R27)
            self._expects = False
            self._client.write_continue()
        self._client.update_reading()

    def _take_held(self) -> bytes:
        piece = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        return piece
