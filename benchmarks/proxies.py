"""The processes of a proxy benchmark: one application, and in front of it nginx, caddy or our sidecar, each on a core
that they share with nobody but each other."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ANSWER = "hello world " * 3

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/{name}.body;
    proxy_temp_path {folder}/{name}.proxy;
    keepalive_timeout 600;
    keepalive_requests 100000000;
    {rest}
}}
"""
APPLICATION = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type text/plain;
        location / {{ return 200 "{answer}"; }}
    }}
"""
PROXY = """
    upstream application {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_pass http://application;
        }}
    }}
"""
CADDY = """
{{
    admin off
    auto_https off
}}
:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{upstream}
}}
"""
GATE = """
protect = ["POST /contact"]
store = "memory"
[provider]
kind = "caputchin"
verification = "in-process"
[in_process]
signing_key = "{key}"
lifetime = "5m"
[sidecar]
listen = "127.0.0.1:{port}"
upstream = "http://127.0.0.1:{upstream}"
"""


def missing() -> list[str]:
    """The programs that a machine does not have."""
    return [name for name in ("nginx", "caddy", "wrk") if shutil.which(name) is None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def application(folder: Path, core: int) -> Iterator[int]:
    """nginx with a constant answer: what is fast enough not to be what is measured."""
    port = free_port()
    rest = APPLICATION.format(port=port, answer=ANSWER)
    with nginx(folder, "application", rest, port, core):
        yield port


@contextmanager
def nginx_proxy(folder: Path, upstream: int, core: int) -> Iterator[int]:
    port = free_port()
    with nginx(folder, "proxy", PROXY.format(port=port, upstream=upstream), port, core):
        yield port


@contextmanager
def nginx(folder: Path, name: str, rest: str, port: int, core: int) -> Iterator[None]:
    config = folder / f"{name}.conf"
    config.write_text(NGINX.format(folder=folder, name=name, rest=rest))
    with running(["nginx", "-c", str(config), "-p", str(folder)], port, core):
        yield


@contextmanager
def caddy_proxy(folder: Path, upstream: int, core: int) -> Iterator[int]:
    port = free_port()
    config = folder / "Caddyfile"
    config.write_text(CADDY.format(port=port, upstream=upstream))
    with running(["caddy", "run", "--config", str(config), "--adapter", "caddyfile"], port, core):
        yield port


@contextmanager
def sidecar(folder: Path, upstream: int, core: int, signing_key: str) -> Iterator[tuple[int, int]]:
    """Its port, and the process id of its worker."""
    port = free_port()
    config = folder / "gate.toml"
    config.write_text(GATE.format(port=port, upstream=upstream, key=signing_key))
    command = [sys.executable, "-m", "caputchin_gate", "proxy", str(config)]
    with running(command, port, core) as process_id:
        yield port, first_child(process_id)


def first_child(process_id: int) -> int:
    """Of a process that listens already, and may be about to make it."""
    listed = Path(f"/proc/{process_id}/task/{process_id}/children")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if children := listed.read_text().split():
            return int(children[0])
        time.sleep(0.02)
    raise RuntimeError(f"process {process_id} has no worker")


@contextmanager
def running(command: Sequence[str], port: int, core: int) -> Iterator[int]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GOMAXPROCS": "1"},
        preexec_fn=lambda: keep_to(core),
        start_new_session=True,
    )
    try:
        wait_for(port)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def keep_to(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def cpu_seconds_of(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
