"""The side of the application: one connection, one exchange at a time.

It is kept for another exchange only after a complete answer with one reading to a request that was sent completely
(threats.md R26). Whatever arrives unasked closes it.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, cast

from caputchin_gate.sidecar.bodies import LAST_CHUNK, BadFraming, UntilClose
from caputchin_gate.sidecar.settings import Timeouts
from caputchin_gate.sidecar.wire import RESPONSE_LIMITS, Response, Unreadable, head_end, read_response
from caputchin_gate.sidecar.writing import write_together

if TYPE_CHECKING:
    from caputchin_gate.sidecar.exchange import Exchange
    from caputchin_gate.sidecar.tunnel import Tunnel
    from caputchin_gate.sidecar.upstreams import Server, Upstreams

WRITE_BUFFER: Final = 128 * 1024
MOST_INFORMATIONAL: Final = 16


class UpstreamConnection(asyncio.Protocol):
    __slots__ = (
        "_chunks",
        "_drained",
        "_head",
        "_informational",
        "_method",
        "_paused",
        "_pool",
        "_received",
        "_response",
        "_sent",
        "_timeouts",
        "deadline",
        "exchange",
        "heard",
        "idle_since",
        "is_full",
        "loop",
        "reused",
        "server",
        "transport",
        "tunnel",
    )

    def __init__(self, pool: Upstreams, server: Server, timeouts: Timeouts, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop
        self.exchange: Exchange | None = None
        self.tunnel: Tunnel | None = None
        self.deadline = math.inf
        self.idle_since = 0.0
        self.reused = False
        self.heard = False  # whether a byte of the current answer has come
        self.is_full = False
        self._pool = pool
        self._timeouts = timeouts
        self._drained: asyncio.Future[None] | None = None
        self._head = b""
        self._received = b""
        self._response: Response | None = None
        self._informational = 0
        self._method = b""
        self._paused = False
        self._chunks = False
        self._sent = False

    # The request

    def begin(self, exchange: Exchange, method: bytes, head: bytes, *, chunked: bool) -> None:
        """A head to send; it goes out together with the first of its body (`write_body`, `end_body`, `flush`)."""
        self.exchange = exchange
        self.server.busy += 1
        self.heard = False
        self._method = method
        self._chunks = chunked
        self._sent = False
        self._response = None
        self._informational = 0
        self.deadline = math.inf
        self._head = head

    def write_body(self, content: bytes) -> None:
        head, self._head = self._head, b""
        if self._chunks:
            write_together(self.transport, head, b"%x\r\n" % len(content), content, b"\r\n")
        else:
            write_together(self.transport, head, content)

    def end_body(self) -> None:
        if self._chunks:
            self._head += LAST_CHUNK
        self.flush()
        self._sent = True
        if self._response is None:
            self.deadline = self.loop.time() + self._timeouts.response

    def flush(self) -> None:
        """Send a head although nothing of its body is there yet."""
        head, self._head = self._head, b""
        if head:
            self.transport.write(head)

    async def drained(self) -> None:
        """Until there is room for more of a body, or nobody will take it."""
        if self.is_full and self.exchange is not None:
            self._drained = self.loop.create_future()
            await self._drained

    # The answer

    def data_received(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.from_upstream(data)
            return
        exchange = self.exchange
        if exchange is None:  # nobody asked
            self.abort()
            return
        self.heard = True
        response, head = self._response, b""
        if response is None:
            begun = self._read_head(exchange, data)
            if begun is None:
                return
            response, data = begun
            head = exchange.head_of_answer(response)
        try:
            content, rest = response.body.feed(data)
        except BadFraming:
            exchange.broken(self, "malformed chunks")
            return
        done = response.body.done
        exchange.pass_answer(head, content, done)
        if done:
            self._end(exchange, response, rest)
        elif self.exchange is exchange and not self._paused:
            self.deadline = self.loop.time() + self._timeouts.silence

    def _read_head(self, exchange: Exchange, data: bytes) -> tuple[Response, bytes] | None:
        """The final response and what follows its head; None while it is not there, or is not taken."""
        seen = len(self._received)
        received = self._received + data if seen else data
        while True:
            end = head_end(received, seen, RESPONSE_LIMITS.head)
            if end is None:
                self._received = received
                return None
            response = read_response(received[:end], self._method) if isinstance(end, int) else end
            if isinstance(response, Unreadable):
                exchange.broken(self, response.why)
                return None
            assert isinstance(end, int)
            received, seen = received[end:], 0
            self._received = b""
            if response.status == 101:
                exchange.switch(self, response, received)
                return None
            if not response.informational:
                break
            self._informational += 1
            if self._informational > MOST_INFORMATIONAL:
                exchange.broken(self, "too many informational responses")
                return None
            exchange.pass_informational(response)
            if not received:
                return None
        self._response = response
        return response, received

    def _end(self, exchange: Exchange, response: Response, rest: bytes) -> None:
        """The answer is complete."""
        keeps = response.reusable and not rest and self._sent and not self.transport.get_write_buffer_size()
        self._leave()
        if keeps:
            self.reused = True
            self._pool.keep(self)
        elif self._sent:
            self.close()
        else:
            self.abort()
        exchange.end()

    def _leave(self) -> None:
        """No exchange any more."""
        if self.exchange is not None:
            self.exchange = None
            self.server.busy -= 1
        self._response = None
        self._received = b""
        self.deadline = math.inf
        self._wake()

    def wait(self, seconds: float) -> None:
        """For the next exchange."""
        self.idle_since = self.loop.time()
        self.deadline = self.idle_since + seconds
        if self._paused:
            self._paused = False
            self.transport.resume_reading()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_BUFFER)
        self._pool.connections.add(self)

    def eof_received(self) -> bool:
        if self.tunnel is not None:
            return self.tunnel.upstream_ends() and not self.server.address.tls
        exchange, response = self.exchange, self._response
        if exchange is not None and response is not None and isinstance(response.body, UntilClose):
            exchange.pass_answer(b"", b"", True)
            self._leave()
            exchange.end()
        return False  # closes it

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        if self.tunnel is not None:
            self.server.busy -= 1
            self.tunnel.lost()
            return
        exchange = self.exchange
        self._leave()
        if exchange is not None:
            exchange.lost(self)

    def pause_writing(self) -> None:
        self.is_full = True
        if self.tunnel is not None:
            self.tunnel.upstream_full()
        elif self.exchange is not None:
            if self._response is None:
                self.deadline = self.loop.time() + self._timeouts.response
            self.exchange.client.update_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        self._wake()
        if self.tunnel is not None:
            self.tunnel.upstream_drained()
        elif self.exchange is not None:
            if self._response is None:
                self.deadline = math.inf if not self._sent else self.loop.time() + self._timeouts.response
            self.exchange.client.update_reading()

    def pause(self) -> None:
        """The client does not take what we read: its own time limit counts meanwhile."""
        self._paused = True
        self.transport.pause_reading()
        self.deadline = math.inf

    def resume(self) -> None:
        self._paused = False
        self.transport.resume_reading()
        self.deadline = self.loop.time() + self._timeouts.silence

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def expire(self) -> None:
        """Its deadline is over."""
        exchange = self.exchange
        if self.transport.is_closing():
            self.abort()
        elif self.tunnel is not None:
            self.tunnel.lost()
        elif exchange is not None:
            exchange.too_slow(self)
        else:
            self.abort()

    def release(self) -> None:
        """End it in the middle of an exchange that nobody waits for any more."""
        self._leave()
        self.abort()

    def close(self) -> None:
        self.deadline = self.loop.time() + self._timeouts.response  # for what is not written yet
        self.transport.close()

    def abort(self) -> None:
        self.deadline = math.inf
        self.transport.abort()
