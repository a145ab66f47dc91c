"""What a running sidecar writes to its log: which lines, in which format, and that nobody waits for their reader."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.redis_servers import RedisServer
from tests.servers import ROOT
from tests.sidecar.running import SETTINGS, STARTUP, Running, as_toml, sidecar
from tests.sidecar.scripted import Scripted
from tests.wire import exchange, request_bytes

GET = b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n"
POST = request_bytes("POST /contact\nContent-Type: application/x-www-form-urlencoded", b"name=Ann")


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


def events(running: Running, *names: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in running.output().splitlines()]
    return [event for event in told if event["event"] in names or not names]


def wait_for_event(running: Running, name: str, times: int = 1) -> list[dict[str, Any]]:
    end = time.monotonic() + STARTUP
    while len(found := events(running, name)) < times:
        assert time.monotonic() < end, running.output()
        time.sleep(0.02)
    return found


def test_a_life_in_json_lines(tmp_path: Path, upstream: Scripted) -> None:
    with sidecar(tmp_path, upstream.url, sidecar={"workers": 2}) as running:
        wait_for_event(running, "ready")
        assert exchange(running.port, POST).status == 403
        (decision,) = wait_for_event(running, "decision")
        (victim, other) = running.workers()
        assert decision["pid"] in (victim, other)
        os.kill(victim, signal.SIGKILL)
        (died,) = wait_for_event(running, "worker-died")
        assert (died["worker"], died["how"], died["level"]) == (victim, "signal 9", "error")
    told = [event["event"] for event in events(running) if event["event"] != "setting-warning"]
    assert told == ["start", "ready", "decision", "worker-died", "stop"]
    (ready,) = events(running, "ready")
    assert (ready["listen"], ready["workers"]) == ([f"http://127.0.0.1:{running.port}"], 2)


def test_an_application_that_goes_and_comes_is_told_once_each(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with sidecar(tmp_path, f"unix:{path}") as running:
        for _ in range(2):
            for _ in range(3):
                assert exchange(running.port, GET).status == 502
            with Scripted(path=path):
                for _ in range(3):
                    assert exchange(running.port, GET).status == 200
            os.unlink(path)
        wait_for_event(running, "upstream-up", 2)
        told = events(running, "upstream-down", "upstream-up")
    assert [event["event"] for event in told] == ["upstream-down", "upstream-up"] * 2
    assert (told[0]["upstream"], told[0]["why"]) == (f"unix:{path}", "No such file or directory")


def test_a_store_that_goes_is_told_once_however_many_requests_meet_it(tmp_path: Path, upstream: Scripted) -> None:
    with RedisServer(tmp_path) as redis, sidecar(tmp_path, upstream.url, store=redis.url) as running:
        ask = request_bytes("POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json", b"{}")
        assert exchange(running.port, ask).status == 200
        redis.kill()
        for _ in range(5):
            assert exchange(running.port, ask).status == 503
        (down,) = wait_for_event(running, "store-down")
        assert (down["level"], down["trouble"]) == ("error", "it does not answer: ConnectionError")
        assert len(events(running, "store-down")) == 1


def test_a_reload_may_change_the_format_and_one_that_is_refused_does_not(tmp_path: Path, upstream: Scripted) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    with sidecar(tmp_path, upstream.url, sidecar={"listen": listen}) as running:
        store = f"sqlite://{tmp_path}/gate.db"

        def reload(**more: Any) -> None:
            table = {"listen": listen, "upstream": upstream.url, "log_format": "text", **more}
            running.configure(store=store, sidecar=table)
            running.process.send_signal(signal.SIGHUP)

        reload(tls={"certificate": "/dev/null", "key": "/dev/null"})
        (refused,) = wait_for_event(running, "reload-refused")
        assert "sidecar.tls" in refused["why"]
        reload()
        running.wait_for(" warning reload: the new settings are in use")
        assert exchange(running.port, POST).status == 403
        running.wait_for(" info decision token-missing route='POST /contact' method=POST status=403 elapsed=")


@contextmanager
def writing_to(errors: int, folder: Path, upstream: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A sidecar with this stderr, and its port."""
    table = {"listen": "127.0.0.1:0", "upstream": upstream}
    file = folder / "gate.toml"
    file.write_text(as_toml({**SETTINGS, "store": f"sqlite://{folder}/gate.db", "sidecar": table}))
    command = [sys.executable, "-m", "caputchin_gate", "proxy", str(file), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield process, int(line.split(":")[3].split()[0])
        finally:
            process.terminate()
            process.wait(15)


@pytest.mark.parametrize(("options", "as_text"), [([], True), (["--log-format", "json"], False)])
def test_on_a_terminal_it_writes_text_unless_told_otherwise(
    tmp_path: Path, upstream: Scripted, options: list[str], as_text: bool
) -> None:
    ours, terminal = pty.openpty()
    with writing_to(terminal, tmp_path, upstream.url, *options):
        received = b""
        while b"listening on" not in received or not received.endswith(b"\n"):
            assert select.select([ours], [], [], STARTUP)[0]
            received += os.read(ours, 65536)
    os.close(terminal)
    os.close(ours)
    first = received.decode().splitlines()[0]
    assert first.startswith("2") if as_text else json.loads(first)["event"]


def test_where_stdout_and_stderr_are_one_it_says_once_where_it_listens(tmp_path: Path, upstream: Scripted) -> None:
    table = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "upstream": upstream.url}
    file = tmp_path / "gate.toml"
    file.write_text(as_toml({**SETTINGS, "store": f"sqlite://{tmp_path}/gate.db", "sidecar": table}))
    command = [sys.executable, "-m", "caputchin_gate", "proxy", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        events = []
        while "ready" not in events:
            events.append(json.loads(process.stdout.readline())["event"])
        process.terminate()
        rest = process.stdout.read().decode().splitlines()
    assert all(json.loads(line)["event"] != "ready" for line in rest)


def test_a_reader_that_stops_reading_costs_lines_and_not_the_service(tmp_path: Path, upstream: Scripted) -> None:
    ours, theirs = os.pipe()
    many = POST.replace(b"Connection: close\r\n", b"Accept: application/json\r\n") * 50
    with writing_to(theirs, tmp_path, upstream.url) as (process, port):
        for _ in range(80):  # 4,000 decisions: more than the pipe and the writer keep
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(many)
                received = b""
                while received.count(b"HTTP/1.1 403") < 50:
                    piece = connection.recv(65536)
                    assert piece, "it does not answer any more"
                    received += piece
        assert exchange(port, GET).status == 200
        os.set_blocking(ours, False)
        log, end = b"", time.monotonic() + STARTUP
        while b'"log-dropped"' not in log:
            assert time.monotonic() < end, log[-500:]
            if select.select([ours], [], [], 0.1)[0]:
                log += os.read(ours, 65536)
        process.terminate()
        assert process.wait(15) == 0
    os.close(theirs)
    while piece := os.read(ours, 65536):
        log += piece
    os.close(ours)
    told = [json.loads(line) for line in log.decode().splitlines()]
    decisions = [event for event in told if event["event"] == "decision"]
    (dropped,) = [event for event in told if event["event"] == "log-dropped"]
    assert len(decisions) + dropped["lines"] == 4000
