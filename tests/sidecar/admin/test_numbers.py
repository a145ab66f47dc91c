"""What several workers count is one sum, and no counter ever goes back: whoever dies, whatever is reloaded."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sidecar.admin.watching import GET, REFUSED, ask, checks, samples, until, value, watched, workers
from tests.sidecar.running import Running, children
from tests.sidecar.scripted import Play, Scripted
from tests.sidecar.test_process import ended, gone
from tests.test_doors import fresh_token
from tests.wire import connect, exchange, read_answer, request_bytes

FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


@pytest.fixture
def running(tmp_path: Path, upstream: Scripted) -> Iterator[Running]:
    with watched(tmp_path, upstream.url) as found:
        yield found


def counters(running: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    suffixes = ("_total", "_count", "_sum", "_bucket")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for sample in samples(running)
        if sample.name.endswith(suffixes)
    }


@contextmanager
def never_going_back(running: Running) -> Iterator[None]:
    """Looks again and again while the block runs."""
    before = counters(running)
    done = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        nonlocal before
        while not done.is_set():
            now = counters(running)
            wrong.extend((key, before[key], now.get(key)) for key in before if now.get(key, -1) < before[key])
            before = now

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()
    assert wrong == []


def test_what_all_workers_did_is_one_sum(running: Running) -> None:
    for _ in range(20):
        assert exchange(running.port, GET).status == 200
        assert exchange(running.port, REFUSED).status == 403
    token = request_bytes(f"POST /contact\n{FORM}", f"caputchin-token={fresh_token()}".encode())
    assert [exchange(running.port, token).status for _ in range(2)] == [200, 403]
    exchange(running.port, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    until(lambda: value(running, "requests_total") == 42 and value(running, "unreadable_requests_total") == 1)
    assert value(running, "unguarded_requests_total") == 20
    expected = {
        ("token-missing", "", "false"): 20,
        ("verified", "caputchin", "true"): 1,
        ("token-used", "caputchin", "false"): 1,
    }
    for (reason, provider, admitted), times in expected.items():
        labels = {"reason": reason, "provider": provider, "admitted": admitted, "route": "POST /contact"}
        assert value(running, "decisions_total", **labels) == times
    assert value(running, "decisions_total") == 22
    assert value(running, "verification_seconds_count", provider="caputchin", result="passed") == 1
    assert value(running, "verification_seconds_bucket", result="failed", le="+Inf") == 1
    assert value(running, "connections_total") == 43
    assert value(running, "unreadable_requests_total", status="400") == 1
    assert value(running, "store_operations_total") >= 2
    assert value(running, "workers", state="ready") == 2


def test_a_worker_that_is_killed_takes_nothing_with_it_but_what_it_had_not_told(running: Running) -> None:
    for _ in range(20):
        exchange(running.port, REFUSED)
    until(lambda: value(running, "decisions_total") == 20)
    victim, survivor = workers(running)
    with never_going_back(running):
        os.kill(victim, signal.SIGKILL)
        until(lambda: value(running, "worker_deaths_total") == 1 and value(running, "workers", state="ready") == 2)
        for _ in range(20):
            assert exchange(running.port, REFUSED).status == 403
        until(lambda: value(running, "decisions_total") == 40)
    assert survivor in workers(running)


def test_a_reload_keeps_the_sums_and_what_old_workers_finish_is_counted(running: Running, upstream: Scripted) -> None:
    exchange(running.port, REFUSED)
    until(lambda: value(running, "decisions_total") == 1)
    begun = value(running, "start_time_seconds")
    upstream.play(Play([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok"], pause=1.0))
    with never_going_back(running), connect(running.port) as busy:
        busy.sendall(GET)
        until(lambda: value(running, "in_flight_requests") == 1)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: value(running, "config_reloads_total", result="done") == 1)
        assert read_answer(busy).status == 200
        exchange(running.port, REFUSED)
        until(lambda: value(running, "decisions_total") == 2 and value(running, "workers", state="retired") == 0)
    assert value(running, "requests_total") == 3
    assert value(running, "in_flight_requests") == 0
    assert value(running, "start_time_seconds") == begun < value(running, "config_last_reload_timestamp_seconds")


def test_a_refused_reload_is_counted(running: Running) -> None:
    running.config.write_text("nonsense = 1\n")
    running.process.send_signal(signal.SIGHUP)
    until(lambda: value(running, "config_reloads_total", result="refused") == 1)
    assert ask(running, "/readyz").status == 200


# The process of the admin address


def watcher(running: Running) -> int:
    (found,) = set(children(running.process.pid)) - set(workers(running))
    return found


def test_its_process_may_die_and_nobody_else_notices(running: Running) -> None:
    exchange(running.port, REFUSED)
    until(lambda: value(running, "decisions_total") == 1)
    served, victim = workers(running), watcher(running)
    os.kill(victim, signal.SIGKILL)
    running.wait_for("the process of the admin address ended (-9) and is replaced")
    assert exchange(running.port, REFUSED).status == 403
    until(lambda: value(running, "decisions_total") == 2)
    assert workers(running) == served
    assert watcher(running) != victim


def test_its_process_may_hang_and_nobody_else_waits(running: Running) -> None:
    victim = watcher(running)
    os.kill(victim, signal.SIGSTOP)
    try:
        with connect(running.admin) as asking:
            asking.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert [exchange(running.port, REFUSED).status for _ in range(20)] == [403] * 20
    finally:
        os.kill(victim, signal.SIGCONT)
    until(lambda: value(running, "decisions_total") == 20)


def test_a_reload_does_not_wait_for_ever_for_one_that_hangs(running: Running) -> None:
    victim = watcher(running)
    os.kill(victim, signal.SIGSTOP)
    running.process.send_signal(signal.SIGHUP)
    assert gone(victim)
    until(lambda: value(running, "config_reloads_total", result="done") == 1)
    assert watcher(running) != victim


def test_a_supervisor_that_hangs_is_not_alive(running: Running) -> None:
    running.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: ask(running, "/healthz").status == 503)
        assert [ask(running, path).status for path in ("/", "/metrics", "/readyz")] == [503, 503, 503]
        assert exchange(running.port, REFUSED).status == 403
    finally:
        running.process.send_signal(signal.SIGCONT)
    until(lambda: ask(running, "/readyz").status == 200)


def test_its_process_does_not_outlive_the_supervisor(running: Running) -> None:
    orphans = children(running.process.pid)
    assert len(orphans) == 3
    running.process.kill()
    assert all(gone(orphan) for orphan in orphans)


def test_while_requests_in_flight_end_it_is_alive_and_not_ready(tmp_path: Path, upstream: Scripted) -> None:
    upstream.play(Play(delay=2.0))
    with watched(tmp_path, upstream.url) as running, connect(running.port) as busy:
        busy.sendall(GET)
        upstream.wait_for(lambda it: it.requests)
        assert checks(running)["draining"]
        running.process.terminate()
        until(lambda: not checks(running)["draining"])
        assert ask(running, "/readyz").status == 503
        assert ask(running, "/healthz").status == 200
        assert read_answer(busy).status == 200
        assert ended(running) == 0
        with pytest.raises(ConnectionRefusedError):
            connect(running.admin)


# Reloads of the address


def move(running: Running, upstream: Scripted, **table: object) -> None:
    running.configure(
        store=f"sqlite://{running.config.parent}/gate.db",
        sidecar={"listen": f"127.0.0.1:{running.port}", "upstream": upstream.url, **table},
    )
    running.process.send_signal(signal.SIGHUP)


@pytest.fixture
def fixed(tmp_path: Path, upstream: Scripted) -> Iterator[Running]:
    """On ports that its file names, so that a reload keeps them."""
    with (
        two_addresses() as (listen, admin),
        watched(tmp_path, upstream.url, sidecar={"listen": listen, "admin": admin}) as found,
    ):
        yield found


@contextmanager
def two_addresses() -> Iterator[tuple[str, str]]:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [probe.getsockname()[1] for probe in (one, other)]
    yield f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"


def test_a_reload_moves_it_and_another_switches_it_off(fixed: Running, upstream: Scripted) -> None:
    exchange(fixed.port, REFUSED)
    until(lambda: value(fixed, "decisions_total") == 1)
    before = fixed.admin
    with two_addresses() as (_, elsewhere):
        move(fixed, upstream, admin=elsewhere)
    fixed.admin = int(elsewhere.rpartition(":")[2])
    fixed.wait_for("the new settings are in use")
    assert value(fixed, "decisions_total") == 1
    until(lambda: refuses(before))
    move(fixed, upstream)
    until(lambda: refuses(fixed.admin))
    assert exchange(fixed.port, REFUSED).status == 403


def refuses(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_address_that_is_taken_refuses_the_reload(fixed: Running, upstream: Scripted) -> None:
    taken = f"127.0.0.1:{upstream.port}"
    move(fixed, upstream, admin=taken)
    fixed.wait_for(f"reload refused, nothing changes: can't listen on {taken}: Address already in use")
    move(fixed, upstream, admin=f"127.0.0.1:{fixed.port}")
    fixed.wait_for(f"127.0.0.1:{fixed.port} is where clients connect")
    assert ask(fixed, "/readyz").status == 200
