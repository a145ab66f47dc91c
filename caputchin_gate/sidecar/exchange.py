"""One request and its answer, between two connections.

    begin      untouched: straight on; else the policy decides in a task that is cancelled with the client. Where the
               gate stands alone, its own paths are answered, and nothing else is there
    send       head and body to the application, the body as it comes
    pass_...   the answer back, as it comes
    end        both connections are free, or closed

It decides who acts next, and moves no bytes itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, assert_never

from caputchin_gate.awaited_body import AwaitedBody, Read
from caputchin_gate.effects import BodyEnd
from caputchin_gate.events import tell, tell_broken
from caputchin_gate.kept_body import KeptBody
from caputchin_gate.messages import RequestHead
from caputchin_gate.messages import Response as OwnResponse
from caputchin_gate.policy import Admit, Answer, PassOn, Ruling
from caputchin_gate.sidecar import answers
from caputchin_gate.sidecar.bodies import LAST_CHUNK, NO_BODY, FixedLength
from caputchin_gate.sidecar.forwarding import head_of, paths_of
from caputchin_gate.sidecar.heads import answer_head, interim_head, request_head
from caputchin_gate.sidecar.request_body import NoRequestBody, RequestBody, WholeBody
from caputchin_gate.sidecar.tunnel import Tunnel
from caputchin_gate.sidecar.upstream import UpstreamConnection
from caputchin_gate.sidecar.verdicts import UNGUARDED, UNGUARDED_LINES, verdict_lines
from caputchin_gate.sidecar.wire import Request, Response
from caputchin_gate.verdict import Decision, Reason

if TYPE_CHECKING:
    from caputchin_gate.sidecar.client import ClientConnection
    from caputchin_gate.sidecar.relay import Relay
    from caputchin_gate.sidecar.upstreams import Server

_REPEATABLE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Exchange:
    __slots__ = (
        "_begun",
        "_chunks",
        "_closes",
        "_cookie",
        "_decision",
        "_over",
        "_relay",
        "_retried",
        "_task",
        "_upgrading",
        "_upstream",
        "body",
        "client",
        "deadline",
        "request",
    )

    def __init__(
        self,
        relay: Relay,
        client: ClientConnection,
        request: Request,
        body: NoRequestBody | WholeBody | RequestBody,
        now: float,
    ) -> None:
        self._relay = relay
        self.client = client
        self.request = request
        self.body = body
        self.deadline = now + relay.settings.timeouts.total  # for the beginning of the answer
        self._upstream: UpstreamConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._decision: Decision = UNGUARDED
        self._cookie: str | None = None
        self._begun = False  # whether the client was sent a byte of the answer
        self._chunks = False
        self._closes = False
        self._over = False
        self._retried = False
        self._upgrading = False

    # What becomes of the request

    def begin(self) -> None:
        path, raw_path = paths_of(self.request.target)
        untouched = self._relay.gate.untouched(path, raw_path, "")
        if self._relay.stands_alone:
            if untouched:
                self._relay.counters.own[answers.NOT_FOUND.status] += 1
                self.answer(answers.NOT_FOUND)
            else:
                self._run(partial(self._answer_own, answers.NOT_FOUND))
            return
        if self.request.upgrade is not None and self._asks_for_websocket():
            if not untouched and not self._relay.gate.opens_websocket(self._head()):
                self._run(partial(self._answer_own, answers.WEBSOCKET_REFUSED))
                return
            self._upgrading = untouched = True
        if untouched:
            self._relay.counters.unguarded += 1
            self._forward()
        else:
            try:
                self._guard()
            except Exception as failure:
                self._broke(failure)

    def _asks_for_websocket(self) -> bool:
        request = self.request
        settings = self._relay.settings
        return (
            settings.websockets
            and request.upgrade == b"websocket"
            and request.method == b"GET"
            and request.body is NO_BODY
        )

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = self._relay.loop.create_task(self._safely(work))

    async def _safely(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Whatever breaks here ends this exchange, and nothing else (threats.md R5)."""
        try:
            await work()
        except Exception as failure:
            self._broke(failure)

    def _broke(self, failure: Exception) -> None:
        tell_broken(failure)
        self.fail(502)

    def _guard(self) -> None:
        """Decide, and go on: at once where the whole body is there and nobody else has to be asked, else in a task."""
        gate = self._relay.gate
        body = self.request.body
        kept_body = KeptBody(gate.budget)
        kept_body.expected = body.length if isinstance(body, FixedLength) else 0
        kept = AwaitedBody(kept_body, self.body.next)

        def read_now(max_memory: int) -> Read | None:
            return kept.take(self.body.next_now(), max_memory)

        ruling = gate.handle_at_once(self._head(), read_now, kept.read)
        if not isinstance(ruling, PassOn | Admit | Answer):
            self._run(partial(self._obey_later, ruling, kept))
        elif self._goes_on(ruling) and not self._pass_on_at_once(kept):
            self._run(partial(self._pass_on, kept))

    async def _obey_later(self, rule: Callable[[], Coroutine[Any, Any, Ruling]], kept: AwaitedBody) -> None:
        try:
            if self._goes_on(await rule()):
                await self._pass_on(kept)
        finally:
            kept.close()

    def _goes_on(self, ruling: Ruling) -> bool:
        """Whether the application gets the request. Where it doesn't, the client has its answer."""
        match ruling:
            case PassOn():
                self._relay.counters.unguarded += 1
                return True
            case Admit(decision=decision, set_cookie=cookie):
                if decision.reason is Reason.EXEMPT:
                    self._relay.counters.unguarded += 1
                self._decision, self._cookie = decision, cookie
                return True
            case Answer() as answer:
                self._answer_with(answer)
                return False
            case _:
                assert_never(ruling)

    def _pass_on_at_once(self, kept: AwaitedBody) -> bool:
        """Whether that could be done: most forms are in one piece, and a connection is there."""
        connection = self._kept(self._relay.upstreams.next()) if kept.in_one_piece else None
        if connection is None:
            return False
        self._send_head(connection)
        piece = kept.only_piece()
        if piece:
            connection.write_body(piece)
        self._flow(connection)
        return True

    async def _answer_own(self, otherwise: OwnResponse) -> None:
        """The answer of an own path of the gate, or else this one."""
        gate = self._relay.gate
        kept = AwaitedBody(KeptBody(gate.budget), self.body.next)
        try:
            ruling = await gate.aserve(self._head(), kept.read)
            self._answer_with(ruling if isinstance(ruling, Answer) else Answer(otherwise))
        finally:
            kept.close()

    def _answer_with(self, ruling: Answer) -> None:
        if ruling.decision is None:
            self._relay.counters.own[ruling.response.status] += 1
        self.answer(ruling.response)

    def _head(self) -> RequestHead:
        forwarding = self.client.forwarding
        return head_of(self.request, self.client.peer, forwarding.scheme_of(self.request))

    async def _pass_on(self, kept: AwaitedBody) -> None:
        """What was read first, then what is still to come."""
        server = self._relay.upstreams.next()
        connection = self._kept(server) or await self._relay.upstreams.connect(server)
        if connection is None:
            self.fail(502)
            return
        self._send_head(connection)
        try:
            async for piece in kept.pieces():
                if connection.exchange is not self:  # it has answered already, and will not read on
                    return
                connection.write_body(piece)
                await connection.drained()
        finally:
            kept.close()
        if connection.exchange is self:
            self._flow(connection)

    def _forward(self) -> None:
        server = self._relay.upstreams.next()
        connection = self._kept(server)
        if connection is not None:
            self._send_head(connection)
            self._flow(connection)
        else:
            self._run(partial(self._forward_over_new, server))

    async def _forward_over_new(self, server: Server) -> None:
        connection = await self._relay.upstreams.connect(server)
        if connection is None:
            self.fail(502)
            return
        self._send_head(connection)
        self._flow(connection)

    def _flow(self, connection: UpstreamConnection) -> None:
        """Let the body go on as it comes."""
        if self.body.broken is None:
            self.body.flow_into(connection)
        else:
            self.body_ends(self.body.broken)

    def _kept(self, server: Server) -> UpstreamConnection | None:
        return self._relay.upstreams.kept(server, repeatable=self._is_repeatable)

    @property
    def _is_repeatable(self) -> bool:
        """Whether it does no harm to send it twice: a safe method without a body, for which no token was spent."""
        request = self.request
        return request.method in _REPEATABLE and request.body is NO_BODY and self._decision is UNGUARDED

    def _send_head(self, connection: UpstreamConnection) -> None:
        request, decision, signer = self.request, self._decision, self._relay.signer
        about_client = self.client.forwarding.lines(request)
        if request.host is None:
            address = connection.server.address
            about_client += b"Host: %b\r\n" % (b"localhost" if address.path is not None else str(address).encode())
        verdict = UNGUARDED_LINES if decision is UNGUARDED else verdict_lines(decision)
        if signer is not None:
            verdict += signer.line(request.method, request.target, decision, time.time())
        head = request_head(request, about_client, verdict, upgrading=self._upgrading)
        self._upstream = connection
        connection.begin(self, request.method, head, chunked=request.body.chunked)

    # The answer of the application

    def pass_informational(self, response: Response) -> None:
        """Early hints and their like; a 100 was answered here already (RFC 9110 15.2)."""
        if response.status != 100 and not self.request.http_1_0:
            self.client.write(interim_head(response))

    def head_of_answer(self, response: Response) -> bytes:
        has_length = response.body is NO_BODY or isinstance(response.body, FixedLength)
        self._chunks = not has_length and not self.request.http_1_0
        self._closes = self.request.closes or not self.body.complete or self._relay.draining
        return answer_head(response, chunked=self._chunks, cookie=self._cookie, closes=self._closes)

    def pass_answer(self, head: bytes, content: bytes, done: bool) -> None:
        """What there is of the answer, in one write."""
        self._begun = True
        self.deadline = math.inf
        if not self._chunks:
            self.client.write(head, content)
        elif content:
            self.client.write(head, b"%x\r\n" % len(content), content, b"\r\n", LAST_CHUNK if done else b"")
        else:
            self.client.write(head, LAST_CHUNK if done else b"")

    def end(self) -> None:
        """The answer is complete."""
        self._finish()

    def switch(self, connection: UpstreamConnection, response: Response, follows: bytes) -> None:
        """A 101: only as the answer to a handshake that was passed on as one (threats.md R7)."""
        if not self._upgrading or response.upgrade != b"websocket" or b"upgrade" not in response.nominated:
            self.broken(connection, "a 101 that nobody asked for")
            return
        self.client.write(interim_head(response))
        self._over = True
        self._relay.counters.in_flight -= 1
        Tunnel(self._relay, self.client, connection).begin(follows)

    # Answers of our own

    def answer(self, response: OwnResponse) -> None:
        """Refusals, and the gate's own paths."""
        unread = not self.body.complete
        self._closes = unread or self.request.closes or self._relay.draining
        self._begun = True
        self.client.write(answers.written(response, self.request.method, closes=self._closes))
        self._finish()

    def fail(self, status: int) -> None:
        """There is no answer of the application, or not all of it."""
        if self._over:
            return
        self._relay.counters.failures[status] += 1
        if self._begun:  # the client can't be told any more; that it is not complete, it has to see
            self._leave()
            self.client.abort()
        else:
            self.answer(answers.failure(status, self._head()))

    def _finish(self) -> None:
        """The client has got its answer."""
        unread = not self.body.complete
        self._leave()
        self.client.answered(closes=self._closes, unread=unread)

    def _leave(self) -> None:
        """Let go of everything."""
        self._over = True
        self._relay.counters.in_flight -= 1
        self.body.stop()
        upstream, self._upstream = self._upstream, None
        if upstream is not None and upstream.exchange is self:
            upstream.release()
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task(self._relay.loop):
            task.cancel()

    # What goes wrong

    def abandoned(self) -> None:
        """The client is gone: nothing that it asked for is begun any more."""
        if not self._over:
            self.body.fail(BodyEnd.GONE)
            self._leave()

    def body_ends(self, why: BodyEnd) -> None:
        """The body of the request breaks off, is too slow, or is no body."""
        self.body.fail(why)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.release()  # it must not take what it has for the whole
        elif self._task is not None:
            return  # the policy is told when it reads on, and `_flow` looks
        self.fail(408 if why is BodyEnd.TOO_SLOW else 400)

    def lost(self, connection: UpstreamConnection) -> None:
        """The application closed its connection before the answer was complete."""
        if self._over:
            return
        self._upstream = None
        again = self._where_again(connection)
        if again is not None:
            self._retried = True
            self._run(partial(self._forward_over_new, again))
        else:
            self.fail(502)

    def _where_again(self, connection: UpstreamConnection) -> Server | None:
        """Where a request is sent once more whose connection was closed without a byte of an answer."""
        if connection.heard or self._retried or not self._is_repeatable:
            return None
        other = self._relay.upstreams.other_than(connection.server)
        if other is None and connection.reused:  # it was closing it while we wrote (framing.md st-19)
            return connection.server
        return other

    def broken(self, connection: UpstreamConnection, why: str) -> None:
        """What the application sent is no answer that we pass on."""
        address = str(connection.server.address)
        tell(logging.WARNING, "upstream-malformed", f"{address} answers with {why}", upstream=address, why=why)
        self._upstream = None
        connection.release()
        self.fail(502)

    def too_slow(self, connection: UpstreamConnection) -> None:
        self._upstream = None
        connection.release()
        self.fail(504)

    def expire(self) -> None:
        """The total time of the request is over, and no answer has begun."""
        self.body.fail(BodyEnd.TOO_SLOW)
        self.fail(504 if self.body.complete else 408)

    # Backpressure

    def client_full(self) -> None:
        if self._upstream is not None:
            self._upstream.pause()

    def client_drained(self) -> None:
        if self._upstream is not None:
            self._upstream.resume()
