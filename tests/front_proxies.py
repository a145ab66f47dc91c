"""Real front proxies that ask a real gate, with the configurations of `examples/forward_auth/`, and an application.

    with guarded_site("nginx", tmp_path, RULES) as site:
        exchange(site.port, request_bytes("POST /contact", b"name=Ann"))
        site.received                                     # what came through to the application

Of the configurations only addresses and the places of files are changed, so what is tested is what people copy.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.redis_servers import free_port, until
from tests.servers import ROOT

EXAMPLES = ROOT / "examples" / "forward_auth"
GATE, APPLICATION = "127.0.0.1:8080", "127.0.0.1:8000"  # as the examples have them
KINDS = ("nginx", "caddy")
SERVE = ("serve",)
PROXY = ("proxy", "--upstream", "http://127.0.0.1:1")  # an application of its own, which nobody asks for here


@dataclass(frozen=True)
class Received:
    """A request as the application got it."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of a header in every spelling that an application may fold into this one."""
        return [value for known, value in self.headers if known.lower().replace("_", "-") == name.lower()]


@dataclass
class Application:
    """Answers every request, with a page if there is one for its target, and remembers it."""

    pages: dict[str, tuple[int, str]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[int]:
        application = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                application.received.append(Received(self.command, self.path, self.headers.items(), body))
                status, page = application.pages.get(self.path, (200, "the application"))
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page.encode())))
                self.send_header("Set-Cookie", "visited=yes")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(page.encode())

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()


@dataclass
class Process:
    """A program that is ended with the block, and what it printed."""

    started: subprocess.Popen[bytes]
    log: Path

    def printed(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        self.started.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.started.wait(timeout=3)
        with suppress(ProcessLookupError):
            os.killpg(self.started.pid, signal.SIGKILL)
        self.started.wait()


@contextmanager
def program(
    command: Sequence[str], log: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """A program that listens on a port of loopback by the time the block begins."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(started, log)

    def answers() -> bool:
        assert started.poll() is None, process.printed()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        return False

    try:
        until(answers)
        yield process
    finally:
        process.stop()


@contextmanager
def gate(folder: Path, settings: str, how: Sequence[str] = SERVE) -> Iterator[tuple[int, Process]]:
    """A gate with these settings: its port and its process."""
    port, file = free_port(), folder / "gate.toml"
    file.write_text(settings)
    command = [sys.executable, "-m", "caputchin_gate", *how, str(file), "--listen", f"127.0.0.1:{port}"]
    with program(command, folder / "gate.log", port, {"XDG_STATE_HOME": str(folder)}) as process:
        yield port, process


@contextmanager
def front_proxy(kind: str, folder: Path, gate_port: int, application_port: int) -> Iterator[int]:
    """The proxy of a kind, as its example configures it; its port."""
    port = free_port()
    example = {"nginx": "nginx.conf", "caddy": "Caddyfile"}[kind]
    text = (EXAMPLES / example).read_text()
    text = text.replace(GATE, f"127.0.0.1:{gate_port}").replace(APPLICATION, f"127.0.0.1:{application_port}")
    file = folder / example
    file.write_text(_on_loopback(kind, text, port, folder))
    with program(_command(kind, file, folder), folder / f"{kind}.log", port, {"HOME": str(folder)}):
        yield port


def _on_loopback(kind: str, text: str, port: int, folder: Path) -> str:
    if kind == "nginx":
        places = "".join(
            f"    {name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = text.replace("http {\n", f"http {{\n    access_log off;\n{places}", 1)
        return text.replace("listen 80;", f"listen 127.0.0.1:{port};", 1)
    return "{\n\tadmin off\n}\n" + text.replace(":80 {\n", f"http://:{port} {{\n\tbind 127.0.0.1\n", 1)


def _command(kind: str, file: Path, folder: Path) -> list[str]:
    program = shutil.which(kind, path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert program, f"these tests need {kind}: see `make services`"
    if kind == "caddy":
        return [program, "run", "--adapter", "caddyfile", "--config", str(file)]
    user = "user root; " if os.geteuid() == 0 else ""
    main = f"daemon off; {user}worker_processes 1; pid {folder}/nginx.pid;"
    return [program, "-p", str(folder), "-e", "stderr", "-c", str(file), "-g", main]


@dataclass
class GuardedSite:
    kind: str
    port: int  # of the front proxy
    gate_port: int
    gate: Process
    application: Application

    @property
    def received(self) -> list[Received]:
        return self.application.received

    def has_decided(self, *reasons: str) -> None:
        """Wait until these are the reasons of the last decisions in the log, which is written after the answers."""
        until(lambda: self._decisions()[-len(reasons) :] == list(reasons), seconds=10)

    def _decisions(self) -> list[str]:
        lines = self.gate.printed().split("\n")[:-1]  # the last one may not be complete
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event["reason"] for event in events if event["event"] == "decision"]


@contextmanager
def guarded_site(
    kind: str, folder: Path, settings: str, application_port: int | None = None, how: Sequence[str] = SERVE
) -> Iterator[GuardedSite]:
    """A site behind a front proxy that asks the gate. The settings are written for nginx.

    how: the command that the gate runs as
    application_port: an application that runs already, in place of ours.
    """
    application = Application()
    with (
        application.serving() as own_port,
        gate(folder, settings.replace('forward_auth = "nginx"', f'forward_auth = "{kind}"'), how) as (
            gate_port,
            process,
        ),
        front_proxy(kind, folder, gate_port, application_port or own_port) as port,
    ):
        yield GuardedSite(kind, port, gate_port, process, application)
