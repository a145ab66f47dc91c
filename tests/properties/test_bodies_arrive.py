"""Whatever the chunking, an admitted body reaches the application as it would without the gate (threats.md R18)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.wsgi import GateMiddleware as WsgiGate

# In report mode every request is admitted after the gate has read what it wants to read of it.
GATE = Gate(
    provider="caputchin",
    verification="in-process",
    store="memory",
    mode="report",
    max_memory=1024,
    protect=["POST /contact"],
)
FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=b"

token_part = b'--b\r\nContent-Disposition: form-data; name="caputchin-token"\r\n\r\nabc\r\n'
file_part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
bodies = st.one_of(
    st.tuples(st.just(FORM), st.binary(max_size=4000)),
    st.tuples(st.just(FORM), st.binary(max_size=200).map(lambda rest: b"caputchin-token=abc&x=" + rest)),
    st.tuples(st.just(MULTIPART), st.binary(max_size=4000)),
    st.tuples(
        st.just(MULTIPART), st.binary(max_size=4000).map(lambda rest: token_part + file_part + rest + b"\r\n--b--\r\n")
    ),
    st.tuples(st.just(b"application/json"), st.binary(max_size=300)),
    st.tuples(st.just(b"text/plain"), st.binary(max_size=300)),
)
cuts = st.lists(st.integers(1, 700), min_size=1, max_size=6)


def pieces_of(body: bytes, cut: list[int]) -> list[bytes]:
    pieces, start, turn = [], 0, 0
    while start < len(body):
        size = cut[turn % len(cut)]
        pieces.append(body[start : start + size])
        start, turn = start + size, turn + 1
    return pieces or [b""]


def through_asgi(wrap: Callable[[Any], Any], kind: bytes, pieces: list[bytes], reads: int) -> list[object]:
    """What the application sees of a body when it asks so often, and what follows its end."""
    seen: list[object] = []
    messages = [
        {"type": "http.request", "body": piece, "more_body": index + 1 < len(pieces)}
        for index, piece in enumerate(pieces)
    ]
    messages.append({"type": "http.disconnect"})
    coming = iter(messages)

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        raise AssertionError("the gate answers itself")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more and reads > 0:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        seen.extend((body, more, (await receive())["type"] if not more else None))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/contact",
        "raw_path": b"/contact",
        "headers": [(b"content-type", kind), (b"content-length", str(sum(map(len, pieces))).encode())],
    }
    asyncio.run(wrap(application)(scope, receive, send))
    return seen


@given(body=bodies, cut=cuts, reads=st.integers(0, 1))
def test_an_asgi_application_sees_the_same_body_and_the_same_end(
    body: tuple[bytes, bytes], cut: list[int], reads: int
) -> None:
    kind, content = body
    pieces = pieces_of(content, cut)
    bare = through_asgi(lambda app: app, kind, pieces, reads)
    gated = through_asgi(lambda app: AsgiGate(app, gate=GATE), kind, pieces, reads)
    assert gated == bare


class Stream(io.RawIOBase):
    """An input that hands over its pieces as a socket does."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._rest = b"".join(pieces)
        self._sizes = [len(piece) for piece in pieces if piece]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._sizes[0] if self._sizes else 0)
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        if size:
            self._sizes[0] -= size
            if self._sizes[0] == 0:
                self._sizes.pop(0)
        return size


READERS: tuple[Callable[[Any, int], Any], ...] = (
    lambda stream, length: stream.read(length),
    lambda stream, length: stream.read(length // 2) + stream.read(length - length // 2),
    lambda stream, length: b"".join(stream) if length else b"",
    lambda stream, length: b"".join(iter(lambda: stream.readline(50), b"")),
    lambda stream, length: b"".join(stream.readlines()),
)


@given(body=bodies, cut=cuts, reader=st.sampled_from(READERS))
def test_a_wsgi_application_reads_the_same_body_in_every_way(
    body: tuple[bytes, bytes], cut: list[int], reader: Callable[[Any, int], Any]
) -> None:
    kind, content = body
    seen = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append((reader(environ["wsgi.input"], len(content)), environ["CONTENT_LENGTH"]))
        return []

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/contact",
        "CONTENT_TYPE": kind.decode(),
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": io.BufferedReader(Stream(pieces_of(content, cut))),
    }
    WsgiGate(application, gate=GATE)(environ, lambda *_: None)
    assert seen == [(content, str(len(content)))]
