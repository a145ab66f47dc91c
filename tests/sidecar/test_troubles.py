"""Applications that are absent, slow or broken, and clients that take too much: who is told what, and who waits."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from caputchin_gate.addresses import Address
from caputchin_gate.sidecar.settings import RelaySettings
from caputchin_gate.sidecar.upstream import UpstreamConnection
from caputchin_gate.sidecar.upstreams import Upstreams
from tests.sidecar.running import Running, sidecar
from tests.sidecar.scripted import OK, Play, Scripted
from tests.sidecar.talking import read_all, statuses, talk
from tests.test_doors import FORM, fresh_token
from tests.wire import connect, exchange, read_answer, request_bytes

GET = b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n"
CANARY = "a-canary-of-the-client"
UPSTREAM_CANARY = "a-canary-of-the-application"


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
    table = {"timeouts": {"response": "500ms", "connect": "500ms", "silence": "1s"}}
    limits = {"body_timeout": "1s"}
    with sidecar(tmp_path_factory.mktemp("gate"), application.url, sidecar=table, limits=limits) as started:
        yield started
        assert CANARY not in started.output()
        assert UPSTREAM_CANARY not in started.output()
        assert "Traceback" not in started.output()
        assert "internal error" not in started.output()
        assert "never awaited" not in started.output()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


TROUBLES = {
    "it closes at once": (Play(b"", then="close"), 502),
    "it resets": (Play(b"", then="reset"), 502),
    "it closes in its head": (Play(b"HTTP/1.1 200 OK\r\nX: y\r\n", then="close"), 502),
    "it says nonsense": (Play(f"{UPSTREAM_CANARY}\r\n\r\n".encode()), 502),
    "its head is too large": (Play(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), 502),
    "its first chunk is none": (Play(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n"), 502),
    "it says nothing": (Play(b"", delay=1.5), 504),
    "it begins and says no more": (Play([b"HTTP/1.1 200 OK\r\n", b"\r\n"], pause=1.5), 504),
}


@pytest.mark.parametrize(("play", "status"), TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("head", ["GET /open", "POST /open"])
def test_what_is_no_answer_is_told_in_the_clients_language_and_without_its_words(
    running: Running, upstream: Scripted, play: Play, status: int, head: str
) -> None:
    upstream.play(play)
    page = exchange(running.port, request_bytes(f"{head}?{CANARY}\nAccept-Language: de\nX-A: {CANARY}", b""))
    assert (page.status, page.headers["cache-control"]) == (status, "no-store")
    assert "Diese Seite ist zurzeit nicht verfügbar" in page.body.decode()
    upstream.play(play)
    problem = exchange(running.port, request_bytes(f"{head}?{CANARY}\nAccept: application/json", b""))
    assert (problem.status, json.loads(problem.body)["status"]) == (status, status)
    assert CANARY not in (page.body + problem.body).decode() + str(page.headers) + str(problem.headers)
    assert UPSTREAM_CANARY not in (page.body + problem.body).decode()


def test_an_application_that_is_not_there_is_a_502_and_is_found_when_it_comes(tmp_path: Path) -> None:
    port = unused_port()
    with sidecar(tmp_path, f"http://127.0.0.1:{port}") as running:
        for raw in (GET, request_bytes("POST /open", b"x=y")):
            assert exchange(running.port, raw).status == 502
        with socket.create_server(("127.0.0.1", port)) as late:
            threading.Thread(target=_answer_once, args=(late,), daemon=True).start()
            assert exchange(running.port, GET).body == b"ok"


def _answer_once(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    connection.recv(65536)
    connection.sendall(OK)
    connection.recv(1)  # until it is let go


CUT = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "bad chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"x\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_an_answer_that_breaks_off_is_not_made_to_look_whole(
    running: Running, upstream: Scripted, answer: bytes | tuple[bytes, ...]
) -> None:
    upstream.play(Play(answer, then="close", pause=0.1))
    received = talk(running.port, GET)
    assert statuses(received) == [200]
    assert not received.endswith(b"0\r\n\r\n")
    assert received.count(b"HTTP/1.1") == 1


def test_an_answer_until_the_end_that_is_reset_is_not_made_to_look_whole(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(b"HTTP/1.1 200 OK\r\n\r\nhalf", then="reset", pause=0.1))
    assert not talk(running.port, GET).endswith(b"0\r\n\r\n")


def test_an_answer_that_falls_silent_is_cut_off(running: Running, upstream: Scripted) -> None:
    upstream.play(Play([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"rest"], pause=5))
    started = time.monotonic()
    assert talk(running.port, GET).endswith(b"half")
    assert time.monotonic() - started < 4.5


def test_what_comes_slowly_but_comes_is_waited_for(running: Running, upstream: Scripted) -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 8, b"0\r\n\r\n"]
    upstream.play(Play(pieces, pause=0.25))
    assert exchange(running.port, GET).body == b"x" * 8


def test_events_arrive_one_by_one_as_they_are_sent(running: Running, upstream: Scripted) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b"9\r\ndata: x\n\n\r\n"
    upstream.play(Play([head, *[event] * 3, b"0\r\n\r\n"], pause=0.3))
    with connect(running.port) as connection:
        connection.sendall(GET)
        seen = []
        while not seen or not seen[-1].endswith(b"0\r\n\r\n"):
            seen.append(connection.recv(65536))
    assert b"".join(seen).endswith(event * 3 + b"0\r\n\r\n")
    assert len(seen) == 5


def test_a_client_that_leaves_ends_what_it_asked_for(running: Running, upstream: Scripted) -> None:
    upstream.play(Play([OK[:-2], *[b""] * 20], pause=0.1))
    with connect(running.port) as connection:
        connection.sendall(GET)
        connection.recv(100)
    started = time.monotonic()
    upstream.play(Play())  # returns when the connection has ended
    assert time.monotonic() - started < 5
    assert exchange(running.port, GET).body == b"ok"


@pytest.mark.parametrize("missing", [0, 1])
def test_what_a_client_asked_for_before_it_left_is_begun_by_nobody(
    running: Running, upstream: Scripted, missing: int
) -> None:
    form = request_bytes("POST /contact\nContent-Type: application/x-www-form-urlencoded", b"x=y")
    upstream.play(Play(delay=0.2))
    for _ in range(5):
        with connect(running.port) as connection:
            connection.sendall(GET + form[: len(form) - missing])
            upstream.wait_for(lambda it: it.requests)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.3)
    assert exchange(running.port, GET).status == 200
    assert "never awaited" not in running.output()


# Bodies


def test_a_body_goes_on_while_the_client_still_sends(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(early=True))
    with connect(running.port) as connection:
        connection.sendall(b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        upstream.wait_for(lambda it: it.requests)
        assert read_answer(connection).status == 200


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("leaves", [True, False], ids=["it leaves", "it ends its side"])
def test_a_body_that_breaks_off_is_never_made_to_look_whole(
    running: Running, upstream: Scripted, framing: str, leaves: bool
) -> None:
    with connect(running.port) as connection:
        start = b"5\r\nhello\r\n" if "chunked" in framing else b"hello"
        connection.sendall(f"POST /open HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode() + start)
        upstream.wait_for(lambda it: it.requests)
        if not leaves:
            connection.shutdown(socket.SHUT_WR)
            assert statuses(read_all(connection)) == [400]
    upstream.play(Play())
    assert upstream.requests == []


def test_a_body_that_stalls_is_given_up(running: Running, upstream: Scripted) -> None:
    received = talk(running.port, b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello")
    assert statuses(received) == [408]


def test_chunks_stay_chunks_and_a_length_a_length(running: Running, upstream: Scripted) -> None:
    exchange(running.port, request_bytes("POST /open", b"hello", chunked=True))
    exchange(running.port, request_bytes("POST /open", b"hello"))
    by_chunks, by_length = upstream.requests
    assert b"\r\nTransfer-Encoding: chunked\r\n" in by_chunks
    assert b"content-length" not in by_chunks.lower()
    assert by_chunks.endswith(b"\r\n0\r\n\r\n")
    assert b"\r\nContent-Length: 5\r\n" in by_length
    assert by_length.endswith(b"\r\n\r\nhello")


def test_an_application_that_does_not_read_makes_the_client_wait_and_is_given_up(
    running: Running, upstream: Scripted
) -> None:
    upstream.play(Play(b"", early=True, delay=3))
    with connect(running.port) as connection:
        connection.sendall(b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        connection.settimeout(0.3)
        sent = 0
        try:
            while sent < 50_000_000:
                sent += connection.send(b"x" * 65536)
        except OSError:
            pass
        connection.settimeout(10)
        assert sent < 30_000_000
        assert statuses(read_all(connection)) == [504]


def test_a_client_that_does_not_read_makes_the_application_wait_and_is_given_up(
    running: Running, upstream: Scripted
) -> None:
    upstream.play(Play(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000_000))
    before = resident(running)
    with connect(running.port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(GET)
        connection.recv(100)
        time.sleep(0.5)
        assert resident(running) - before < 8 * 2**20
        time.sleep(2)
        connection.settimeout(5)
        assert len(read_all(connection)) < 90_000_000


def test_a_client_that_stops_reading_while_its_connection_ends_is_given_up_too(tmp_path: Path) -> None:
    early = Play(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, early=True)
    limits = {"body_timeout": "1s", "connections_per_client": 1}
    with (
        Scripted([early]) as upstream,
        sidecar(tmp_path, upstream.url, limits=limits) as running,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", running.port))
        connection.sendall(b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
        time.sleep(0.3)
        left = 2_900_000
        while left > 0:
            left -= len(connection.recv(min(left, 65536)))
        upstream.play(Play())
        end = time.monotonic() + 6
        while exchange(running.port, GET).status == 503:
            assert time.monotonic() < end, "its connection is held"
            time.sleep(0.1)


def test_what_follows_answers_that_are_not_read_is_not_read_either(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000))
    before = resident(running)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", running.port))
        connection.sendall(GET * 200)
        time.sleep(0.5)
        connection.settimeout(0.5)
        sent = 0
        try:
            while sent < 30_000_000:
                sent += connection.send(b"y" * 65536)
        except OSError:
            pass
        assert sent < 15_000_000
        assert resident(running) - before < 8 * 2**20


def test_pipelined_requests_go_on_when_the_client_reads_their_answers(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000))
    padded = GET.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 2000 + b"\r\n\r\n")  # all are more than is read at once
    requests = padded * 300 + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", running.port))
        threading.Thread(target=connection.sendall, args=(requests,), daemon=True).start()
        time.sleep(0.3)
        received = 0
        while piece := connection.recv(2**20):
            received += piece.count(b"x")
    assert received == 301 * 100_000


def resident(running: Running) -> int:
    (worker,) = running.workers()
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * 4096


# Several applications


def test_requests_go_by_turns_and_one_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(Scripted()) for _ in range(2)]
        gone = f"http://127.0.0.1:{unused_port()}"
        running = stack.enter_context(sidecar(tmp_path, [servers[0].url, gone, servers[1].url]))
        assert {exchange(running.port, request_bytes("POST /open", b"x=y")).status for _ in range(30)} == {200}
        assert min(len(server.requests) for server in servers) >= 8


@pytest.mark.parametrize(("head", "status", "sent"), [("GET /open", 200, 1), ("POST /open", 502, 0)])
def test_a_request_that_one_closes_unanswered_goes_to_another_if_that_does_no_harm(
    tmp_path: Path, head: str, status: int, sent: int
) -> None:
    with ExitStack() as stack:
        closing = stack.enter_context(Scripted([Play(b"", then="close")]))
        other = stack.enter_context(Scripted())
        running = stack.enter_context(sidecar(tmp_path, [closing.url, other.url]))
        while not closing.requests:
            before = len(other.requests)
            answer = exchange(running.port, request_bytes(head, b""))
        assert answer.status == status
        assert len(other.requests) - before == sent


def test_a_kept_connection_that_is_being_closed_is_given_to_nobody(upstream: Scripted) -> None:
    async def kept_after(end: Callable[[UpstreamConnection], object]) -> UpstreamConnection | None:
        settings = RelaySettings((Address("127.0.0.1", upstream.port),))
        upstreams = Upstreams(settings, None, asyncio.get_running_loop())
        server = upstreams.next()
        connection = await upstreams.connect(server)
        assert connection is not None
        upstreams.keep(connection)
        end(connection)
        return upstreams.kept(server, repeatable=True)

    assert asyncio.run(kept_after(lambda it: None)) is not None
    assert asyncio.run(kept_after(lambda it: it.close())) is None
    assert asyncio.run(kept_after(lambda it: it.expire())) is None


def test_over_a_unix_socket_on_both_sides(tmp_path: Path) -> None:
    with Scripted(path=str(tmp_path / "app.sock")) as upstream:
        listen = f"unix:{tmp_path}/gate.sock"
        with sidecar(tmp_path, upstream.url, sidecar={"listen": listen}), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "gate.sock"))
            connection.sendall(b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_answer(connection).body == b"ok"
            connection.sendall(b"GET /open HTTP/1.0\r\n\r\n")
            assert read_answer(connection).body == b"ok"
        assert b"\r\nHost: localhost\r\n" in upstream.requests[1]
        assert b"Forwarded: for=unknown;" in upstream.requests[0]
        assert b"X-Forwarded-For" not in upstream.requests[0]
        assert not (tmp_path / "gate.sock").exists()


# Limits


def test_connections_over_the_limit_are_turned_away_and_the_others_are_served(tmp_path: Path) -> None:
    limits = {"connections_per_client": 5}
    with Scripted() as upstream, sidecar(tmp_path, upstream.url, limits=limits) as running, ExitStack() as stack:
        held = [stack.enter_context(connect(running.port)) for _ in range(5)]
        for connection in held:
            connection.sendall(GET)
            assert read_answer(connection).status == 200
        assert exchange(running.port, GET).status == 503
        held[0].close()
        held[1].sendall(GET)
        assert read_answer(held[1]).status == 200
        end = time.monotonic() + 5
        while exchange(running.port, GET).status != 200:
            assert time.monotonic() < end


def test_st_6_many_half_bodies_take_no_more_memory_than_is_theirs_and_keep_nobody_out(tmp_path: Path) -> None:
    limits = {"kept_bytes": "8MiB"}
    with Scripted() as upstream, sidecar(tmp_path, upstream.url, limits=limits) as running, ExitStack() as stack:
        before = resident(running)
        head = f"POST /contact HTTP/1.1\r\nHost: a\r\n{FORM}\r\nContent-Length: 1048576\r\n\r\n".encode()
        half = head + b"x=" + b"y" * 524286
        held = [stack.enter_context(connect(running.port)) for _ in range(300)]
        for connection in held:
            connection.setblocking(False)
            try:
                connection.sendall(half)
            except BlockingIOError:
                pass
        time.sleep(1)
        assert resident(running) - before < 120 * 2**20
        assert exchange(running.port, GET).status == 200
        token = request_bytes(f"POST /contact\nX-Caputchin-Token: {fresh_token()}", b"")
        assert exchange(running.port, token).status == 200
