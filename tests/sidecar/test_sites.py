"""Sites of three frameworks, unmodified: behind the sidecar they are, byte for byte, what they are without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.scenarios import END, file
from tests.servers import serve
from tests.sidecar.running import sidecar
from tests.test_doors import FORM, fresh_token
from tests.wire import Answer, connect, exchange, read_answer, request_bytes

SITES = {"flask": "gunicorn-gthread", "django_site": "gunicorn-gthread", "fastapi": "uvicorn-httptools"}
EVENTS = 3
HOST = b"Host: shop.example\r\n"


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


def ask(port: int, head: str, body: bytes = b"", *, chunked: bool = False) -> Answer:
    raw = request_bytes(head, body, chunked=chunked).replace(b"Host: localhost\r\n", HOST)
    return exchange(port, raw)


def comparable(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """Without what is for one hop, or tells the time."""
    hop = {"date", "connection", "keep-alive", "transfer-encoding"}
    return answer.status, {name: value for name, value in answer.headers.items() if name not in hop}, answer.body


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
        ("POST /raw\nContent-Type: application/octet-stream", BYTES),
        ("POST /raw\nContent-Type: application/octet-stream", b""),
        ("GET /download", b""),
        ("HEAD /download", b""),
        ("GET /download\nRange: bytes=100-199", b""),
        ("GET /events", b""),
        ("GET /empty", b""),
        ("GET /broken", b""),
        ("GET /\nCookie: a=b; c=d\nAccept-Encoding: gzip", b""),
    ],
    ids=lambda value: value.split("\n")[0] if isinstance(value, str) else "",
)
def test_an_answer_is_the_same_as_without_the_sidecar(site: Site, head: str, body: bytes) -> None:
    assert comparable(ask(site.behind, head, body)) == comparable(ask(site.own, head, body))


def test_a_body_in_chunks_is_the_same_as_without_the_sidecar(site: Site) -> None:
    if site.name == "django_site":  # reads no body without a length, and resets the connection instead
        return
    head = "POST /raw\nContent-Type: application/octet-stream"
    assert ask(site.behind, head, BYTES, chunked=True).body == ask(site.own, head, BYTES, chunked=True).body


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
