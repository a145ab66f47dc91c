"""The configurations of `examples/sidecar/` hold what `docs/running.md` says about them. Docker itself is not run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from caputchin_gate.cli.terminal import WRONG_USE
from caputchin_gate.sidecar.settings import Timeouts
from caputchin_gate.sidecar.supervisor import KILL_AFTER
from tests.redis_servers import RedisServer, free_port
from tests.servers import ROOT
from tests.sidecar.scripted import Scripted
from tests.test_cli import typed
from tests.wire import exchange, request_bytes

EXAMPLES = ROOT / "examples" / "sidecar"
PROGRAMS = Path(sys.executable).parent
SECRET = "/run/secrets/caputchin_secret"
DRAINED = Timeouts().drain + KILL_AFTER  # after so long nothing is left of it


def settings(folder: Path, **changed: str) -> Path:
    """The gate.toml of the examples; where it is run, only addresses and the place of the secret differ."""
    secret = folder / "caputchin_secret"
    secret.write_text("cpt_sec_of_a_test_0123456789\n")
    text = (EXAMPLES / "gate.toml").read_text()
    for old, new in {SECRET: str(secret), **changed}.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "gate.toml"
    file.write_text(text)
    return file


def test_the_settings_have_no_problems(tmp_path: Path) -> None:
    done = typed("check", str(settings(tmp_path)))
    assert (done.returncode, done.stderr) == (0, "")


# The image


def instructions() -> dict[str, str]:
    lines = re.sub(r"\\\n\s*", "", (EXAMPLES / "Dockerfile").read_text()).splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def test_the_image_installs_what_the_settings_need_and_keeps_no_cache() -> None:
    extras = re.search(r"pip install --no-cache-dir 'caputchin-gate\[(.*?)\]'", instructions()["RUN"])
    assert extras is not None
    assert set(extras[1].split(",")) <= set(metadata("caputchin-gate").get_all("Provides-Extra") or ())
    assert {"sidecar", "redis"} <= set(extras[1].split(","))


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    user = instructions()["USER"]
    assert user.isdecimal()
    assert int(user) > 0
    assert f"--uid {user} " in instructions()["RUN"]


@contextmanager
def entered(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_the_image_runs_serves_is_healthy_and_ends_on_sigterm(tmp_path: Path) -> None:
    port, admin = free_port(), f"127.0.0.1:{free_port()}"
    program, *arguments = [*json.loads(instructions()["ENTRYPOINT"]), *json.loads(instructions()["CMD"])]
    health = json.loads(instructions()["HEALTHCHECK"].partition(" CMD ")[2].replace("127.0.0.1:9090", admin))

    def healthy() -> bool:
        return subprocess.run([sys.executable, *health[1:]], capture_output=True, check=False).returncode == 0

    with RedisServer(tmp_path / "redis") as redis, Scripted() as application:
        file = settings(
            tmp_path,
            **{
                "redis:6379": f"{redis.host}:{redis.port}",
                "0.0.0.0:8080": f"127.0.0.1:{port}",
                "http://app:8000": application.url,
                "127.0.0.1:9090": admin,
            },
        )
        command = [
            str(PROGRAMS / program),
            *(argument.replace("/etc/caputchin-gate/gate.toml", str(file)) for argument in arguments),
        ]
        assert not healthy()
        with entered(command, tmp_path) as process:
            assert process.stdout is not None
            assert "listening on" in process.stdout.readline()
            assert "health and metrics on" in process.stdout.readline()
            assert healthy()
            assert exchange(port, request_bytes("GET /", b"")).status == 200
            assert exchange(port, request_bytes("POST /contact", b"")).status == 403
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0


# The containers


def containers() -> dict[str, Any]:
    composed: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose.yml").read_text())
    return composed


def test_the_application_can_be_reached_through_the_gate_alone() -> None:
    services, networks = containers()["services"], containers()["networks"]
    assert [name for name, service in services.items() if "ports" in service] == ["gate"]
    assert all("network_mode" not in service for service in services.values())
    assert networks["inside"]["internal"] is True
    for name in ("app", "redis"):
        assert services[name]["networks"] == ["inside"]


def test_the_gate_finds_what_its_settings_name() -> None:
    composed, text = containers(), (EXAMPLES / "gate.toml").read_text()
    gate = composed["services"]["gate"]
    assert 'upstream = "http://app:8000"' in text
    assert 'store = "redis://redis:6379/0"' in text
    assert f'file = "{SECRET}"' in text
    assert gate["secrets"] == [Path(SECRET).name] == list(composed["secrets"])
    (published,) = gate["ports"]
    assert f'listen = "0.0.0.0:{published.split(":")[1]}"' in text
    (mounted,) = gate["volumes"]
    assert mounted == f"./gate.toml:{json.loads(instructions()['CMD'])[-1]}:ro"
    assert (EXAMPLES / gate["build"] / "Dockerfile").is_file()


def test_the_gate_may_do_little_and_gets_the_time_to_end() -> None:
    gate = containers()["services"]["gate"]
    assert gate["read_only"] is True
    assert gate["cap_drop"] == ["ALL"]
    assert gate["security_opt"] == ["no-new-privileges:true"]
    assert any(place.startswith("/tmp:") for place in gate["tmpfs"])
    assert float(gate["stop_grace_period"].removesuffix("s")) > DRAINED


def test_no_used_token_is_forgotten_by_a_restart_or_for_want_of_memory() -> None:
    command = " ".join(containers()["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


# systemd


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (EXAMPLES / "caputchin-gate.service").read_text().splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_waits_until_it_serves_and_ends_only_when_requests_have_ended() -> None:
    (start,) = unit()["ExecStart"]
    assert start.endswith("/caputchin-gate proxy /etc/caputchin-gate/gate.toml")
    assert unit()["Type"] == ["notify"]
    assert unit()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit()["KillMode"] == ["mixed"]  # with SIGTERM for the workers too, none would be left to drain
    assert float(unit()["TimeoutStopSec"][0]) > DRAINED


def test_the_unit_does_not_start_again_and_again_with_settings_that_are_wrong() -> None:
    assert unit()["RestartPreventExitStatus"] == [str(WRONG_USE)]


def analyzed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    file = folder / "caputchin-gate.service"
    file.write_text((EXAMPLES / file.name).read_text().replace("/opt/caputchin-gate/bin", str(PROGRAMS)))
    command = ["systemd-analyze", *arguments, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and "CI" not in os.environ, reason="there is no systemd here"
)


@needs_systemd
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    done = analyzed(tmp_path, "verify", "--man=no")
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_calls_the_unit_well_confined(tmp_path: Path) -> None:
    done = analyzed(tmp_path, "security", "--no-pager", "--offline=true", "--threshold=20")
    assert done.returncode == 0, done.stdout
