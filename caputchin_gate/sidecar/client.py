"""The side of the client: one connection, its requests read one at a time.

HEAD       between requests, or in the middle of a head
BUSY       a request is with its exchange; what follows it waits unread
TUNNEL     after a WebSocket's 101
LINGERING  answered and refused: what still comes is dropped, for a bounded while (threats.md R26)
ENDING     closed, as soon as everything is written
"""

from __future__ import annotations

import asyncio
import math
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, cast

from caputchin_gate.doors import LINGER_BYTES, LINGER_SECONDS
from caputchin_gate.effects import BodyEnd
from caputchin_gate.sidecar import answers
from caputchin_gate.sidecar.bodies import NO_BODY, BadFraming, FixedLength
from caputchin_gate.sidecar.exchange import Exchange
from caputchin_gate.sidecar.forwarding import Forwarding
from caputchin_gate.sidecar.request_body import NO_REQUEST_BODY, NoRequestBody, RequestBody, WholeBody
from caputchin_gate.sidecar.wire import Request, Unreadable, head_end, read_request
from caputchin_gate.sidecar.writing import write_together

if TYPE_CHECKING:
    from caputchin_gate.sidecar.relay import Relay
    from caputchin_gate.sidecar.tunnel import Tunnel

WRITE_BUFFER: Final = 128 * 1024
GRACE_SECONDS: Final = 1.0  # for a request that is on its way while the relay ends


class State(Enum):
    HEAD = auto()
    BUSY = auto()
    TUNNEL = auto()
    LINGERING = auto()
    ENDING = auto()


# An attribute of an Enum is slow, and these are asked for with each segment.
HEAD: Final = State.HEAD
BUSY: Final = State.BUSY
TUNNEL: Final = State.TUNNEL
LINGERING: Final = State.LINGERING
ENDING: Final = State.ENDING


class ClientConnection(asyncio.Protocol):
    __slots__ = (
        "_dropped",
        "_exchange",
        "_is_full",
        "_no_more",
        "_paused_at",
        "_relay",
        "_seen",
        "_state",
        "_tls",
        "_tunnel",
        "_unread",
        "deadline",
        "forwarding",
        "is_made",
        "peer",
        "transport",
    )

    def __init__(self, relay: Relay, *, tls: bool = False, seated_as: str | None = None) -> None:
        self._relay = relay
        self._tls = tls
        self._state = HEAD
        self._exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._unread = b""
        self._seen = 0  # how much of it was looked at
        self._is_full = False
        self._no_more = False  # the client sends no more requests
        self._paused_at: float | None = None
        self._dropped = 0
        self.deadline = math.inf
        self.peer = seated_as
        self.is_made = False

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_BUFFER)
        self.is_made = True
        if not self._tls:
            peer = transport.get_extra_info("peername")
            self.peer = peer[0] if isinstance(peer, tuple) else None
        self.forwarding = Forwarding(self.peer, "https" if self._tls else "http", self._relay.gate.trusted_proxies)
        self.deadline = self._relay.loop.time() + self._relay.settings.timeouts.head
        self._relay.clients.add(self)
        if not (self._tls or self._relay.seat(self.peer)):
            self._state = LINGERING
            self.write(answers.written(answers.TOO_MANY, b"", closes=True))
            self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = ENDING
        self.deadline = math.inf
        self._relay.clients.discard(self)
        self._relay.unseat(self.peer)
        exchange, tunnel = self._exchange, self._tunnel
        self._exchange = self._tunnel = None
        if exchange is not None:
            exchange.abandoned()
        if tunnel is not None:
            tunnel.lost()

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is HEAD:
            self._unread = self._unread + data if self._unread else data
            self._work()
            if self._is_full:
                self.update_reading()
        elif state is BUSY:
            self._feed(data)
        elif state is TUNNEL:
            cast("Tunnel", self._tunnel).from_client(data)
        elif state is LINGERING:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self.close()

    def eof_received(self) -> bool:
        self._no_more = True
        match self._state:
            case State.BUSY:
                exchange = cast(Exchange, self._exchange)
                if not exchange.body.complete:
                    exchange.body_ends(BodyEnd.CUT_SHORT)
                return not self._tls  # a client may end its side and wait for the answer
            case State.TUNNEL:
                return cast("Tunnel", self._tunnel).client_ends() and not self._tls
            case State.HEAD if self._unread:  # requests that were sent together are all answered
                self._work()
                return not self._tls
            case _:
                self.close()
                return False

    # Requests

    def _work(self) -> None:
        """Begin the next request that is there."""
        if self._state is HEAD and self._unread and not self._is_full:
            self._begin()

    def _begin(self) -> None:
        relay, received = self._relay, self._unread
        limits = relay.settings.heads
        end = head_end(received, self._seen, limits.head)
        if end is None:
            if self._no_more:
                self.close()
            elif not self._seen:
                self.deadline = relay.loop.time() + relay.settings.timeouts.head
            self._seen = len(received)
            return
        request = read_request(received[:end], limits) if isinstance(end, int) else end
        if isinstance(request, Unreadable):
            self._refuse(request)
            return
        assert isinstance(end, int)
        if relay.takes_no_more:
            self.close()
            return
        self._unread, self._seen = b"", 0
        self._state = BUSY
        self.deadline = math.inf
        counters = relay.counters
        counters.requests += 1
        counters.in_flight += 1
        body, follows = self._body_of(request, received, end)
        exchange = self._exchange = Exchange(relay, self, request, body, relay.loop.time())
        if not follows or self._feed(follows):
            exchange.begin()
            if self._no_more and self._exchange is exchange and not body.complete:
                exchange.body_ends(BodyEnd.CUT_SHORT)

    def _body_of(
        self, request: Request, received: bytes, end: int
    ) -> tuple[NoRequestBody | WholeBody | RequestBody, bytes]:
        """The body of a request whose head ends there, and what follows that it has not taken yet."""
        reader = request.body
        if reader is NO_BODY:
            return NO_REQUEST_BODY, received[end:]
        if isinstance(reader, FixedLength) and end + reader.length <= len(received):
            whole = end + reader.length
            return WholeBody(received[end:whole]), received[whole:]
        return RequestBody(self, request), received[end:]

    def _feed(self, data: bytes) -> bool:
        """Give the exchange its body, and keep what follows that. False when it is no body."""
        exchange = cast(Exchange, self._exchange)
        body = exchange.body
        if isinstance(body, RequestBody) and not body.complete:
            try:
                data = body.feed(data)
            except BadFraming:
                self._unread = b""
                exchange.body_ends(BodyEnd.CUT_SHORT)
                return False
            if not body.complete:
                self.update_reading()
        if data:
            self._unread += data
            self.update_reading()
        return True

    def _refuse(self, unreadable: Unreadable) -> None:
        """What is no request ends the connection: nothing after it has one reading (threats.md R6)."""
        self._relay.counters.unreadable[unreadable.status] += 1
        self._unread = b""
        self.write(answers.written(answers.no_request(unreadable), b"", closes=True))
        self._linger()

    def answered(self, *, closes: bool, unread: bool) -> None:
        """The exchange is over. `unread`: its body was not read to the end."""
        self._exchange = None
        if unread:
            self._unread = b""
            self._linger()
        elif closes or (self._no_more and not self._unread) or self._relay.takes_no_more:
            self.close()
        else:
            self._state = HEAD
            self._wait()
            if self._paused_at is not None:
                self.update_reading()
            if self._unread:  # other connections come first: some requests are answered at once
                self._relay.loop.call_soon(self._work)

    def _wait(self) -> None:
        """For the next request."""
        patience = GRACE_SECONDS if self._relay.draining else self._relay.settings.timeouts.idle
        self.deadline = self._relay.loop.time() + patience

    # Reading

    def update_reading(self) -> None:
        """Read from the client if somebody takes it. While nobody does, its time does not run."""
        if self.transport.is_closing():
            return
        now = self._relay.loop.time()
        body = self._exchange.body if self._exchange is not None else None
        coming = body if isinstance(body, RequestBody) and not body.complete else None
        # Without a body to come it is read on all the same, to learn that the client goes away; but what waits for its
        # turn, or for the client to take its answers, is not piled up.
        wanted = coming.wanted if coming is not None else not self._unread or (body is None and not self._is_full)
        pace = coming.pace(self._relay.settings.timeouts, now) if coming is not None else None
        if wanted and self._paused_at is not None:
            if pace is not None:
                pace.excuse(now - self._paused_at)
            self._paused_at = None
            self.transport.resume_reading()
        elif not wanted and self._paused_at is None:
            self._paused_at = now
            self.transport.pause_reading()
        if body is not None and not self._is_full:
            self.deadline = pace.ends if pace is not None and wanted else math.inf

    # Writing

    def write(self, *pieces: bytes) -> None:
        """In one system call."""
        if not self.transport.is_closing():
            write_together(self.transport, *pieces)

    def write_continue(self) -> None:
        self.write(answers.CONTINUE)

    def pause_writing(self) -> None:
        self._is_full = True
        self.deadline = self._relay.loop.time() + self._relay.settings.timeouts.body_stall
        if self._tunnel is not None:
            self._tunnel.client_full()
        elif self._exchange is not None:
            self._exchange.client_full()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._state is LINGERING or self._state is ENDING:
            self.deadline = self._relay.loop.time() + self._relay.settings.timeouts.body_stall  # for the rest
            return
        self.deadline = math.inf
        if self._tunnel is not None:
            self._tunnel.client_drained()
        elif self._exchange is not None:
            self._exchange.client_drained()
            self.update_reading()
        elif self._state is HEAD:
            self._wait()
            self._work()
            self.update_reading()

    # The end

    def open_tunnel(self, tunnel: Tunnel) -> None:
        self._exchange = None
        self._tunnel = tunnel
        self._state = TUNNEL
        self.deadline = math.inf
        self.update_reading()
        if self._unread:
            data, self._unread = self._unread, b""
            tunnel.from_client(data)
        if self._no_more:
            tunnel.client_ends()

    def _linger(self) -> None:
        """Closing at once would reset the connection before the client has read its answer."""
        self._state = LINGERING
        self._dropped = 0
        self.deadline = self._relay.loop.time() + LINGER_SECONDS
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.update_reading()

    def close(self) -> None:
        self._state = ENDING
        self.deadline = self._relay.loop.time() + self._relay.settings.timeouts.body_stall  # for what is to be written
        self.transport.close()

    def abort(self) -> None:
        self._state = ENDING
        self.transport.abort()

    def leave_if_idle(self) -> None:
        """The relay ends. A request may be on its way: it is answered, and its answer says that the connection ends."""
        if self._state is HEAD and not self._unread:
            self.deadline = min(self.deadline, self._relay.loop.time() + GRACE_SECONDS)

    def overdue(self, now: float) -> bool:
        exchange = self._exchange
        return self.deadline < now or (exchange is not None and exchange.deadline < now)

    def expire(self, now: float) -> None:
        """Its time is over."""
        exchange = self._exchange
        if exchange is not None and exchange.deadline < now:
            exchange.expire()
            return
        self.deadline = math.inf
        match self._state:
            case State.HEAD if self._unread:
                self._refuse(Unreadable(408, "a head that does not come"))
            case State.HEAD:
                self.close()
            case State.BUSY if exchange is not None and not self._is_full:
                exchange.body_ends(BodyEnd.TOO_SLOW)
            case _:
                self.abort()
