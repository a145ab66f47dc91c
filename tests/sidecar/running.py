"""A real `caputchin-gate proxy`, as a process of its own; `serve` where there is no upstream.

with sidecar(tmp_path, upstream="http://127.0.0.1:8000", sidecar={"workers": 2}) as running:
    exchange(running.port, b"GET / ...")
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.echo import PROTECT, SIGNING_KEY
from tests.servers import ROOT

STARTUP = 30.0

SETTINGS: Mapping[str, Any] = {
    "protect": [route for route in PROTECT if isinstance(route, str)],
    "route": [route.as_table() for route in PROTECT if not isinstance(route, str)],
    "exempt": ["POST /hooks/stripe"],
    "store": "sqlite",
    "provider": {"kind": "caputchin", "verification": "in-process"},
    "in_process": {"signing_key": SIGNING_KEY, "client_binding": "off", "challenges_per_minute": 10_000},
}


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    config: Path
    port: int
    log: Path
    admin: int = 0  # the port of its admin address, if it has one

    def output(self) -> str:
        """All it printed so far, but for its first line."""
        return self.log.read_text(errors="replace")

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def configure(self, **settings: Any) -> None:
        """Write another file; a SIGHUP lets it be read."""
        self.config.write_text(as_toml({**SETTINGS, **settings}))

    def wait_for(self, text: str, times: int = 1) -> None:
        end = time.monotonic() + STARTUP
        while self.output().count(text) < times:
            assert time.monotonic() < end, f"{text!r} is not in: {self.output()}"
            time.sleep(0.02)


def children(process_id: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


@contextmanager
def sidecar(
    folder: Path,
    upstream: str | list[str] | None,
    environment: Mapping[str, str] = MappingProxyType({}),
    **settings: Any,
) -> Iterator[Running]:
    """`settings` are keys of gate.toml over those of the tests' application; the store is in the folder."""
    config = folder / "gate.toml"
    command = "serve" if upstream is None else "proxy"
    table = {"listen": "127.0.0.1:0", **({"upstream": upstream} if upstream is not None else {})}
    table |= settings.pop("sidecar", {})
    config.write_text(as_toml({**SETTINGS, "store": f"sqlite://{folder}/gate.db", **settings, "sidecar": table}))
    log = folder / "log"
    with log.open("ab") as errors:  # who reads it at the same time must not move where is written
        process = subprocess.Popen(
            [sys.executable, "-m", "caputchin_gate", command, str(config)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,  # a line that was read must not take the next one with it
        )
    try:
        running = Running(process, config, _port_of(process, log), log)
        if "admin" in table:
            running.admin = _port_of(process, log)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], STARTUP)
    line = process.stdout.readline().decode() if readable else ""
    found = re.search(r" on (?:https?://.*?:(\d+)|unix:)", line)
    if found is None:
        process.kill()
        raise RuntimeError(f"it does not start: {line} {log.read_text(errors='replace')}")
    return int(found[1] or 0)


def as_toml(table: Mapping[str, Any]) -> str:
    """Enough of TOML for settings: scalars first, then tables."""
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for name, nested in table.items():
        if isinstance(nested, dict):
            lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in nested.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return json.dumps(value)
