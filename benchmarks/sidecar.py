"""The sidecar beside nginx and caddy, all on one core: wrk and the application have the other.

What a guarded form costs is compared with an open one of the sidecar itself, in its CPU time.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.harness import Row, at_least_times, at_most_times, by_turns
from benchmarks.protected_post import form_with
from benchmarks.proxies import (
    application,
    caddy_proxy,
    cpu_seconds_of,
    keep_to,
    missing,
    nginx_proxy,
    sidecar,
)
from benchmarks.served import Connection
from benchmarks.solutions import SIGNING_KEY, solved

CONNECTIONS = 32
SECONDS = 2
ROUNDS = 5
SUBMISSIONS = 1_000
POST_ROUNDS = 4

POST = """
wrk.method = "POST"
wrk.body = "{body}"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
"""
NOTE = (
    "Requests a second over 32 kept connections, with wrk and the application on the other core. A peer that the other "
    "core limits looks slower than it is."
)


def rows() -> Iterator[Row]:
    if absent := missing():
        raise RuntimeError(f"these are needed: {', '.join(absent)} (make bench installs them where it may)")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "post.lua").write_text(POST.format(body="name=Ada&text=" + "x" * 290))
        upstream = stack.enter_context(application(folder, core=0))
        ours, worker = stack.enter_context(sidecar(folder, upstream, 1, SIGNING_KEY))
        ports = {
            "sidecar": ours,
            "nginx": stack.enter_context(nginx_proxy(folder, upstream, 1)),
            "caddy": stack.enter_context(caddy_proxy(folder, upstream, 1)),
        }
        yield from beside_others(folder, ports)
        yield protected(ours, worker)


def beside_others(folder: Path, ports: dict[str, int]) -> Iterator[Row]:
    for method, options in (("GET", []), ("POST of 300 bytes", ["-s", str(folder / "post.lua")])):
        slowest: dict[str, list[float]] = {name: [] for name in ports}

        def measure(name: str, options: list[str] = options, slowest: dict[str, list[float]] = slowest) -> float:
            rate, latency = wrk(ports[name], options)
            slowest[name].append(latency)
            return 1 / rate

        samples = by_turns({name: partial(measure, name) for name in ports}, rounds=ROUNDS)
        rates = {name: 1 / samples.of(name) for name in ports}
        middle = {name: sorted(found)[len(found) // 2] for name, found in slowest.items()}
        what = f"sidecar, open {method}"
        yield Row(what, rates["sidecar"], "a second", (("nginx", rates["nginx"]),), at_least_times(0.55), NOTE)
        yield Row(what, rates["sidecar"], "a second", (("caddy", rates["caddy"]),), at_least_times(1.6), NOTE)
        peers = (("caddy", middle["caddy"]), ("nginx", middle["nginx"]))
        yield Row(f"{what}: 99 of 100 within", middle["sidecar"], "ms", peers, at_most_times(1.0))


def wrk(port: int, options: list[str]) -> tuple[float, float]:
    """Requests a second, and in how many milliseconds 99 of 100 were answered."""
    url = f"http://127.0.0.1:{port}/articles/12"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "--latency", *options, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=lambda: keep_to(0)).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    latency = re.search(r"99%\s+([\d.]+)(us|ms|s)", told)
    assert rate is not None
    assert latency is not None
    return float(rate[1]), float(latency[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[latency[2]]


def protected(port: int, worker: int) -> Row:
    tokens = iter(solved(SUBMISSIONS * (POST_ROUNDS + 1), client="127.0.0.1"))
    bodies = {
        "/contact": lambda: [form_with(next(tokens)) for _ in range(SUBMISSIONS)],
        "/open": lambda: [form_with("A" * 40)] * SUBMISSIONS,
    }

    def measure(path: str) -> float:
        requests = [request(path, body) for body in bodies[path]()]
        before = cpu_seconds_of(worker)
        uvloop.run(send(port, requests))
        return (cpu_seconds_of(worker) - before) / len(requests)

    samples = by_turns({path: partial(measure, path) for path in bodies}, rounds=POST_ROUNDS)
    guarded, bare = (1 / samples.of(path) for path in ("/contact", "/open"))
    return Row(
        "sidecar, guarded POST with proof of work, memory store",
        guarded,
        "a second",
        (("an open POST", bare),),
        at_least_times(0.5),
        note="In each second of the worker's CPU time, its log of decisions included.",
    )


def request(path: str, body: bytes) -> bytes:
    head = (f"POST {path} HTTP/1.1", "Host: shop.example", "Content-Type: application/x-www-form-urlencoded")
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def send(port: int, requests: list[bytes]) -> None:
    loop, coming, connections = asyncio.get_running_loop(), iter(requests), []
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(lambda: Submission(coming), "127.0.0.1", port)
        connections.append(connection)
    async with asyncio.timeout(60):
        await asyncio.gather(*(connection.ended for connection in connections))


class Submission(Connection):
    """One submission after the other; each has to be admitted."""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.startswith(b"HTTP/1.1 200 "):
            self.ended.set_exception(RuntimeError(f"refused: {self._received[:200]!r}"))
            self._transport.abort()
        elif self._received.endswith(b"hello world "):
            self._received = b""
            self._send_next()
