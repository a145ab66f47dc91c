"""`caputchin-gate serve`: the relay's server with no application behind it. Own paths are answered, nothing else is."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from caputchin_gate.engines.solver import solve
from tests.echo import SIGNING_KEY
from tests.sidecar.running import Running, as_toml, sidecar
from tests.sidecar.talking import read_all, statuses, talk
from tests.test_cli import assert_wrong_use, typed
from tests.test_doors import FORM, fresh_token
from tests.wire import Answer, connect, exchange, read_answer, request_bytes

IN_PROCESS = {"kind": "caputchin", "verification": "in-process"}
SITE = {"site_key": "default", "secret": "a secret that is long enough"}
CHALLENGE = request_bytes("POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json", b"{}")
HANDSHAKE = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: eHh4eHh4eHg="
ASKING = {"forward_auth": "nginx", "trusted_proxies": ["127.0.0.1"], "token_from": ["header", "cookie"]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gate")
    in_process = {"signing_key": SIGNING_KEY, "sites": [SITE]}
    with sidecar(folder, None, sidecar={"workers": 2}, in_process=in_process, **ASKING) as started:
        yield started
        assert "internal error" not in started.output()
        assert "Traceback" not in started.output()


def test_challenges_of_one_worker_are_verified_by_the_other_once(running: Running) -> None:
    for _ in range(4):
        challenge = json.loads(exchange(running.port, CHALLENGE).body)
        token = f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"
        asking = f"secret={SITE['secret']}&response={token}".encode()
        raw = request_bytes(f"POST /.caputchin/siteverify\n{FORM}", asking)
        verdicts = [json.loads(exchange(running.port, raw).body)["success"] for _ in range(4)]
        assert verdicts == [True, False, False, False]


def test_the_widget_is_served(running: Running) -> None:
    assert len(exchange(running.port, request_bytes("GET /.caputchin/captcha.js", b"")).body) > 1000


@pytest.mark.parametrize(("target", "status"), [("/", 204), ("/contact", 403), ("//contact", 403), ("/%63ontact", 403)])
def test_a_front_proxy_is_answered(running: Running, target: str, status: int) -> None:
    asked = f"X-Original-Method: POST\nX-Original-URI: {target}\nX-Forwarded-Proto: https"
    question = request_bytes(f"GET /.caputchin/forward-auth\n{asked}", b"")
    assert exchange(running.port, question).status == status


ELSEWHERE = (
    "GET /",
    "POST /",
    "OPTIONS /",
    "GET /.caputchins",
    "POST /contact",
    "PUT /any-method",
    f"GET /\n{HANDSHAKE}",
    f"GET /contact\n{HANDSHAKE}",
)


@pytest.mark.parametrize("head", ELSEWHERE)
def test_of_other_paths_there_is_none(running: Running, head: str) -> None:
    assert_not_found(exchange(running.port, request_bytes(head, b"")))


def assert_not_found(answer: Answer) -> None:
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(answer.body) == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert answer.headers["cache-control"] == "no-store"


def test_a_head_is_answered_without_a_body(running: Running) -> None:
    received = talk(running.port, request_bytes("HEAD /", b""))
    assert statuses(received) == [404]
    assert received.endswith(b"\r\n\r\n")


def test_no_token_is_spent_where_no_application_is(running: Running) -> None:
    token = fresh_token()
    assert exchange(running.port, request_bytes(f"POST /contact\nX-Caputchin-Token: {token}", b"")).status == 404
    asking = f"secret={SITE['secret']}&response={token}".encode()
    verdict = exchange(running.port, request_bytes(f"POST /.caputchin/siteverify\n{FORM}", asking))
    assert json.loads(verdict.body)["success"] is True


def test_requests_follow_one_another_on_a_connection(running: Running) -> None:
    ask = CHALLENGE.replace(b"Connection: close\r\n", b"")
    elsewhere = request_bytes("GET /elsewhere", b"", close=False)
    received = talk(running.port, (ask + elsewhere) * 20 + CHALLENGE)
    assert statuses(received) == [200, 404] * 20 + [200]


def test_a_body_that_nobody_reads_ends_the_connection_and_is_no_request(running: Running) -> None:
    inner = request_bytes("GET /.caputchin/captcha.js", b"")
    head = f"POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: {2 * len(inner)}\r\n\r\n".encode()
    assert statuses(talk(running.port, head + inner, inner)) == [404]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /.caputchin/captcha.js HTTP/1.1\nHost: a\n\n",
    ],
)
def test_its_wire_is_as_strict_as_the_sidecars(running: Running, raw: bytes) -> None:
    assert statuses(talk(running.port, raw)) == [400]


# Its processes


def test_it_listens_in_several_places_and_on_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    table = {"listen": ["127.0.0.1:0", f"unix:{path}"]}
    with sidecar(tmp_path, None, sidecar=table) as running, socket.socket(socket.AF_UNIX) as connection:
        assert exchange(running.port, CHALLENGE).status == 200
        connection.connect(str(path))
        connection.sendall(CHALLENGE)
        assert read_answer(connection).status == 200
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    with sidecar(tmp_path, None) as running, connect(running.port) as begun:
        begun.sendall(CHALLENGE[:-1])
        assert exchange(running.port, CHALLENGE).status == 200
        running.process.send_signal(number)
        begun.sendall(CHALLENGE[-1:])
        assert statuses(read_all(begun)) == [200]
        assert running.process.wait(10) == 0


def test_a_reload_that_leaves_nothing_to_serve_is_refused(tmp_path: Path) -> None:
    with sidecar(tmp_path, None) as running:
        running.configure(provider={"kind": "caputchin", "secret": "cpt_sec_of_a_test_0123456789"}, in_process={})
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("gate.toml: has nothing to serve; set forward_auth, or verify in process")
        assert exchange(running.port, CHALLENGE).status == 200


# What is typed


def test_the_applications_of_the_file_are_not_asked(tmp_path: Path) -> None:
    with sidecar(tmp_path, None, sidecar={"upstream": "http://127.0.0.1:1", "workers": 1}) as running:
        assert_not_found(exchange(running.port, request_bytes("GET /", b"")))


def test_a_server_for_other_back_ends_needs_no_routes(tmp_path: Path) -> None:
    in_process = {"signing_key": SIGNING_KEY, "sites": [SITE]}
    with sidecar(tmp_path, None, protect=[], route=[], exempt=[], in_process=in_process) as running:
        assert exchange(running.port, CHALLENGE).status == 200


PROVIDER = {"kind": "caputchin", "secret": "cpt_sec_of_a_test_0123456789"}
GATE = {"protect": ["POST /contact"], "provider": IN_PROCESS}


@pytest.mark.parametrize(
    ("settings", "options", "why"),
    [
        ({**GATE, "provider": PROVIDER}, [], "gate.toml: has nothing to serve; set forward_auth, or verify in process"),
        ({**GATE, "protect": []}, [], "nothing is protected"),
        (GATE, ["--listen", "8080"], "sidecar.listen: '8080' names no port"),
        (GATE, ["--listen", "127.0.0.1:99999"], "names no port"),
        (GATE, ["--listen", "192.0.2.1:80"], "can't listen on 192.0.2.1:80"),
        (GATE, ["--workers", "0"], "sidecar.workers"),
        ({**GATE, "sidecar": {"listen": "192.0.2.1:80"}}, [], "can't listen on 192.0.2.1:80"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, settings: dict[str, object], options: list[str], why: str
) -> None:
    (tmp_path / "gate.toml").write_text(as_toml({"store": f"sqlite://{tmp_path}/gate.db", **settings}))
    assert_wrong_use(typed("serve", "gate.toml", *options, folder=tmp_path), why)


def test_the_sidecar_needs_a_route_also_where_other_back_ends_verify(tmp_path: Path) -> None:
    settings = {**GATE, "protect": [], "in_process": {"sites": [SITE]}, "trusted_proxies": ["127.0.0.1"]}
    (tmp_path / "gate.toml").write_text(as_toml({"store": f"sqlite://{tmp_path}/gate.db", **settings}))
    assert_wrong_use(typed("proxy", "gate.toml", "--upstream", "unix:/x", folder=tmp_path), "nothing is protected")
