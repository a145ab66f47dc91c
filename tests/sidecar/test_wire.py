"""Heads and bodies: what is refused, what is read, and that other parsers read what we accept as we do."""

from __future__ import annotations

import itertools
import re
from typing import Any

import h11
import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caputchin_gate.sidecar.bodies import BadFraming, Chunked, FixedLength, NoBody, UntilClose
from caputchin_gate.sidecar.wire import (
    END,
    Limits,
    Request,
    Response,
    Unreadable,
    head_end,
    read_request,
    read_response,
)
from tests.sidecar.corpus import CHUNKS, REFUSED, Raw

LIMITS = Limits()


def read(raw: bytes) -> tuple[Request, bytes, bytes] | Unreadable:
    """A request, the content of its body, and what follows."""
    end = head_end(raw, 0, LIMITS.head)
    assert end is not None, "a head without its end"
    if isinstance(end, Unreadable):
        return end
    request = read_request(raw[:end], LIMITS)
    if isinstance(request, Unreadable):
        return request
    try:
        content, rest = request.body.feed(raw[end:])
    except BadFraming as failure:
        return Unreadable(400, str(failure))
    return request, content, rest


@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: raw.name)
def test_what_has_two_readings_is_refused(raw: Raw) -> None:
    outcome = read(raw.sent)
    assert isinstance(outcome, Unreadable)
    assert outcome.status in raw.status


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join((start, b"Host: shop.example", *lines, b"", b""))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (head(), {"method": b"GET", "target": b"/", "host": b"shop.example", "closes": False, "http_1_0": False}),
        (head(start=b"GET /a?b=c%20&d=%00 HTTP/1.1"), {"target": b"/a?b=c%20&d=%00"}),
        (head(start=b'GET /a"<>\\^`{|}[] HTTP/1.1'), {"target": b'/a"<>\\^`{|}[]'}),
        (head(start=b"OPTIONS * HTTP/1.1"), {"target": b"*"}),
        (head(start=b"GET http://shop.example/a?b HTTP/1.1"), {"target": b"/a?b"}),
        (head(start=b"GET HTTPS://SHOP.example HTTP/1.1"), {"target": b"/"}),
        (head(start=b"GET http://shop.example?b HTTP/1.1"), {"target": b"/?b"}),
        (head(start=b"M-SEARCH / HTTP/1.1"), {"method": b"M-SEARCH"}),
        (head(start=b"GET / HTTP/1.0"), {"http_1_0": True, "closes": True}),
        (b"GET / HTTP/1.0\r\n\r\n", {"host": None}),
        (b"GET / HTTP/1.1\r\nhOST:[::1]:8080\r\n\r\n", {"host": b"[::1]:8080"}),
        (head(b"Connection: close"), {"closes": True}),
        (head(b"Connection: Keep-Alive", b"Connection: CLOSE"), {"closes": True}),
        (head(b"X:", b"Y: \t b c \t"), {"lines": [b"X: \r\n", b"Y: b c\r\n"]}),
        (head(b"X-Umlaut: \xe4\xf6"), {"lines": [b"X-Umlaut: \xe4\xf6\r\n"]}),
        (head(b"X_Y: z", b"X-Y_: z", b"A: b"), {"lines": [b"A: b\r\n"]}),
        (head(b"Upgrade: WebSocket", b"Connection: x, Upgrade"), {"upgrade": b"websocket"}),
        (head(b"Upgrade: websocket"), {"upgrade": None}),
        (head(b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: upgrade"), {"upgrade": b""}),
        (head(b"Expect: 100-Continue", b"Content-Length: 5"), {"expects": True}),
        (head(b"Expect: 100-continue"), {"expects": False}),
    ],
)
def test_a_request_is_read_as_it_was_sent(raw: bytes, expected: dict[str, object]) -> None:
    outcome = read(raw)
    assert not isinstance(outcome, Unreadable), outcome
    assert {name: getattr(outcome[0], name) for name in expected} == expected


@pytest.mark.parametrize(
    ("lines", "reader"),
    [
        ([], NoBody),
        ([b"Content-Length: 0"], FixedLength),
        ([b"Content-Length: 000000000000000005"], FixedLength),
        ([b"content-length:7"], FixedLength),
        ([b"Transfer-Encoding: chunked"], Chunked),
        ([b"transfer-encoding:\tCHUNKED "], Chunked),
    ],
)
def test_framing_is_decided_once(lines: list[bytes], reader: type) -> None:
    request = read_request(head(*lines), LIMITS)
    assert isinstance(request, Request)
    assert type(request.body) is reader


# Bodies

BODY = b'5\r\nhello\r\n1;ext="a b"\r\n \r\n00000005\r\nworld\r\n0;last\r\nA: b\r\nC: d\r\n\r\n'


def feed_all(reader: Any, pieces: list[bytes]) -> tuple[bytes, bytes]:
    content, rest = b"", b""
    for piece in pieces:
        assert not rest or reader.done
        if reader.done:
            rest += piece
            continue
        taken, rest = reader.feed(piece)
        content += taken
    return content, rest


@given(st.lists(st.integers(0, len(BODY)), max_size=8))
def test_however_chunks_are_cut_they_are_the_same_body(cuts: list[int]) -> None:
    raw = BODY + b"GET / HTTP/1.1"
    places = [0, *sorted(cuts), len(raw)]
    reader = Chunked()
    pieces = [raw[start:end] for start, end in itertools.pairwise(places)]
    assert feed_all(reader, pieces) == (b"hello world", b"GET / HTTP/1.1")
    assert reader.done


@pytest.mark.parametrize("raw", CHUNKS, ids=lambda raw: raw.name)
def test_bad_chunks_are_refused_byte_by_byte_too(raw: Raw) -> None:
    _, _, body = raw.sent.partition(END)
    reader = Chunked()
    with pytest.raises(BadFraming):  # noqa: PT012
        for place in range(len(body)):
            reader.feed(body[place : place + 1])
            assert not reader.done, "it ended"


def test_a_length_ends_where_it_says() -> None:
    reader = FixedLength(5)
    assert reader.feed(b"hel") == (b"hel", b"")
    assert not reader.done
    assert reader.feed(b"loGET") == (b"lo", b"GET")
    assert reader.done


# Responses


def response(raw: bytes, method: bytes = b"GET") -> Response | Unreadable:
    return read_response(raw + b"\r\n", method)


@pytest.mark.parametrize(
    ("raw", "method", "reader", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", b"GET", FixedLength, True),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n", b"GET", FixedLength, True),
        (b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n", b"GET", Chunked, True),
        (b"HTTP/1.1 200 OK\r\n", b"GET", UntilClose, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", b"GET", FixedLength, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n", b"GET", FixedLength, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", b"HEAD", NoBody, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", b"HEAD", NoBody, False),
        (b"HTTP/1.1 200 OK\r\n", b"HEAD", NoBody, False),
        (b"HTTP/1.1 204 No Content\r\n", b"POST", NoBody, False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", b"POST", NoBody, False),
        (b"HTTP/1.1 304 Not Modified\r\n", b"GET", NoBody, False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", b"POST", NoBody, False),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n", b"GET", NoBody, False),
    ],
)
def test_a_response_has_the_body_that_its_head_says(raw: bytes, method: bytes, reader: type, reusable: bool) -> None:
    outcome = response(raw, method)
    assert isinstance(outcome, Response)
    assert (type(outcome.body), outcome.reusable) == (reader, reusable)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\nX: y\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00\r\n",
        b"HTTP/1.1 200 O\x00K\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 600 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/2 200 OK\r\n",
        b"ICY 200 OK\r\n",
        b"200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300,
    ],
)
def test_a_response_with_two_readings_is_none(raw: bytes) -> None:
    outcome = response(raw)
    assert isinstance(outcome, Unreadable)
    assert outcome.status == 502


# Other parsers

ATOMS = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b"\x0b", b"\x80", b":", b",", b";", b"0", b"5", b"\r\n\r\n"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"_"),
    *(b"chunked", b"identity", b"Expect: 100-continue\r\n", b"X-Y: z\r\n", b"HTTP/1.0", b"http://a", b"/", b"#", b"*"),
    *(b"0\r\n\r\n", b"3\r\nabc\r\n", b"POST", b"+", b"0x", b"\r\n x", b"Content-Length:\t3 \r\n", b"Upgrade: h2c\r\n"),
)
STARTS = (
    b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
)
AFTER = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


@st.composite
def spoiled(draw: Any) -> bytes:
    raw = draw(st.sampled_from(STARTS))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(raw)))
        match draw(st.integers(0, 2)):
            case 0:
                raw = raw[:place] + draw(st.sampled_from(ATOMS)) + raw[place:]
            case 1:
                raw = raw[:place] + raw[place + 1 :]
            case _:
                raw = raw[:place] + draw(st.binary(min_size=1, max_size=1)) + raw[place + 1 :]
    return bytes(raw)


class Oracle:
    """What llhttp makes of a request."""

    def __init__(self) -> None:
        self.target, self.fields, self.body, self.done = b"", [], b"", False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.body and not self.done:
            self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done = True


def by_httptools(raw: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes, bool]:
    oracle = Oracle()
    parser = httptools.HttpRequestParser(oracle)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    return parser.get_method(), oracle.target, oracle.fields, oracle.body, oracle.done


def by_h11(raw: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes, bool]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
    connection.receive_data(raw)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    body, done = b"", False
    while not done:
        event = connection.next_event()
        match event:
            case h11.Data(data=data):
                body += bytes(data)
            case h11.EndOfMessage():
                done = True
            case _:
                break
    return request.method, request.target, list(request.headers), body, done


def comparable(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """h11 lowers the coding; names with an underscore are nobody's here."""
    lowered = ((name.lower(), value) for name, value in fields if b"_" not in name)
    return sorted((name, value.lower() if name == b"transfer-encoding" else value) for name, value in lowered)


def in_origin_form(target: bytes) -> bytes:
    path = re.sub(rb"\A(?i:https?)://[^/?]*", b"", target)
    return path if path[:1] in (b"/", b"*") else b"/" + path


@given(spoiled())
@example(STARTS[0])
@example(STARTS[1])
@example(STARTS[3])
def test_whatever_we_accept_other_parsers_read_in_the_same_way(raw: bytes) -> None:
    end = head_end(raw, 0, LIMITS.head)
    if not isinstance(end, int):
        return
    request = read_request(raw[:end], LIMITS)
    if isinstance(request, Unreadable):
        return
    try:
        content, rest = request.body.feed(raw[end:])
    except BadFraming:
        return
    sent = raw[: len(raw) - len(rest)]
    ours = comparable(request.fields)
    for oracle in (by_httptools, by_h11):
        try:
            method, target, fields, body, done = oracle(sent)
        except httptools.HttpParserInvalidMethodError:  # it knows the registered ones only
            continue
        assert method == request.method
        assert in_origin_form(target) == request.target
        assert comparable(fields) == ours
        assert body == content
        if request.upgrade is None:  # llhttp ends a message at an upgrade, body or not
            assert done == request.body.done
