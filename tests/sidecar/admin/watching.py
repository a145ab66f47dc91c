"""A sidecar with an admin address, and what it shows there.

with watched(tmp_path, upstream.url) as running:
    ask(running, "/readyz").status
    value(running, "requests_total")
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.sidecar.running import STARTUP, Running, sidecar
from tests.wire import Answer, exchange

GET = b"GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
REFUSED = b"POST /contact HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def watched(folder: Path, upstream: str | list[str] | None, **settings: Any) -> AbstractContextManager[Running]:
    table = {"admin": "127.0.0.1:0", "workers": 2, **settings.pop("sidecar", {})}
    return sidecar(folder, upstream, sidecar=table, **settings)


def ask(running: Running, path: str, *, method: str = "GET", host: str = "localhost") -> Answer:
    return exchange(running.admin, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def samples(running: Running) -> Iterator[Sample]:
    for family in text_string_to_metric_families(ask(running, "/metrics").body.decode()):
        yield from family.samples


def value(running: Running, name: str, **labels: str) -> float:
    """The sum over all that have these labels."""
    return sum(
        sample.value
        for sample in samples(running)
        if sample.name == f"caputchin_gate_{name}" and labels.items() <= sample.labels.items()
    )


def workers(running: Running) -> list[int]:
    table = ask(running, "/").body.decode().rpartition("<h2>Workers</h2>")[2]
    return [int(found) for found in re.findall(r'<th scope="row">(\d+)</th>', table)]


def checks(running: Running, path: str = "/readyz") -> dict[str, bool]:
    return {name: check["ok"] for name, check in json.loads(ask(running, path).body)["checks"].items()}


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + STARTUP
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
