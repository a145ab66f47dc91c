"""The door of any ASGI application: translates scope, messages and answers, and decides nothing.

    app = GateMiddleware(app, gate=gate)

The decision about a guarded request is in `scope["caputchin_gate"]`. Lifespan passes; a WebSocket to a guarded path
is closed unless an exemption opens it (threats.md R7). Put it outermost: what runs before it, it can't guard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any, Final, TypeAlias, assert_never

from caputchin_gate.awaited_body import AwaitedBody, in_time
from caputchin_gate.body_pace import BodyPace
from caputchin_gate.doors import DECIDED_BY, DECISION, LINGER_BYTES, LINGER_SECONDS, note
from caputchin_gate.effects import BodyEnd, LastPiece
from caputchin_gate.events import tell_broken
from caputchin_gate.gate import Gate
from caputchin_gate.kept_body import KeptBody
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.policy import Admit, Answer, PassOn
from caputchin_gate.refusals import stand_in
from caputchin_gate.verdict import Decision

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
# What an application makes of a refusal: it gets the scope, a body that came whole, and the gate's own answer.
Refuse: TypeAlias = Callable[[Scope, Receive, Decision, Response], Awaitable[Response]]

OWN_HEADERS: Final = b"x-caputchin-"


class GateMiddleware:
    """Wraps an ASGI application.

    Raises ConfigurationError when the gate protects no route.

    app: the application
    gate: what guards it; closed when the application's lifespan ends
    refuse: answers refused requests in place of the gate; where it fails, the gate answers itself
    """

    def __init__(self, app: Application, *, gate: Gate, refuse: Refuse | None = None) -> None:
        gate.must_guard()
        self.app = app
        self.gate = gate
        self._refuse = refuse
        self._untouched = gate.untouched

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            if self._untouched(scope["path"], scope.get("raw_path"), scope.get("root_path", "")):
                await self.app(scope, receive, send)
            else:
                await self._guard(scope, receive, send)
        elif kind == "websocket":
            await self._guard_websocket(scope, receive, send)
        elif kind == "lifespan":
            await self.app(scope, receive, closing(self.gate, send))
        else:
            await self.app(scope, receive, send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = head_of(scope)
        if DECISION in scope and self.gate.stands(scope[DECISION], scope.get(DECIDED_BY), head):
            await self.app(scope, receive, send)
            return
        body = IncomingBody(receive, KeptBody(self.gate.budget), head.header("content-length"), self.gate.body_timeout)
        try:
            match await self.gate.ahandle(head, body.read):
                case PassOn():
                    await self.app(scope, receive, send)
                case Admit(decision=decision, set_cookie=cookie):
                    # In place: what the application adds to its scope is for the middleware around it too.
                    note(scope, decision, self.gate, head)
                    scope["headers"] = without_own_headers(scope["headers"])
                    await self.app(scope, body.replay(), send if cookie is None else setting(cookie, send))
                case Answer(response=response, decision=decision):
                    if self._refuse is not None and decision is not None and response.status == decision.status:
                        response = await self._refused(self._refuse, head, scope, body, decision, response)
                    body.close()  # sending and lingering take a while
                    await answer(response, scope, body, send)
                case ruling:
                    assert_never(ruling)
        finally:
            body.close()

    async def _guard_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw_path, root_path = scope.get("raw_path"), scope.get("root_path", "")
        if self._untouched(scope["path"], raw_path, root_path) or self.gate.opens_websocket(head_of(scope)):
            await self.app(scope, receive, send)
        else:
            await receive()  # the handshake; closing before accepting it answers 403
            await send({"type": "websocket.close", "code": 1008})

    async def _refused(
        self, refuse: Refuse, head: RequestHead, scope: Scope, body: IncomingBody, decision: Decision, own: Response
    ) -> Response:
        try:
            answered = await refuse(scope, body.replay() if body.is_whole() else gone, decision, own)
        except Exception as failure:
            tell_broken(failure, "a refusal could not be answered by the application")
            return own
        return stand_in(answered, own, head)


async def gone() -> Message:
    """A `receive` for those who should not wait for the rest of a body."""
    return {"type": "http.disconnect"}


def closing(gate: Gate, send: Send) -> Send:
    """Lifespan's `send`, which also closes the gate's connections when the application has shut down."""

    async def send_and_close(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown"):
            await gate.aclose()
        await send(message)

    return send_and_close


def head_of(scope: Scope) -> RequestHead:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    raw_path = scope.get("raw_path")
    client = scope.get("client")
    return RequestHead(
        method=scope.get("method", "GET"),
        path=scope["path"],
        raw_path=raw_path.decode("latin-1") if raw_path is not None else None,
        root_path=scope.get("root_path", ""),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        peer=(client[0] or None) if client else None,
        scheme=scope.get("scheme", "http"),
    )


def without_own_headers(headers: Any) -> Any:
    """Headers without those of the gate's prefix, in any spelling that a server may fold (threats.md R12)."""
    for name, _ in headers:
        if b"caputchin" in name.lower():  # rarely: then each is looked at closely
            return [pair for pair in headers if not pair[0].lower().replace(b"_", b"-").startswith(OWN_HEADERS)]
    return headers


class IncomingBody:
    """The body of one request: read piece by piece until the decision, then given to the application from its start."""

    def __init__(self, receive: Receive, kept: KeptBody, declared: str | None, timeout: float) -> None:
        self._receive = receive
        self._body = AwaitedBody(kept, self._next)
        self._declared = int(declared) if declared is not None and declared.isdecimal() else None
        kept.expected = self._declared or 0
        self._timeout = timeout
        self._pace: BodyPace | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._following: bytes | None = None
        self._handed_over = False
        self.received = 0
        self.end: BodyEnd | None = None
        self.read = self._body.read

    async def _next(self) -> bytes | LastPiece | BodyEnd:
        """What the server hands over next."""
        if self._pace is None:
            self._pace = BodyPace(self._timeout, monotonic())
        while self.end is None:
            try:
                message = await in_time(self._receive(), self._patience)
            except TimeoutError:
                return BodyEnd.TOO_SLOW
            if message["type"] == "http.disconnect":
                self.end = BodyEnd.GONE
                break
            piece: bytes = message.get("body", b"")
            if not message.get("more_body", False):
                self.end = BodyEnd.COMPLETE
            if piece:
                self.received += len(piece)
                if self.is_whole():
                    return LastPiece(piece)
                self._pace.came(len(piece), monotonic())
                return piece
        return self.end if self.end is not BodyEnd.COMPLETE or self.is_whole() else BodyEnd.CUT_SHORT

    def _patience(self) -> float:
        return self._pace.patience(monotonic()) if self._pace is not None else self._timeout

    def is_whole(self) -> bool:
        """Whether the body came to its end, and is as long as declared."""
        return self.end is BodyEnd.COMPLETE and self._declared in (None, self.received)

    def replay(self) -> Receive:
        """A `receive` that hands over what was read, then what is still to come."""
        if self._pace is None:
            return self._receive
        return self._hand_over

    async def _hand_over(self) -> Message:
        if not self._handed_over:
            self._handed_over = True
            piece = self._body.only_piece() if self.end is BodyEnd.COMPLETE else None
            if piece is not None:  # most forms
                return {"type": "http.request", "body": piece, "more_body": False}
            self._pieces = self._body.pieces()
        if self._pieces is not None:
            piece = self._following if self._following is not None else await anext(self._pieces, None)
            self._following = await anext(self._pieces, None)
            if self._following is None:
                self._pieces = None
            if piece is not None or self.end is BodyEnd.COMPLETE:
                more = self._following is not None or self.end is not BodyEnd.COMPLETE
                return {"type": "http.request", "body": piece or b"", "more_body": more}
        if self.end is BodyEnd.GONE:
            return {"type": "http.disconnect"}
        return await self._receive()

    def close(self) -> None:
        self._body.close()

    async def linger(self) -> None:
        """Read and drop what the client is still sending, within bounds. Not while it waits for a 100-continue."""
        dropped = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while self.end is None and dropped < LINGER_BYTES:
                    message = await self._receive()
                    dropped += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        self.end = BodyEnd.GONE
        except TimeoutError:
            pass


def setting(cookie: str, send: Send) -> Send:
    """The application's `send`, which adds one Set-Cookie to its response: the only touch of one (threats.md R39)."""
    header = (b"set-cookie", cookie.encode("latin-1"))

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
        await send(message)

    return send_with_cookie


async def answer(response: Response, scope: Scope, body: IncomingBody, send: Send) -> None:
    """Send the gate's own answer. Where the body was not read to its end, the connection can't be used again (R26)."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    names = {name for name, _ in headers}
    if b"content-length" not in names and response.status not in (204, 304):
        headers.append((b"content-length", str(len(response.body)).encode()))
    one = scope.get("http_version", "1.1").startswith("1")  # later versions end one stream, not the connection
    unread = one and body.end is None and expects_body(scope)
    if unread:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": unread})
    if unread:
        if body.received or b"expect" not in {name for name, _ in scope["headers"]}:
            await body.linger()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def expects_body(scope: Scope) -> bool:
    """Whether the client announced a body."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


__all__ = ["GateMiddleware"]
