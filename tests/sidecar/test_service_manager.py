"""What systemd is told: on a real datagram socket, by a real sidecar."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from caputchin_gate.sidecar.service_manager import ServiceManager
from tests.redis_servers import free_port
from tests.sidecar.running import STARTUP, sidecar


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        listening.settimeout(STARTUP)
        yield listening


def heard(listening: socket.socket) -> dict[str, str]:
    lines = listening.recv(4096).decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(params=["a file", "an abstract name"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "a file" else f"@caputchin-gate-test-{os.getpid()}"


def test_it_is_told_of_start_reload_and_end(tmp_path: Path, address: str) -> None:
    environment = {"NOTIFY_SOCKET": address}
    listen = f"127.0.0.1:{free_port()}"
    table = {"listen": listen, "workers": 2}
    with manager(address) as listening, sidecar(tmp_path, None, environment, sidecar=table) as running:
        assert heard(listening) == {"READY": "1", "STATUS": "serving with 2 workers"}
        for settings, status in (
            ({}, "serving with 1 worker"),
            ({"prtect": 1}, "serving with 1 worker; the last reload was refused, see the log"),
        ):
            running.configure(store=f"sqlite://{tmp_path}/gate.db", sidecar={"listen": listen}, **settings)
            before = time.monotonic_ns() // 1000
            running.process.send_signal(signal.SIGHUP)
            reloading = heard(listening)
            assert reloading.pop("RELOADING") == "1"
            assert before <= int(reloading.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
            assert reloading == {}
            assert heard(listening) == {"READY": "1", "STATUS": status}
        running.process.terminate()
        assert heard(listening)["STOPPING"] == "1"


def test_it_hears_that_the_sidecar_lives_as_often_as_it_wants_to(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    with manager(address) as listening, sidecar(tmp_path, None, environment):
        messages = [heard(listening) for _ in range(6)]
        assert messages.count({"WATCHDOG": "1"}) == 5


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere/at/all"},
        {"NOTIFY_SOCKET": "vsock:2:1"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "1000"},
    ],
)
def test_where_nobody_listens_nothing_happens(environment: dict[str, str]) -> None:
    nobody = ServiceManager(environment)
    assert nobody.beat_at == float("inf")
    nobody.ready("serving")
    nobody.reloading()
    nobody.stopping()
    nobody.beat(time.monotonic())
