"""Every door gives the same request the same decision, and the application the same bytes, over real servers."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from caputchin_gate.engines.native import NativeChallenges, meets
from caputchin_gate.engines.solver import solve
from tests.at_home.django_site import WAYS
from tests.echo import SIGNING_KEY
from tests.scenarios import BIG, END, FORM, MULTIPART, SCENARIOS, Scenario, file, part
from tests.servers import STACKS, Server, serve
from tests.wire import PATIENCE, Answer, connect, exchange, read_answer, request_bytes

CHALLENGES = NativeChallenges(
    [hashlib.sha256(SIGNING_KEY.encode()).digest()], site_key="default", binding="off", cap=10_000
)
APPS = {"asgi": "tests.echo:asgi", "wsgi": "tests.echo:wsgi"}
# Each door: a server and an application.
DOORS = {stack: (stack, APPS[STACKS[stack].interface]) for stack in STACKS} | {
    f"{framework}-{rules}": (stack, f"tests.at_home.{framework}_site:with_{rules}")
    for framework, stack in (
        ("starlette", "uvicorn-h11"),
        ("fastapi", "uvicorn-httptools"),
        ("flask", "gunicorn-gthread"),
    )
    for rules in ("rules", "marks")
}
DOORS |= {
    f"django-{way}": (
        "gunicorn-gthread" if way.startswith("wsgi") else "uvicorn-httptools",
        f"tests.at_home.django_site:{way}",
    )
    for way in WAYS
}
DOORS |= {
    "litestar": ("uvicorn-httptools", "tests.plain.litestar_site:site"),
    "quart": ("hypercorn", "tests.plain.quart_site:app"),
    "bottle": ("waitress", "tests.plain.bottle_site:site"),
    "pyramid": ("gunicorn-gthread", "tests.plain.pyramid_site:site"),
}

# What a server's own strictness may answer before any middleware is asked.
SERVERS_OWN = (400, 404, 405, 421, 501)


def fresh_token() -> str:
    challenge = CHALLENGES.issue(now=time.time(), nonce=os.urandom(4), step=1, client=None)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


def wrong_token() -> str:
    """A challenge of ours with a number that does not solve it."""
    challenge = CHALLENGES.issue(now=time.time(), nonce=os.urandom(4), step=1, client=None)
    wrong = next(n for n in range(10) if not meets(challenge.token.encode(), str(n), challenge.target))
    return f"{challenge.token}.{wrong}"


@pytest.fixture(scope="module", params=sorted(DOORS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("store") / "gate.db"
    stack, app = DOORS[request.param]
    with serve(stack, app, environment={"GATE_STORE": f"sqlite:///{store}"}) as started:
        yield started


@pytest.fixture(scope="module")
def used_token(server: Server) -> str:
    token = fresh_token()
    body = f"caputchin-token={token}".encode()
    assert exchange(server.port, request_bytes(f"POST /contact\n{FORM}", body)).status == 200
    return token


def runs(server: Server) -> int:
    return int(exchange(server.port, request_bytes("GET /runs", b"")).body)


def begun(server: Server) -> int:
    return int(exchange(server.port, request_bytes("GET /begun", b"")).body)


def filled(text: bytes, used: str) -> bytes:
    for mark, make in ((b"{fresh}", fresh_token), (b"{wrong}", wrong_token), (b"{used}", lambda: used)):
        while mark in text:
            text = text.replace(mark, make().encode(), 1)
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):  # a body in UTF-16 has its marks in UTF-16 too
        text = text.decode("utf-16").replace("{fresh}", fresh_token()).encode("utf-16")
    return text


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_door_decides_alike(server: Server, used_token: str, scenario: Scenario) -> None:
    head = filled(scenario.head.encode("latin-1"), used_token).decode("latin-1")
    body = filled(scenario.body, used_token)
    before = runs(server)
    answer = exchange(server.port, request_bytes(head, body, chunked=scenario.chunked))
    ran = runs(server) - before
    sidecar = getattr(server, "in_front", None) is not None
    if server.stack == "aiohttp-wsgi" and "Content-Encoding" in head and (scenario.ran or not sidecar):
        # what reaches it is decompressed by it, and it breaks at what is none
        assert (answer.status, ran) == (500, 0)
        return
    if not scenario.ran:
        assert ran == 0, "the application ran"
        assert answer.status in scenario.status or answer.status in SERVERS_OWN
        assert answer.headers.get("cache-control") == "no-store" or answer.status in SERVERS_OWN
        return
    assert answer.status in scenario.status
    assert ran == 1
    if head.startswith("HEAD"):
        return
    told = json.loads(answer.body)
    assert told["reason"] == scenario.reason
    assert told["length"] == len(body)
    assert told["sha256"] == hashlib.sha256(body).hexdigest()
    if scenario.headers_seen is not None and not sidecar:
        assert tuple(told["own_headers"]) == scenario.headers_seen


def test_an_exemption_counts_in_its_plain_spelling_only(server: Server) -> None:
    before = runs(server)
    answer = exchange(server.port, request_bytes(f"POST /hooks/%73tripe\n{FORM}", b"x=y"))
    if server.stack == "granian-wsgi":  # tells nobody how the target was spelt, so there is one spelling
        assert json.loads(answer.body)["reason"] == "exempt"
    else:
        assert (answer.status, runs(server)) == (403, before)


def test_a_token_posted_many_times_at_once_is_admitted_once(server: Server) -> None:
    raw = request_bytes(f"POST /contact\n{FORM}", f"caputchin-token={fresh_token()}".encode())
    with ThreadPoolExecutor(20) as pool:
        statuses = [answer.status for answer in pool.map(lambda _: exchange(server.port, raw), range(60))]
    assert statuses.count(200) == 1
    assert statuses.count(403) == 59


def test_a_client_that_waits_for_100_continue_gets_it_and_is_admitted(server: Server) -> None:
    body = f"caputchin-token={fresh_token()}".encode()
    raw = request_bytes(f"POST /contact\n{FORM}\nExpect: 100-continue", body)
    head, _, _ = raw.partition(b"\r\n\r\n")
    with connect(server.port) as connection:
        connection.sendall(head + b"\r\n\r\n")
        if STACKS[server.stack].interface == "asgi" or server.stack != "werkzeug":
            assert connection.recv(12).startswith(b"HTTP/1.1 100")
            rest = b""
            while not rest.endswith(b"\r\n\r\n"):
                rest += connection.recv(1)
        connection.sendall(body)
        answer = read_answer(connection)
    assert answer.status == 200
    assert json.loads(answer.body)["length"] == len(body)


# These read a body to its end before any middleware runs, or have one worker that is busy meanwhile.
HANDS_OVER_LATE = ("waitress", "daphne", "gunicorn-sync", "aiohttp-wsgi")


def test_a_token_before_a_file_is_verified_before_the_file_has_arrived(server: Server) -> None:
    if server.stack in HANDS_OVER_LATE or ":asgi_" in server.app:  # Django's side of ASGI receives all of it first
        return
    body = part("caputchin-token", fresh_token()) + file(BIG) + END
    raw = request_bytes(f"POST /contact\n{MULTIPART}", body)
    before = begun(server)
    with connect(server.port) as connection:
        connection.sendall(raw[:-100_000])
        deadline = time.monotonic() + PATIENCE
        while begun(server) == before:
            assert time.monotonic() < deadline, "the application waits for the whole file"
        connection.sendall(raw[-100_000:])
        told = json.loads(read_answer(connection).body)
    assert (told["length"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_client_that_goes_away_in_its_body_is_never_admitted(server: Server) -> None:
    before = runs(server)
    raw = request_bytes(f"POST /contact\n{FORM}", f"caputchin-token={fresh_token()}&x=".encode() + b"y" * 1000)
    with connect(server.port) as connection:
        connection.sendall(raw[:-500])
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(5)
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass
    assert runs(server) == before


def test_every_chunking_of_an_upload_arrives_byte_for_byte(server: Server) -> None:
    for cut in (1, 77, 4096, 65536, 10**9):
        content = BIG if cut > 1 else BIG[:2000]
        body = part("caputchin-token", fresh_token()) + file(content) + END
        raw = request_bytes(f"POST /contact\n{MULTIPART}", body)
        with connect(server.port) as connection:
            for start in range(0, len(raw), cut):
                connection.sendall(raw[start : start + cut])
            told = json.loads(read_answer(connection).body)
        assert (told["length"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_refused_upload_can_read_its_answer_although_it_is_still_sending(server: Server) -> None:
    body = b"--xXx\r\nbroken header line without a colon\r\n\r\n" + b"z" * 1_000_000
    answer: Answer = exchange(server.port, request_bytes(f"POST /contact\n{MULTIPART}", body))
    assert answer.status == 400


def test_a_refused_request_leaves_the_connection_in_step(server: Server) -> None:
    """Whatever the server does with the connection, the rest of a refused body is never taken for a request."""
    inner = request_bytes(f"POST /upload\n{FORM}", b"x=y")
    raw = request_bytes("POST /contact\nContent-Type: text/plain", inner, close=False)
    before = runs(server)
    with connect(server.port) as connection:
        connection.sendall(raw)
        assert read_answer(connection).status == 403
        connection.settimeout(1)
        try:
            assert b"200" not in connection.recv(65536)
        except OSError:
            pass
    assert runs(server) == before


@pytest.mark.parametrize(
    "target",
    ["/secret-page", "/.caputchin/captcha.js", "/.caputchin/nothing", "/.caputchin/api/v1/captcha/challenge"],
)
def test_an_answer_to_head_has_a_length_and_no_body(server: Server, target: str) -> None:
    """A body would be the answer to the next request of the connection."""
    with connect(server.port) as connection:
        head = request_bytes(f"HEAD {target}\nAccept: application/json", b"", close=False)
        connection.sendall(head + request_bytes("GET /runs", b""))
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    answer, _, after = received.partition(b"\r\n\r\n")
    assert b"\r\ncontent-length: 0" not in answer.lower()
    assert after == b"" or after.startswith(b"HTTP/1.1 200")


def test_the_widget_and_a_challenge_are_served_below_the_mount(server: Server) -> None:
    script = exchange(server.port, request_bytes("GET /.caputchin/captcha.js", b""))
    assert script.status == 200
    assert script.headers["content-type"].startswith("text/javascript")
    tag = script.headers["etag"]
    assert exchange(server.port, request_bytes(f"GET /.caputchin/captcha.js\nIf-None-Match: {tag}", b"")).status == 304
    raw = request_bytes("POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json", b"{}")
    challenge = json.loads(exchange(server.port, raw).body)
    token = f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"
    admitted = exchange(server.port, request_bytes(f"POST /contact\n{FORM}", f"caputchin-token={token}".encode()))
    assert admitted.status == 200


def test_thousand_posts_of_one_token_to_four_workers_are_admitted_once(tmp_path: Path) -> None:
    import subprocess
    import sys

    from tests.servers import ROOT, _free_port

    port = _free_port()
    environment = {**os.environ, "GATE_STORE": f"sqlite:///{tmp_path}/gate.db", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gunicorn", "tests.echo:wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "4"]
    process = subprocess.Popen([*command, "--preload", "--no-control-socket"], cwd=ROOT, env=environment)
    try:
        wait_for(port, process)
        raw = request_bytes(f"POST /contact\n{FORM}", f"caputchin-token={fresh_token()}".encode())
        with ThreadPoolExecutor(32) as pool:
            statuses = [answer.status for answer in pool.map(lambda _: exchange(port, raw), range(1000))]
    finally:
        process.terminate()
        process.wait(10)
    assert statuses.count(200) == 1
    assert statuses.count(403) == 999


def wait_for(port: int, process: object) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            connect(port).close()
        except OSError:
            continue
        return
    raise AssertionError("the server does not come up")
