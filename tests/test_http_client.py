"""The one call to a provider, over real sockets: it ends in time, never raises, and tells nothing it should not."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trustme

from caputchin_gate.effects import Call, NoReply
from caputchin_gate.http_client import HttpClient
from caputchin_gate.http_client.exchange import MAX_BODY
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.verdict import Cause
from tests.siteverify_server import Pace, Scripted, SiteverifyServer

PASS = Scripted.json({"success": True})
CANARY = "cpt_sec_canary"
SHORT, LONG = 0.3, 10.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


def trusting(authority: trustme.CA) -> HttpClient:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return HttpClient(ssl_context=context)


def ask(url: str, timeout: float = LONG) -> Call:
    body = f'{{"secret":"{CANARY}"}}'.encode()
    headers = (("Content-Type", "application/json"), ("Authorization", f"Bearer {CANARY}"))
    return Call(HttpRequest(url, body, headers), timeout)


def test_a_reply_comes_back_whole(client: HttpClient) -> None:
    with SiteverifyServer([Scripted(418, (("X-Tea", "green"),), b"leaves")]) as server:
        reply = client.call(ask(server.url))
    assert reply == HttpReply(418, {"x-tea": "green", "content-length": "6"}, b"leaves")


def test_the_request_is_sent_as_it_was_built_and_nothing_is_added_but_framing(client: HttpClient) -> None:
    with SiteverifyServer([PASS]) as server:
        client.call(ask(server.url))
    (got,) = server.received
    assert (got.method, got.target) == ("POST", "/siteverify")
    assert got.body == f'{{"secret":"{CANARY}"}}'.encode()
    assert dict(got.headers) == {
        "Host": f"localhost:{server.port}",
        "Content-Type": "application/json",
        "Authorization": f"Bearer {CANARY}",
        "Accept-Encoding": "identity",
        "Content-Length": str(len(got.body)),
    }


def test_a_call_without_a_body_can_be_made(client: HttpClient) -> None:
    with SiteverifyServer([PASS]) as server:
        request = HttpRequest(server.url, b"", method="GET", query=f"key={CANARY}")
        reply = client.call(Call(request, LONG))
    assert isinstance(reply, HttpReply)
    (got,) = server.received
    assert (got.method, got.target) == ("GET", f"/siteverify?key={CANARY}")
    assert dict(got.headers) == {"Host": f"localhost:{server.port}", "Accept-Encoding": "identity"}
    assert CANARY not in repr(request)


BROKEN = {
    "nothing comes": (Scripted(pace=Pace.SILENT), NoReply(Cause.TIMEOUT)),
    "it trickles": (Scripted(pace=Pace.TRICKLE), NoReply(Cause.TIMEOUT)),
    "closed without an answer": (Scripted(pace=Pace.GONE), NoReply(Cause.CONNECTION)),
    "not HTTP": (Scripted(raw=b"SSH-2.0-OpenSSH_9.7\r\n\r\n"), NoReply(Cause.CONNECTION)),
    "half a head": (Scripted(raw=b"HTTP/1.1 200 OK\r\nContent-Le"), NoReply(Cause.CONNECTION)),
    "another protocol": (
        Scripted(raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        NoReply(Cause.CONNECTION),
    ),
    "shorter than declared": (Scripted(body=b'{"success":true}', content_length=17), NoReply(Cause.UNREADABLE)),
    "a chunk is missing": (
        Scripted(raw=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"success":true}\r\n'),
        NoReply(Cause.UNREADABLE),
    ),
    "too large by one": (Scripted(body=b" " * (MAX_BODY + 1)), NoReply(Cause.UNREADABLE)),
    "too large without a length": (
        Scripted(raw=b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b" " * 10 * MAX_BODY),
        NoReply(Cause.UNREADABLE),
    ),
    "compressed": (Scripted(headers=(("Content-Encoding", "gzip"),), body=b"\x1f\x8b"), NoReply(Cause.UNREADABLE)),
}


@pytest.mark.parametrize(("reply", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_a_complete_reply_is_told_as_a_value_and_in_time(
    client: HttpClient, reply: Scripted, expected: NoReply
) -> None:
    with SiteverifyServer([reply]) as server:
        timeout = SHORT if expected.cause is Cause.TIMEOUT else LONG
        client.call(ask("http://localhost:1/", SHORT))  # what is imported at the first call is not measured
        started = time.monotonic()
        assert client.call(ask(server.url, timeout)) == expected
        assert time.monotonic() - started < timeout + 2
        assert len(server.received) == 1, "a POST is never sent twice"


def test_a_reply_of_exactly_the_limit_is_read(client: HttpClient) -> None:
    with SiteverifyServer([Scripted(body=b" " * MAX_BODY)]) as server:
        reply = client.call(ask(server.url))
    assert isinstance(reply, HttpReply)
    assert len(reply.body) == MAX_BODY


def test_a_refused_connection_sent_nothing(client: HttpClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert client.call(ask(f"http://127.0.0.1:{port}/")) == NoReply(Cause.CONNECTION, sent=False)


def test_an_unknown_host_sent_nothing(client: HttpClient) -> None:
    assert client.call(ask("https://nowhere.invalid/")) == NoReply(Cause.CONNECTION, sent=False)


def resolving(monkeypatch: pytest.MonkeyPatch, name: str, answer: Callable[[], list[str]]) -> None:
    """From now on a name has the addresses that `answer` gives."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        if host != name:
            return real(host, *arguments, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in answer()]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_that_nobody_can_look_up_holds_up_nobody_else(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, asked = threading.Event(), []

    def never() -> list[str]:
        asked.append(1)
        answered.wait(LONG)
        return ["127.0.0.1"]

    resolving(monkeypatch, "slow.example", never)

    async def talk() -> list[HttpReply | NoReply]:
        calls = [asyncio.create_task(client.acall(ask("https://slow.example/", SHORT))) for _ in range(40)]
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.run_in_executor(None, lambda: "the application's"), LONG)
        assert await asyncio.wait_for(loop.getaddrinfo("localhost", 80), LONG)
        return await asyncio.gather(*calls)

    try:
        assert set(asyncio.run(talk())) == {NoReply(Cause.TIMEOUT, sent=False)}
        assert len(asked) == 1
    finally:
        answered.set()


def test_of_several_addresses_the_first_that_takes_the_connection_is_used(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SiteverifyServer([PASS]) as server:
        resolving(monkeypatch, "shop.example", lambda: ["127.0.0.2", "127.0.0.1"])
        reply = client.call(ask(server.url.replace("127.0.0.1", "shop.example")))
        assert isinstance(reply, HttpReply)


def test_a_handshake_that_never_ends_is_ended_and_sent_nothing(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/"
        assert client.call(ask(url, SHORT)) == NoReply(Cause.TIMEOUT, sent=False)


def test_a_redirect_is_a_reply_and_its_target_is_never_called(client: HttpClient) -> None:
    with SiteverifyServer([PASS]) as target:
        for status in (301, 302, 303, 307, 308):
            with SiteverifyServer([Scripted(status, (("Location", target.url),))]) as server:
                reply = client.call(ask(server.url))
            assert isinstance(reply, HttpReply)
            assert reply.status == status
    assert target.received == []


def test_no_cookie_is_kept(client: HttpClient) -> None:
    with SiteverifyServer([Scripted(headers=(("Set-Cookie", "a=b; Path=/"),))]) as server:
        client.call(ask(server.url))
        client.call(ask(server.url))
    assert [got.header("Cookie") for got in server.received] == [None, None]


def test_the_environment_names_no_proxy_and_no_authority(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    with authority.cert_pem.tempfile() as file, SiteverifyServer([PASS], tls=server_tls) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv("SSL_CERT_FILE", file)
        assert isinstance(trusting(authority).call(ask(server.url)), HttpReply)
        assert HttpClient().call(ask(server.url)) == NoReply(Cause.TLS, sent=False)


def test_a_certificate_is_checked_and_nothing_is_sent_to_a_stranger(
    client: HttpClient, authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    with SiteverifyServer([PASS], tls=server_tls) as server:
        assert client.call(ask(server.url)) == NoReply(Cause.TLS, sent=False)
        other_name = server.url.replace("localhost", "127.0.0.1")
        assert trusting(authority).call(ask(other_name)) == NoReply(Cause.TLS, sent=False)
        assert server.received == []
        assert isinstance(trusting(authority).call(ask(server.url)), HttpReply)


def test_a_connection_is_kept_and_used_again(client: HttpClient) -> None:
    with SiteverifyServer([PASS]) as server:
        for _ in range(3):
            assert isinstance(client.call(ask(server.url)), HttpReply)
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_replaced_unnoticed(client: HttpClient) -> None:
    farewell = Scripted.json({"success": True})
    with SiteverifyServer([Scripted(body=farewell.body, closes=True), PASS]) as server:
        client.call(ask(server.url))
        assert server.closed_connection.wait(10)
        assert isinstance(client.call(ask(server.url)), HttpReply)
    assert server.connections == 2


def test_a_kept_connection_that_closes_as_we_send_is_not_tried_again(client: HttpClient) -> None:
    with SiteverifyServer([PASS, Scripted(pace=Pace.GONE), PASS]) as server:
        client.call(ask(server.url))
        assert client.call(ask(server.url)) == NoReply(Cause.CONNECTION, sent=True)
        assert len(server.received) == 2


def test_bytes_after_a_reply_never_answer_the_next_call(client: HttpClient) -> None:
    forged = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"success":true}'
    no = Scripted.json({"success": False})
    two_in_one = Scripted(body=no.body + forged, content_length=len(no.body), closes=False)
    with SiteverifyServer([two_in_one, no]) as server:
        client.call(ask(server.url))
        second = client.call(ask(server.url))
    assert not (isinstance(second, HttpReply) and second.body == b'{"success":true}')


def test_a_call_goes_over_as_many_loops_and_threads_as_there_are(client: HttpClient) -> None:
    async def several() -> list[HttpReply | NoReply]:
        replies = await asyncio.gather(*(client.acall(ask(server.url)) for _ in range(8)))
        await client.aclose()
        return replies

    with SiteverifyServer([PASS]) as server, ThreadPoolExecutor(8) as threads:
        loops = [threads.submit(asyncio.run, several()) for _ in range(4)]
        blocking = [threads.submit(client.call, ask(server.url)) for _ in range(8)]
        replies = [reply for loop in loops for reply in loop.result()] + [call.result() for call in blocking]
    assert len(replies) == 40
    assert all(isinstance(reply, HttpReply) for reply in replies)


def test_a_loop_that_ended_is_not_kept(client: HttpClient) -> None:
    async def one() -> weakref.ref[asyncio.AbstractEventLoop]:
        await client.acall(ask(server.url))
        return weakref.ref(asyncio.get_running_loop())

    with SiteverifyServer([PASS]) as server:
        first = asyncio.run(one())
        asyncio.run(one())
    gc.collect()
    assert first() is None


def test_a_cancelled_call_lets_go_of_its_connection(client: HttpClient) -> None:
    async def cancel() -> None:
        call = asyncio.create_task(client.acall(ask(server.url)))
        assert await asyncio.to_thread(server.got_request.wait, 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(server.closed_connection.wait, 10)

    with SiteverifyServer([Scripted(pace=Pace.SILENT)]) as server:
        asyncio.run(cancel())


def test_calls_go_on_in_parent_and_child_after_a_fork_even_while_one_is_under_way(client: HttpClient) -> None:
    with SiteverifyServer([PASS, Scripted(pace=Pace.SILENT), PASS]) as server:
        assert isinstance(client.call(ask(server.url)), HttpReply)
        server.got_request.clear()
        under_way = threading.Thread(target=client.call, args=(ask(server.url, 1.0),))
        under_way.start()
        assert server.got_request.wait(10)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            reply = client.call(ask(server.url))
            os.write(writing, b"reply" if isinstance(reply, HttpReply) else repr(reply).encode())
            os._exit(0)
        os.close(writing)
        assert os.read(reading, 100) == b"reply"
        os.close(reading)
        assert os.waitpid(child, 0)[1] == 0
        assert isinstance(client.call(ask(server.url)), HttpReply)
        under_way.join()


def test_a_closed_client_opens_again_when_it_is_used(client: HttpClient) -> None:
    with SiteverifyServer([PASS]) as server:
        client.call(ask(server.url))
        client.close()
        assert server.closed_connection.wait(10)
        assert isinstance(client.call(ask(server.url)), HttpReply)


def test_no_log_tells_a_secret_at_any_level(client: HttpClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with SiteverifyServer([PASS, Scripted(pace=Pace.GONE), Scripted(raw=b"garbage\r\n\r\n")]) as server:
        for _ in range(3):
            client.call(ask(f"{server.url}?privatekey={CANARY}", LONG))
        client.call(Call(HttpRequest(server.url, b"x", (("Bad\nName", CANARY),)), LONG))
    assert caplog.records, "httpx2 logs at this level, so the search finds what there is"
    assert CANARY not in caplog.text


def test_a_request_that_can_not_be_written_ends_like_a_lost_connection(client: HttpClient) -> None:
    with SiteverifyServer([PASS]) as server:
        broken = HttpRequest(server.url, b"x", (("Bad Name", CANARY),))
        assert client.call(Call(broken, LONG)) == NoReply(Cause.CONNECTION, sent=False)
        assert isinstance(client.call(ask(server.url)), HttpReply)


def test_importing_the_client_imports_no_event_loop_and_no_http_library() -> None:
    shown = "import sys, caputchin_gate.http_client; print(sorted({'asyncio', 'httpx2', 'ssl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
