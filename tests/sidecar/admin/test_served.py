"""What the admin address serves, and to whom: numbers for operators, nothing for visitors, nothing of visitors."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.echo import SIGNING_KEY
from tests.servers import ROOT
from tests.sidecar.admin.watching import GET, REFUSED, ask, samples, until, value, watched
from tests.sidecar.running import Running, as_toml
from tests.sidecar.scripted import Scripted
from tests.sidecar.talking import read_all, talk
from tests.test_cli import typed
from tests.test_doors import fresh_token
from tests.wire import connect, exchange, request_bytes

PAGES = ("/", "/metrics", "/healthz", "/readyz", "/dashboard.css", "/dashboard.js")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream: Scripted) -> Iterator[Running]:
    with watched(tmp_path_factory.mktemp("admin"), upstream.url, sidecar={"workers": 1}) as found:
        yield found


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_is_for_now_and_for_itself(running: Running, path: str) -> None:
    answer = ask(running, path)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["connection"] == "close"
    assert "server" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert ask(running, path, method="HEAD").body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_can_be_changed(running: Running, path: str, method: str) -> None:
    assert ask(running, path, method=method).status == 405


@pytest.mark.parametrize(
    "path",
    [
        *("/open", "/contact", "/metrics/", "//metrics", "/../etc/passwd", "/dashboard.html", "/dashboard.py"),
        *("/.caputchin/captcha.js", "/http://127.0.0.1/metrics", "/%2e%2e/process.py", "/static/../health.py"),
    ],
)
def test_there_is_nothing_else(running: Running, upstream: Scripted, path: str) -> None:
    asked = len(upstream.requests)
    answer = ask(running, path)
    assert answer.status == 404
    assert path.encode() not in answer.body
    assert len(upstream.requests) == asked


@pytest.mark.parametrize("path", PAGES[1:])
def test_the_public_address_serves_none_of_it(running: Running, upstream: Scripted, path: str) -> None:
    answer = exchange(running.port, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.body == b"ok"  # the application's
    assert upstream.requests[-1].startswith(f"GET {path} ".encode())


# Whose page asks (DNS rebinding)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:9090", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:9090", 200),
        ("10.1.2.3:80", 200),
        ("[::1]", 200),
        ("[::1]:9090", 200),
        ("evil.example", 421),
        ("evil.example:9090", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("[evil.example]", 421),
        ("0x7f000001", 421),
        ("", 421),
        ("localhost\r\nHost: evil.example", 421),
    ],
)
def test_a_name_that_leads_here_is_not_answered(running: Running, host: str, status: int) -> None:
    with connect(running.admin) as connection:
        connection.sendall(f"GET /readyz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = read_all(connection)
    assert int(answer.split()[1]) in (status, 400 if status == 421 else status)
    assert (b"checks" in answer) == (status == 200)


def test_on_a_unix_socket_there_are_no_names(tmp_path: Path, upstream: Scripted) -> None:
    path = f"{tmp_path}/admin.sock"
    table = {"admin": f"unix:{path}", "workers": 1}
    with watched(tmp_path, upstream.url, sidecar=table), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: sidecar\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")
    assert not Path(path).exists()


# Hostile clients


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
    ids=["tls", "many fields", "long target", "two lengths", "http2", "websocket"],
)
def test_what_is_no_request_ends_its_own_connection_alone(running: Running, raw: bytes) -> None:
    talk(running.admin, raw)
    assert ask(running, "/healthz").status == 200


def test_connections_that_say_nothing_keep_nobody_out(running: Running) -> None:
    with ExitStack() as idle:
        for _ in range(300):
            idle.enter_context(connect(running.admin))
        assert ask(running, "/healthz").status == 200
        assert exchange(running.port, GET).status == 200


def test_a_connection_is_for_one_request(running: Running) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert talk(running.admin, request + request).count(b"HTTP/1.1 200") == 1


def test_nothing_that_a_client_sent_is_shown(running: Running) -> None:
    token, canary = fresh_token(), "canary"
    form = "Content-Type: application/x-www-form-urlencoded"
    exchange(running.port, request_bytes(f"POST /contact?{canary}\n{form}", f"caputchin-token={token}".encode()))
    exchange(running.port, request_bytes(f"POST /hooks/{canary}\n{form}\nX-Canary: {canary}", b"x=canary"))
    exchange(running.port, f"CANARY /any-method HTTP/1.1\r\nHost: {canary}\r\nConnection: close\r\n\r\n".encode())
    until(lambda: value(running, "decisions_total", route="/any-method") == 1)
    shown = b"".join(ask(running, path).body for path in PAGES).lower()
    for secret in (token, canary, SIGNING_KEY):
        assert secret.lower().encode() not in shown
    assert value(running, "decisions_total", route="POST /hooks/{name}") == 1


def test_the_routes_of_the_page_are_escaped(tmp_path: Path, upstream: Scripted) -> None:
    rule = "POST /a&b'\"/{name}"
    with watched(tmp_path, upstream.url, protect=[rule], route=[], exempt=[], sidecar={"workers": 1}) as running:
        exchange(running.port, b"POST /a&b'%22/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        until(lambda: value(running, "decisions_total", route=rule) == 1)
        page = ask(running, "/").body.decode()
        assert "POST /a&amp;b&#39;&#34;/{name}" in page
        assert "a&b" not in page


# What Prometheus reads


def test_its_own_parser_reads_both_formats(running: Running) -> None:
    exchange(running.port, REFUSED)
    until(lambda: value(running, "decisions_total", reason="token-missing") > 0)
    names = {sample.name for sample in samples(running)}
    assert "caputchin_gate_decisions_total" in names
    with connect(running.admin) as connection:
        accept = "application/openmetrics-text; version=1.0.0"
        connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
        answer = read_all(connection)
    assert b"content-type: application/openmetrics-text" in answer
    assert answer.endswith(b"# EOF\n")


ROW = re.compile(r"^\| `(caputchin_gate_[a-z_]+)` \| (counter|gauge|histogram) \| (.*?) \|", re.MULTILINE)


def test_the_documentation_names_every_metric_with_its_type_and_labels(running: Running, upstream: Scripted) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    exchange(running.port, request_bytes(f"POST /contact\n{form}", f"caputchin-token={fresh_token()}".encode()))
    until(lambda: value(running, "verification_seconds_count") > 0)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", ask(running, "/metrics").body.decode(), re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in kinds}
    for sample in samples(running):
        name = next(name for name in (sample.name, re.sub("_(bucket|count|sum)$", "", sample.name)) if name in kinds)
        labels[name] |= sample.labels.keys() - {"le"}
    written = {
        name: (kind, set(re.findall(r"`(\w+)`", told)))
        for name, kind, told in ROW.findall((ROOT / "docs" / "monitoring.md").read_text())
    }
    assert written.keys() == kinds.keys()
    assert {name: kind for name, (kind, _) in written.items()} == kinds
    assert {name: found for name, (_, found) in written.items() if labels[name]} == {
        name: found for name, found in labels.items() if found
    }


def test_the_alerts_of_the_documentation_ask_for_metrics_that_there_are() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    rules = [rule for block in re.findall(r"```yaml\n(groups:.*?)```", page, re.DOTALL) for rule in _rules(block)]
    assert len(rules) >= 5
    known = {name for name, _, _ in ROW.findall(page)} | {"caputchin_gate_verification_seconds_bucket"}
    for rule in rules:
        assert set(re.findall(r"caputchin_gate_\w+", rule["expr"])) <= known


def _rules(block: str) -> Iterator[dict[str, str]]:
    for group in yaml.safe_load(block)["groups"]:
        yield from group["rules"]


# What is typed


GATE = {
    "protect": ["POST /contact"],
    "store": "memory",
    "provider": {"kind": "caputchin", "verification": "in-process"},
}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--admin", "nonsense"], "sidecar.admin: 'nonsense' names no port"),
        (["--admin", "192.0.2.1:9"], "can't listen on 192.0.2.1:9: Cannot assign"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, options: list[str], why: str) -> None:
    (tmp_path / "gate.toml").write_text(as_toml(GATE))
    listen = ["--upstream", "unix:/x", "--listen", "127.0.0.1:0"]
    done = typed("proxy", "gate.toml", *listen, *options, folder=tmp_path)
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_others_reach_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(as_toml({**GATE, "sidecar": {"admin": "0.0.0.0:9090"}}))
    done = typed("check", "gate.toml", folder=tmp_path)
    assert "warning: sidecar.admin: 0.0.0.0:9090: everybody who reaches that address" in done.stderr
    (tmp_path / "gate.toml").write_text(as_toml({**GATE, "sidecar": {"admin": "[::1]:9090"}}))
    assert "sidecar.admin" not in typed("check", "gate.toml", folder=tmp_path).stderr
