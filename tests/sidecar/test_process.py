"""The life of the processes: start, end, reload, death, and what becomes of requests meanwhile."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trustme

from tests.redis_servers import until
from tests.sidecar.running import Running, as_toml, children, sidecar
from tests.sidecar.scripted import Play, Scripted
from tests.sidecar.talking import read_all, statuses
from tests.test_cli import assert_wrong_use, typed
from tests.wire import connect, exchange, read_answer, request_bytes

GET = b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = [b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", *[b"x"] * 8]


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


def ended(running: Running, within: float = 10.0) -> int:
    return running.process.wait(within)


def gone(process_id: int, within: float = 10.0) -> bool:
    try:
        descriptor = os.pidfd_open(process_id)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within)[0])
    finally:
        os.close(descriptor)


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_ends_before_the_process_does(tmp_path: Path, upstream: Scripted, number: int) -> None:
    upstream.play(Play(SLOW, pause=0.1))
    with sidecar(tmp_path, upstream.url) as running, connect(running.port) as busy, connect(running.port) as idle:
        busy.sendall(GET)
        assert busy.recv(20).startswith(b"HTTP/1.1 200")
        running.process.send_signal(number)
        assert read_all(idle) == b""
        assert read_all(busy).endswith(b"x" * 8)
        assert ended(running) == 0
        with pytest.raises(ConnectionRefusedError):
            connect(running.port)


def test_a_request_that_is_on_its_way_when_the_end_begins_is_answered(tmp_path: Path, upstream: Scripted) -> None:
    upstream.play(Play(SLOW, pause=0.1))
    with sidecar(tmp_path, upstream.url) as running, connect(running.port) as busy, connect(running.port) as kept:
        kept.sendall(GET)
        read_answer(kept)
        busy.sendall(GET)
        assert busy.recv(20).startswith(b"HTTP/1.1 200")
        running.process.terminate()
        until(lambda: refuses(running.port))
        kept.sendall(GET)
        assert b"\r\nConnection: close\r\n" in read_all(kept)
        assert ended(running) == 0


def test_what_is_in_flight_for_too_long_is_cut_off(tmp_path: Path, upstream: Scripted) -> None:
    upstream.play(Play(delay=20))
    table = {"timeouts": {"drain": "300ms"}}
    with sidecar(tmp_path, upstream.url, sidecar=table) as running, connect(running.port) as busy:
        busy.sendall(GET)
        upstream.wait_for(lambda it: it.requests)
        running.process.terminate()
        assert ended(running, 5) == 0
        assert statuses(read_all(busy)) == []


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path, upstream: Scripted) -> None:
    upstream.play(Play(delay=20))
    with sidecar(tmp_path, upstream.url) as running, connect(running.port) as busy:
        busy.sendall(GET)
        upstream.wait_for(lambda it: it.requests)
        running.process.send_signal(signal.SIGINT)
        until(lambda: refuses(running.port))
        running.process.send_signal(signal.SIGINT)
        ended(running, 5)


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(tmp_path: Path, upstream: Scripted) -> None:
    with sidecar(tmp_path, upstream.url, sidecar={"workers": 2}) as running:
        victim, survivor = running.workers()
        os.kill(victim, signal.SIGKILL)
        running.wait_for(f"worker {victim} ended (signal 9) and is replaced")
        assert exchange(running.port, GET).status == 200
        until(lambda: len(running.workers()) == 2)
        assert survivor in running.workers()


def test_a_system_without_room_for_a_worker_ends_nothing_and_gets_one_later(tmp_path: Path, upstream: Scripted) -> None:
    with sidecar(tmp_path, upstream.url, sidecar={"workers": 2}) as running:
        _, most = limit = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (3, most))
        dying = running.workers()[0]
        os.kill(dying, signal.SIGKILL)
        running.wait_for("can't begin a worker")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("reload refused")
        assert exchange(running.port, GET).status == 200
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, limit)
        until(lambda: len(running.workers()) == 2)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("the new settings are in use")


def test_workers_do_not_outlive_their_supervisor(tmp_path: Path, upstream: Scripted) -> None:
    with sidecar(tmp_path, upstream.url, sidecar={"workers": 2}) as running:
        orphans = running.workers()
        running.process.kill()
        assert all(gone(orphan) for orphan in orphans)


# Reload


def reload(running: Running, upstream: Scripted, **settings: object) -> None:
    table = {"listen": f"127.0.0.1:{running.port}", "upstream": upstream.url}
    table |= settings.pop("sidecar", {})  # type: ignore[arg-type]
    running.configure(store=f"sqlite://{running.config.parent}/gate.db", sidecar=table, **settings)
    running.process.send_signal(signal.SIGHUP)


@pytest.fixture
def fixed(tmp_path: Path, upstream: Scripted) -> Iterator[Running]:
    """A sidecar on a port that its file names, so that a reload keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with sidecar(tmp_path, upstream.url, sidecar={"listen": f"127.0.0.1:{port}", "workers": 2}) as running:
        yield running


def test_new_settings_are_for_new_connections_and_old_ones_end_as_they_began(
    fixed: Running, upstream: Scripted
) -> None:
    upstream.play(Play(SLOW, pause=0.2))
    before = set(fixed.workers())
    with connect(fixed.port) as busy:
        busy.sendall(GET)
        busy.recv(20)
        reload(fixed, upstream, protect=["GET /open"], exempt=[], sidecar={"workers": 3})
        fixed.wait_for("the new settings are in use")
        assert exchange(fixed.port, GET).status == 403
        assert read_all(busy).endswith(b"x" * 8)
    assert all(gone(worker) for worker in before)
    until(lambda: len(fixed.workers()) == 3)


def test_old_settings_decide_about_nothing_that_begins_after_the_new_ones_are_in_use(
    fixed: Running, upstream: Scripted
) -> None:
    upstream.play(Play(SLOW, pause=0.3))
    post = request_bytes("POST /open\nContent-Type: text/plain", b"no token", close=False)
    with connect(fixed.port) as kept, connect(fixed.port) as begun:
        kept.sendall(GET)
        kept.recv(1, socket.MSG_PEEK)
        begun.sendall(post[:20])
        reload(fixed, upstream, protect=["/open"], exempt=[])
        fixed.wait_for("the new settings are in use")
        assert read_answer(kept).status == 200
        for connection, rest in ((kept, post), (begun, post[20:])):
            with suppress(ConnectionError):
                connection.sendall(rest)
                assert connection.recv(100) == b""
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"protect": "POST contact", "exempt": []}, "the path does not begin with a slash"),
        ({"prtect": []}, "unknown key"),
        ({"sidecar": {"upstream": "ftp://127.0.0.1"}}, "is no address of an application"),
        ({"sidecar": {"listen": "192.0.2.1:80"}}, "can't listen on 192.0.2.1:80"),
        ({"sidecar": {"tls": {"certificate": "/dev/null", "key": "/dev/null"}}}, "sidecar.tls"),
    ],
)
def test_settings_that_are_wrong_change_nothing_and_one_line_says_why(
    fixed: Running, upstream: Scripted, settings: dict[str, object], why: str
) -> None:
    before = fixed.workers()
    reload(fixed, upstream, **settings)
    fixed.wait_for("reload refused, nothing changes")
    (line,) = (line for line in fixed.output().splitlines() if "reload refused" in line)
    assert why in line
    assert exchange(fixed.port, GET).status == 200
    assert fixed.workers() == before


def test_a_reload_that_is_asked_for_during_another_comes_after_it(fixed: Running, upstream: Scripted) -> None:
    for number in range(4):
        reload(fixed, upstream, protect=[f"POST /rule-{number}"], exempt=[])
        time.sleep(0.05)
    asked = b"POST /rule-3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    until(lambda: exchange(fixed.port, asked).status == 403)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write(certificate: trustme.LeafCert, folder: Path, name: str) -> dict[str, str]:
    paths = {"certificate": folder / f"{name}.pem", "key": folder / f"{name}.key"}
    paths["certificate"].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    paths["key"].write_bytes(certificate.private_key_pem.bytes())
    return {key: str(path) for key, path in paths.items()}


def over_tls(port: int, authority: trustme.CA, raw: bytes, name: str = "localhost") -> tuple[int, dict[str, object]]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with connect(port) as plain, context.wrap_socket(plain, server_hostname=name) as connection:
        connection.sendall(raw)
        return read_answer(connection).status, connection.getpeercert() or {}  # type: ignore[arg-type]


def test_over_tls_with_a_certificate_that_a_reload_replaces(
    tmp_path: Path, upstream: Scripted, authority: trustme.CA
) -> None:
    files = write(authority.issue_cert("localhost"), tmp_path, "server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    with sidecar(tmp_path, upstream.url, sidecar={"listen": listen, "tls": files}) as running:
        status, first = over_tls(running.port, authority, GET)
        assert status == 200
        assert b"X-Forwarded-Proto: https\r\n" in upstream.requests[0]
        assert b"X-Forwarded-Port: 443\r\n" in upstream.requests[0]
        assert exchange_fails(running.port)
        write(authority.issue_cert("localhost"), tmp_path, "server")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("the new settings are in use")
        status, second = over_tls(running.port, authority, GET)
        assert status == 200
        assert first["serialNumber"] != second["serialNumber"]


def test_who_never_finishes_a_handshake_holds_no_more_connections_than_others(
    tmp_path: Path, upstream: Scripted, authority: trustme.CA
) -> None:
    tls = {"tls": write(authority.issue_cert("localhost"), tmp_path, "server")}
    limits = {"connections_per_client": 5}
    with sidecar(tmp_path, upstream.url, limits=limits, sidecar=tls) as running, ExitStack() as stack:
        silent = [stack.enter_context(connect(running.port)) for _ in range(50)]
        assert all(read_all(connection) == b"" for connection in silent[5:]), "over the limit, closed at once"
        with pytest.raises((ConnectionError, ssl.SSLError)):
            over_tls(running.port, authority, GET)
        silent[0].close()
        silent[1].sendall(b"no handshake at all")
        for _ in range(20):  # each that ends, well or badly, makes room
            until(lambda: answers_over_tls(running.port, authority))


def answers_over_tls(port: int, authority: trustme.CA) -> bool:
    try:
        return over_tls(port, authority, GET)[0] == 200
    except (ConnectionError, ssl.SSLError):
        return False


def exchange_fails(port: int) -> bool:
    """A client that speaks no TLS."""
    with connect(port) as connection:
        connection.sendall(GET)
        return b"200" not in read_all(connection)


class TlsUpstream(Scripted):
    def __init__(self, certificate: trustme.LeafCert) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)

    def _serve(self, connection: socket.socket) -> None:
        try:
            super()._serve(self._context.wrap_socket(connection, server_side=True))
        except OSError:
            connection.close()


@pytest.mark.parametrize(("name", "status"), [("localhost", 200), ("other.example", 502)])
def test_the_certificate_of_an_upstream_is_checked(
    tmp_path: Path, authority: trustme.CA, name: str, status: int
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with TlsUpstream(authority.issue_cert(name)) as upstream:
        table = {"upstream_ca": str(tmp_path / "ca.pem")}
        with sidecar(tmp_path, f"https://localhost:{upstream.port}", sidecar=table) as running:
            assert exchange(running.port, GET).status == status


def test_an_upstream_of_an_unknown_authority_is_not_trusted(tmp_path: Path, authority: trustme.CA) -> None:
    with TlsUpstream(authority.issue_cert("localhost")) as upstream:
        with sidecar(tmp_path, f"https://localhost:{upstream.port}") as running:
            assert exchange(running.port, GET).status == 502
        assert upstream.requests == []


# What is typed


GATE = {
    "protect": ["POST /contact"],
    "store": "memory",
    "provider": {"kind": "caputchin", "verification": "in-process"},
}


@pytest.mark.parametrize(
    ("settings", "options", "why"),
    [
        (GATE, [], "sidecar.upstream: is missing"),
        (GATE, ["--upstream", "ftp://x"], "sidecar.upstream: is no address of an application"),
        (GATE, ["--upstream", "http://127.0.0.1/path"], "sidecar.upstream: is no address of an application"),
        (GATE, ["--upstream", "http://user:pw@127.0.0.1"], "sidecar.upstream: is no address of an application"),
        (GATE, ["--upstream", "http://app.example:8000"], "use https:// or a Unix socket, or allow_http = true"),
        (GATE, ["--upstream", "unix:/x", "--listen", "nonsense"], "sidecar.listen: 'nonsense' names no port"),
        (
            GATE,
            ["--upstream", "unix:/x", "--listen", "127.0.0.1:99999"],
            "sidecar.listen: '127.0.0.1:99999' names no port",
        ),
        (GATE, ["--upstream", "unix:/x", "--listen", "192.0.2.1:80"], "can't listen on 192.0.2.1:80: Cannot assign"),
        (GATE, ["--upstream", "unix:/x", "--listen", "no.host.invalid:80"], "can't listen on no.host.invalid:80"),
        (GATE, ["--upstream", "unix:/x", "--workers", "0"], "sidecar.workers"),
        (GATE, ["--workers", "many"], "'many' is not a whole number"),
        ({**GATE, "protect": []}, ["--upstream", "unix:/x"], "nothing is protected"),
        ({**GATE, "sidecar": {"upstrm": "unix:/x"}}, [], "did you mean 'upstream'?"),
        ({**GATE, "sidecar": {"tls": {"certificate": "/nowhere"}}}, [], "sidecar.tls.key: is missing"),
        ({**GATE, "sidecar": {"timeouts": {"head": "never"}}}, [], "sidecar.timeouts.head"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_each(
    tmp_path: Path, settings: dict[str, object], options: list[str], why: str
) -> None:
    (tmp_path / "gate.toml").write_text(as_toml(settings))
    done = typed("proxy", "gate.toml", *options, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    lines = [line for line in done.stderr.splitlines() if "store" not in line]
    assert any(why in line for line in lines), done.stderr
    assert all(line.startswith("caputchin-gate: ") for line in lines), done.stderr


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(
        as_toml({**GATE, "store": f"sqlite://{tmp_path}/gate.db", "trusted_proxies": ["::1"]})
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = typed("proxy", "gate.toml", "--upstream", "unix:/x", "--listen", listen, folder=tmp_path)
    assert_wrong_use(done, f"can't listen on {listen}: Address already in use")


def test_what_is_typed_counts_more_than_the_file(tmp_path: Path, upstream: Scripted) -> None:
    table = {"listen": "192.0.2.1:80", "upstream": "unix:/nowhere", "workers": 7}
    (tmp_path / "gate.toml").write_text(as_toml({**GATE, "sidecar": table}))
    command = [sys.executable, "-m", "caputchin_gate", "proxy", "gate.toml", "--workers", "2"]
    options = ["--listen", "127.0.0.1:0", "--listen", f"unix:{tmp_path}/a.sock", "--upstream", upstream.url]
    process = subprocess.Popen([*command, *options], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("caputchin-gate: listening on http://127.0.0.1:")
        assert f"unix:{tmp_path}/a.sock for 127.0.0.1:{upstream.port} (2 workers)" in line
        assert len(children(process.pid)) == 2
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
    assert not (tmp_path / "a.sock").exists()


def test_a_socket_file_that_was_left_behind_is_replaced_and_one_in_use_is_not(
    tmp_path: Path, upstream: Scripted
) -> None:
    path = tmp_path / "gate.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with sidecar(tmp_path, upstream.url, trusted_proxies=["unix"], sidecar={"listen": f"unix:{path}"}):
        done = typed("proxy", "gate.toml", folder=tmp_path)
        assert_wrong_use(done, "Address already in use")
        assert path.exists()
