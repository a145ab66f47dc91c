"""Raw requests and misbehaving sides, over real sockets: framing.md's cases by their numbers.

`refused` is exactly one refusal, the connection closed, nothing sent to the application, and no second answer.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import serve
from tests.sidecar.corpus import HIDDEN, REFUSED, Raw
from tests.sidecar.running import Running, sidecar
from tests.sidecar.scripted import OK, Play, Scripted
from tests.sidecar.talking import read_all, statuses, talk
from tests.test_doors import fresh_token
from tests.wire import PATIENCE, connect, exchange, read_answer, request_bytes

GET = b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def application() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


@pytest.fixture
def upstream(application: Scripted) -> Scripted:
    application.play(Play())
    return application


@pytest.fixture(scope="module")
def running(application: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = {"head": "1s", "body_rate": "1KiB", "total": "4s"}
    with sidecar(tmp_path_factory.mktemp("gate"), application.url, sidecar={"timeouts": limits}) as started:
        yield started


def assert_refused(received: bytes, *status: int) -> None:
    found = statuses(received)
    assert len(found) == 1, received
    assert found[0] in (status or (400,)), received
    assert b"\r\nConnection: close\r\n" in received
    assert b"\r\nCache-Control: no-store\r\n" in received


@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: raw.name)
@pytest.mark.parametrize("cut", [None, 7], ids=["at once", "in pieces"])
def test_what_has_two_readings_is_refused_once_and_nothing_goes_upstream(
    running: Running, upstream: Scripted, raw: Raw, cut: int | None
) -> None:
    before = len(upstream.requests)
    pieces = [raw.sent] if cut is None else [raw.sent[:-cut], raw.sent[-cut:]]
    received = talk(running.port, *pieces, pause=0.01)
    assert_refused(received, *raw.status)
    assert not any(b"login" in request or b"/x HTTP" in request for request in upstream.requests[before:])
    # Chunks are only seen to be bad when the head is on its way already; then that connection is broken off.
    assert len(upstream.requests) - before <= (b"chunked" in raw.sent)


def test_the_sidecar_answers_after_all_that(running: Running) -> None:
    assert exchange(running.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).status == 200


def test_st_1_nothing_after_a_refusal_before_the_end_of_a_body_is_answered(
    running: Running, upstream: Scripted
) -> None:
    before = len(upstream.requests)
    head = b"POST /contact HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 307200\r\n\r\n"
    received = talk(running.port, head + b"x" * 1024, GET)
    assert_refused(received, 403)
    assert len(upstream.requests) == before


def test_st_2_a_connection_that_was_answered_early_is_not_used_again(running: Running, upstream: Scripted) -> None:
    early = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly"
    upstream.play(Play(early, early=True), Play())
    with connect(running.port) as connection:
        connection.sendall(b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + b"x" * 1000)
        answer = read_answer(connection)
        assert (answer.status, answer.body, answer.headers["connection"]) == (200, b"early", "close")
        assert exchange(running.port, GET).body == b"ok"
    assert len(upstream.connections) == 2


def test_st_3_one_client_never_gets_the_answer_of_another(running: Running, upstream: Scripted) -> None:
    smuggling = b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    for _ in range(5):
        assert_refused(talk(running.port, smuggling + HIDDEN))
        assert statuses(talk(running.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == [200]


def test_st_4_a_head_that_does_not_come_is_not_waited_for(running: Running) -> None:
    with connect(running.port) as slow:
        started = time.monotonic()
        slow.sendall(b"GET / HT")
        assert exchange(running.port, GET).status == 200
        assert_refused(read_all(slow), 408)
        assert time.monotonic() - started < 3


def test_st_4_a_connection_without_any_byte_ends_too(running: Running) -> None:
    with connect(running.port) as silent:
        assert read_all(silent) == b""


def test_st_5_a_body_that_trickles_is_broken_off_and_its_token_is_not_spent(
    running: Running, upstream: Scripted
) -> None:
    before = len(upstream.requests)
    body = f"caputchin-token={fresh_token()}".encode()
    raw = request_bytes(f"POST /contact\n{FORM}", body)
    with connect(running.port) as connection:
        connection.sendall(raw[: -len(body)])
        connection.setblocking(False)
        received = b""
        end = time.monotonic() + PATIENCE
        rest = iter(body)
        while not received and time.monotonic() < end:
            connection.send(bytes([next(rest)]))
            time.sleep(0.25)
            try:
                received = connection.recv(65536)
            except BlockingIOError:
                pass
        connection.setblocking(True)
        assert_refused(received + read_all(connection), 408)
    assert len(upstream.requests) == before
    assert exchange(running.port, raw).status == 200, "the token was spent"


def test_st_7_a_client_that_leaves_before_the_verdict_leaves_nothing_behind(
    running: Running, upstream: Scripted
) -> None:
    before = len(upstream.requests)
    for _ in range(20):
        with connect(running.port) as connection:
            connection.sendall(request_bytes(f"POST /contact\n{FORM}", f"caputchin-token={fresh_token()}".encode()))
    assert exchange(running.port, GET).status == 200
    assert len(upstream.requests) - before <= 21


def test_st_8_a_client_that_ends_its_side_gets_its_answer(running: Running) -> None:
    assert statuses(talk(running.port, GET, half_close=True)) == [200]


KEPT = request_bytes("GET /open", b"", close=False)
CUT = f"POST /contact HTTP/1.1\r\nHost: a\r\n{FORM}\r\nContent-Length: 9\r\n\r\nname".encode()


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (KEPT * 3, [200] * 3),
        (KEPT * 2 + GET, [200] * 3),
        (KEPT * 2 + b"GET /open HTT", [200] * 2),
        (KEPT * 2 + CUT, [200, 200, 400]),
        (KEPT * 50, [200] * 50),
    ],
    ids=["all kept", "the last one closes", "half a head", "half a body", "many"],
)
def test_st_8_a_client_that_ends_its_side_gets_an_answer_to_all_that_it_sent(
    running: Running, sent: bytes, answers: list[int]
) -> None:
    assert statuses(talk(running.port, sent, half_close=True)) == answers


@pytest.mark.parametrize("path", ["/open", "/contact"])
def test_st_9_a_client_that_waits_for_100_gets_it_before_its_body(running: Running, path: str) -> None:
    body = f"caputchin-token={fresh_token()}".encode()
    head, _, _ = request_bytes(f"POST {path}\n{FORM}\nExpect: 100-continue", body).partition(b"\r\n\r\n")
    with connect(running.port) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_answer(connection).status == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"Content-Length: " + b"9" * 19, 400), (b"Content-Length: 5\r\nX: " + b"y" * 33_000, 431)],
)
def test_st_9_a_head_that_is_refused_gets_no_100(running: Running, line: bytes, status: int) -> None:
    head = b"POST /open HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + line + b"\r\n\r\n"
    assert_refused(talk(running.port, head), status)


def test_st_9_a_refusal_by_the_head_alone_comes_instead_of_a_100(running: Running) -> None:
    head = b"POST /contact HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert_refused(talk(running.port, head), 403)


def test_st_10_informational_responses_are_never_the_answer(running: Running, upstream: Scripted) -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", OK
    plays = [Play(b"".join(hints)), Play(hints, pause=0.05), Play(OK.replace(b"ok", b"no"))]
    upstream.play(*plays)
    with connect(running.port) as connection:
        for _ in range(2):
            connection.sendall(GET)
            received = b""
            while not received.endswith(b"ok"):
                received += connection.recv(65536)
            assert statuses(received) == [103, 200]
        connection.sendall(GET)
        assert read_answer(connection).body == b"no"
        assert len(upstream.connections) == 1


BROKEN = {
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "line ends in LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\nok",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 80_000,
    "a 101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "too many hints": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_st_11_and_12_a_broken_answer_is_a_502_and_its_connection_is_closed(
    running: Running, upstream: Scripted, answer: bytes
) -> None:
    upstream.play(Play(answer), Play())
    with connect(running.port) as connection:
        connection.sendall(GET)
        received = connection.recv(65536)
        while b"502" not in received:
            received += connection.recv(65536)
        assert statuses(received.replace(b"HTTP/1.1 103", b"")) == [502]
    assert exchange(running.port, GET).body == b"ok"
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("late", [0.0, 0.1])
def test_st_13_a_body_in_answer_to_head_never_reaches_anybody(
    running: Running, upstream: Scripted, late: float
) -> None:
    head, _, body = OK.partition(b"\r\n\r\n")
    pieces = [head + b"\r\n\r\n", body] if late else [OK]
    upstream.play(Play(pieces, pause=late), Play())
    with connect(running.port) as connection:
        connection.sendall(b"HEAD /open HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        received = b""
        while received.count(b"\r\n\r\n") < 2:
            received += connection.recv(65536)
    assert statuses(received) == [200, 200]
    assert received.count(b"Content-Length: 2") == 2
    assert len(upstream.connections) == 2


async def sends_a_body_where_there_is_none(scope: Any, receive: Any, send: Any) -> None:
    """An application that leaves it to its server to drop a body, as Starlette's StreamingResponse does for HEAD."""
    if scope["type"] != "http":
        return
    status = int(scope["path"].removeprefix("/"))
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-path", scope["raw_path"])]})
    await send({"type": "http.response.body", "more_body": True})
    await asyncio.sleep(0.3)
    await send({"type": "http.response.body", "body": OK.replace(b"ok", b"no")})


def test_st_13_no_client_gets_the_body_of_anothers_answer_that_has_none(tmp_path: Path) -> None:
    """daphne sends every body, whatever the method and the status; the other servers drop these."""
    with (
        serve("daphne", f"{__name__}:sends_a_body_where_there_is_none") as server,
        sidecar(tmp_path, f"http://127.0.0.1:{server.port}") as running,
    ):
        for raw in ("HEAD /200", "HEAD /404", "GET /204", "GET /304"):
            assert exchange(running.port, request_bytes(raw, b"", close=False)).status == int(raw[-3:])
            for _ in range(2):
                found = exchange(running.port, request_bytes("GET /203", b""))
                assert (found.status, found.headers["x-path"]) == (203, "/203")


HANDSHAKE = (
    b"GET /open HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def test_st_14_what_follows_a_handshake_that_is_refused_is_judged_as_a_request(
    running: Running, upstream: Scripted
) -> None:
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    upstream.play(Play(refusal))
    hidden = b"POST /contact HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nx=y"
    assert statuses(talk(running.port, HANDSHAKE + hidden)) == [400, 403]
    assert len(upstream.requests) == 1


def test_st_14_no_byte_of_a_tunnel_goes_before_the_applications_101(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(delay=0.3))
    talk(running.port, HANDSHAKE + b"early frames", half_close=True)
    assert b"early frames" not in b"".join(upstream.requests)


@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
        b"Connection: close\r\nUpgrade: websocket\r\n",
    ],
)
def test_st_15_no_other_upgrade_is_passed_on(running: Running, upstream: Scripted, lines: bytes) -> None:
    received = talk(running.port, b"GET /open HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n", half_close=True)
    assert statuses(received) == [200]
    assert not re.search(rb"(?i)upgrade|http2|connection", upstream.requests[-1])


def test_st_16_a_token_twice_on_one_connection_is_admitted_once(running: Running, upstream: Scripted) -> None:
    before = len(upstream.requests)
    body = f"caputchin-token={fresh_token()}".encode()
    first = request_bytes(f"POST /contact\n{FORM}", body, close=False)
    received = talk(running.port, first + request_bytes(f"POST /contact\n{FORM}", body))
    assert sorted(statuses(received)) == [200, 403]
    assert len(upstream.requests) == before + 1


def test_st_17_nothing_after_a_last_request_is_answered(running: Running, upstream: Scripted) -> None:
    before = len(upstream.requests)
    received = talk(running.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + GET * 3)
    assert statuses(received) == [200]
    assert len(upstream.requests) == before + 1


def test_st_18_a_post_on_a_connection_that_ends_is_not_sent_again(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(), Play(b"", then="close"), Play())
    assert exchange(running.port, GET).status == 200
    assert exchange(running.port, request_bytes("POST /open", b"x=y")).status == 502
    assert len(upstream.requests) == 2


def test_st_18_a_post_takes_no_connection_that_is_known_to_end(running: Running, upstream: Scripted) -> None:
    (worker,) = running.workers()
    for _ in range(3):
        upstream.play(Play())
        with connect(running.port) as connection:
            connection.sendall(GET)
            assert read_answer(connection).status == 200
            os.kill(worker, signal.SIGSTOP)  # so that both happen at once for it
            try:
                upstream.end_connections()
                connection.sendall(request_bytes("POST /open", b"x=y"))
                time.sleep(0.05)
            finally:
                os.kill(worker, signal.SIGCONT)
            assert read_answer(connection).status == 200


@pytest.mark.parametrize("then", ["close", "reset"])
def test_st_19_a_get_on_a_kept_connection_that_ends_is_sent_once_more(
    running: Running, upstream: Scripted, then: str
) -> None:
    plays = [Play(), Play(b"", then=then), Play(OK.replace(b"ok", b"it"))]
    upstream.play(*plays)
    assert exchange(running.port, GET).status == 200
    assert exchange(running.port, GET).body == b"it"
    assert [len(requests) for requests in upstream.connections] == [2, 1]


def test_st_19_and_not_a_third_time(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(), Play(b"", then="close"))
    assert exchange(running.port, GET).status == 200
    assert exchange(running.port, GET).status == 502
    assert len(upstream.requests) == 3


def test_st_20_a_body_that_is_a_request_is_a_body(running: Running, upstream: Scripted) -> None:
    before = len(upstream.requests)
    raw = request_bytes("POST /open\nContent-Type: text/plain", HIDDEN)
    assert exchange(running.port, raw).status == 200
    assert_refused(talk(running.port, raw.replace(b"/open", b"/contact")[:-5]), 403)
    assert len(upstream.requests) == before + 1


def test_pipelined_requests_are_judged_one_by_one(running: Running, upstream: Scripted) -> None:
    before = len(upstream.requests)
    blocked = request_bytes(f"POST /contact\n{FORM}", b"x=y", close=False)
    received = talk(
        running.port, GET + blocked + GET + blocked * 3 + GET.replace(b"a\r\n", b"a\r\nConnection: close\r\n")
    )
    assert statuses(received) == [200, 403, 200, 403, 403, 403, 200]
    assert len(upstream.requests) == before + 3
