"""Sites of three frameworks, unmodified: behind the sidecar they are, byte for byte, what they are without it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest
from websockets.sync.client import connect as websocket

from tests.scenarios import END, file
from tests.servers import serve
from tests.sidecar.running import sidecar
from tests.test_doors import FORM, fresh_token
from tests.wire import connect, read_answer, request_bytes

SITES = {"flask": "gunicorn-gthread", "django_site": "gunicorn-gthread", "fastapi": "uvicorn-httptools"}
EVENTS = 3
HOST = b"Host: shop.example\r\n"
HANDSHAKE = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: eHh4eHh4eHg="


@dataclass(frozen=True)
class Site:
    """The ports of a site: its own, and the sidecar's."""

    name: str
    own: int
    behind: int


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("gate")
    with (
        serve(SITES[request.param], f"tests.sidecar.sites:{request.param}") as server,
        sidecar(folder, f"http://127.0.0.1:{server.port}") as running,
    ):
        yield Site(request.param, server.port, running.port)


@dataclass(frozen=True)
class Answered:
    """Without what is for one hop, or tells the time."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]


def ask(port: int, head: str, body: bytes = b"", *, chunked: bool = False) -> Answered:
    raw = request_bytes(head, body, chunked=chunked).replace(b"Host: localhost\r\n", HOST)
    with connect(port) as connection:
        connection.sendall(raw)
        with closing(HTTPResponse(connection, method=head.split(" ")[0])) as response:
            response.begin()
            headers = sorted((name.lower(), value) for name, value in response.getheaders())
            return Answered(response.status, [pair for pair in headers if pair[0] not in HOP], response.read())


HOP = {"date", "connection", "keep-alive", "transfer-encoding"}
UPLOAD = "POST /upload\nContent-Type: multipart/form-data; boundary=xXx"
BYTES = bytes(range(256)) * 5000


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("GET /", b""),
        ("HEAD /", b""),
        ("GET /?q=%20%c3%bc&q=", b""),
        ("GET /there", b""),
        ("GET /nowhere", b""),
        ("DELETE /", b""),
        ("OPTIONS /upload", b""),
        (UPLOAD, file(BYTES, "file") + END),
        (UPLOAD, file(BYTES * 10, "file") + END),
        (UPLOAD, b""),
        ("POST /raw\nContent-Type: application/octet-stream", BYTES),
        ("POST /raw\nContent-Type: application/octet-stream", b""),
        ("GET /download", b""),
        ("HEAD /download", b""),
        ("GET /file", b""),
        ("HEAD /file", b""),
        ("GET /file\nRange: bytes=100-199", b""),
        ("GET /file\nRange: bytes=-100", b""),
        ("GET /file\nRange: bytes=99999999-", b""),
        ('GET /file\nRange: bytes=0-99\nIf-Range: "another"', b""),
        ("GET /large", b""),
        ("HEAD /large", b""),
        ("GET /events", b""),
        ("GET /empty", b""),
        ("HEAD /empty", b""),
        ("GET /teapot", b""),
        ("GET /broken", b""),
        ("GET /\nCookie: a=b; c=d\nAccept-Encoding: gzip", b""),
    ],
    ids=lambda value: value.split("\n")[0] if isinstance(value, str) else "",
)
def test_an_answer_is_the_same_as_without_the_sidecar(site: Site, head: str, body: bytes) -> None:
    assert ask(site.behind, head, body) == ask(site.own, head, body)


def test_every_cookie_arrives(site: Site) -> None:
    assert len(ask(site.behind, "GET /").all("set-cookie")) == 2


def test_what_a_client_has_already_is_not_sent_again(site: Site) -> None:
    (tag,), (changed,) = (ask(site.own, "GET /file").all(name) for name in ("etag", "last-modified"))
    for condition in (f"If-None-Match: {tag}", f"If-Modified-Since: {changed}"):
        for method in ("GET", "HEAD"):
            answer = ask(site.behind, f"{method} /file\n{condition}")
            assert (answer.status, answer.body) == (304, b"")
            assert answer == ask(site.own, f"{method} /file\n{condition}")


def test_a_body_in_chunks_is_the_same_as_without_the_sidecar(site: Site) -> None:
    head = "POST /raw\nContent-Type: application/octet-stream"
    # Django reads no body without a length, and its server then ends the connection: less of a body, for certainty.
    body = b"hello" if site.name == "django_site" else BYTES
    answer = ask(site.behind, head, body, chunked=True)
    assert answer == ask(site.own, head, body, chunked=True)
    assert answer.body.startswith(b"0 " if site.name == "django_site" else b"%d " % len(body))


def test_messages_over_a_websocket_are_the_same_as_without_the_sidecar(site: Site) -> None:
    if site.name != "fastapi":  # WSGI has no WebSockets: the handshake is answered as any GET
        handshake = f"GET /nowhere\n{HANDSHAKE}"
        assert ask(site.behind, handshake) == ask(site.own, handshake)
        return
    heard = []
    for port in (site.own, site.behind):
        with websocket(f"ws://127.0.0.1:{port}/chat", proxy=None, open_timeout=15) as chat:
            for message in ("hello", "ü" * 50_000, "bye"):
                chat.send(message)
                heard.append(chat.recv(15))
    assert heard[:3] == heard[3:] == ["hello", "ü" * 50_000, "bye"]


def test_events_come_when_they_are_sent(site: Site) -> None:
    with connect(site.behind) as connection:
        connection.sendall(request_bytes("GET /events", b""))
        times, received = [], b""
        while received.count(b"data:") < EVENTS:
            received += connection.recv(65536)
            times.append(time.monotonic())
    assert times[-1] - times[0] > 0.3


def test_a_form_with_a_token_is_admitted_and_the_site_is_told(site: Site) -> None:
    answer = ask(site.behind, f"POST /contact\n{FORM}", f"caputchin-token={fresh_token()}".encode())
    assert (answer.status, answer.body) == (200, b"admitted verified caputchin")
    assert ask(site.behind, f"POST /contact\n{FORM}", b"name=Ann").status == 403


def test_requests_follow_one_another_on_one_connection(site: Site) -> None:
    with connect(site.behind) as connection:
        for number in range(20):
            head = "GET /" if number % 2 else "POST /raw\nContent-Type: application/octet-stream"
            connection.sendall(request_bytes(head, b"" if number % 2 else BYTES, close=False))
            assert read_answer(connection).status == 200
