"""Real servers for the tests: one process each, on a port of loopback, ended when the test is done.

    with serve("uvicorn-h11", "tests.echo:asgi") as server:
        socket.create_connection(server.address)

What they print goes to a file and is shown when a server does not come up. Nothing here knows requests.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

ROOT = Path(__file__).parent.parent
STARTUP = 30.0  # seconds
ATTEMPTS = 3  # another process may take the port between our looking for it and the server's binding it

Command: TypeAlias = Callable[[str, int, str], Sequence[str]]  # application, port, root path


def inherited() -> dict[str, str]:
    """The environment for another process. Which Django site this one has looked at is not that one's business."""
    return {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


@dataclass(frozen=True)
class Stack:
    """How a server is started. Its default settings are what the tests are about, so there are few options."""

    interface: Literal["asgi", "wsgi"]
    command: Command
    environment: Callable[[str], Mapping[str, str]] = lambda root_path: {}


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


WERKZEUG = """
import sys
from werkzeug.serving import run_simple
from werkzeug.utils import import_string
run_simple("127.0.0.1", int(sys.argv[2]), import_string(sys.argv[1]), threaded=True)
"""


def _uvicorn(http: str) -> Command:
    return lambda app, port, root: _module(
        *("uvicorn", app, "--port", str(port), "--http", http, "--log-level", "warning"),
        *(("--root-path", root) if root else ()),
    )


def _granian(interface: str) -> Command:
    return lambda app, port, root: _module(
        *("granian", app, "--interface", interface, "--port", str(port), "--no-ws"),
        *(("--url-path-prefix", root) if root else ()),
    )


def _gunicorn(*options: str) -> Command:
    return lambda app, port, root: _module(
        "gunicorn", app, "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--graceful-timeout", "1", *options
    )


def _script_name(root_path: str) -> Mapping[str, str]:
    return {"SCRIPT_NAME": root_path} if root_path else {}


STACKS: Mapping[str, Stack] = {
    "werkzeug": Stack("wsgi", lambda app, port, root: [sys.executable, "-c", WERKZEUG, app, str(port)]),
    "gunicorn-sync": Stack("wsgi", _gunicorn(), _script_name),
    "gunicorn-gthread": Stack("wsgi", _gunicorn("--worker-class", "gthread", "--threads", "16"), _script_name),
    "waitress": Stack(
        "wsgi",
        lambda app, port, root: _module(
            *("waitress", "--listen", f"127.0.0.1:{port}", *(("--url-prefix", root) if root else ()), app)
        ),
    ),
    "granian-wsgi": Stack("wsgi", _granian("wsgi")),
    "aiohttp-wsgi": Stack(
        "wsgi",
        lambda app, port, root: [
            *(sys.executable, "-c", "from aiohttp_wsgi.__main__ import main; main()"),
            *("--host", "127.0.0.1", "--port", str(port), "--shutdown-timeout", "1"),
            *(("--script-name", root) if root else ()),
            app,
        ],
    ),
    "uvicorn-h11": Stack("asgi", _uvicorn("h11")),
    "uvicorn-httptools": Stack("asgi", _uvicorn("httptools")),
    "hypercorn": Stack(
        "asgi",
        lambda app, port, root: _module(
            *("hypercorn", "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "1"),
            *(("--root-path", root) if root else ()),
            app,
        ),
    ),
    "daphne": Stack(
        "asgi",
        lambda app, port, root: _module(
            *("daphne", "--bind", "127.0.0.1", "--port", str(port), "--verbosity", "0"),
            *(("--root-path", root) if root else ()),
            app,
        ),
    ),
    "granian-asgi": Stack("asgi", _granian("asgi")),
}

# Servers that run the applications of one framework, and neither interface.
OWN_SERVERS: Mapping[str, Command] = {
    "aiohttp": lambda app, port, root: _module("aiohttp.web", app, "--hostname", "127.0.0.1", "--port", str(port)),
}


@dataclass
class Server:
    """A server process. `starting` returns at once, so that several can come up side by side; `wait` waits for it."""

    stack: str
    app: str
    root_path: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()  # of the command line, beyond the stack's own
    port: int = 0

    def starting(self) -> Server:
        stack = STACKS.get(self.stack)
        command = stack.command if stack is not None else OWN_SERVERS[self.stack]
        self.port = _free_port()
        environment = stack.environment(self.root_path) if stack is not None else {}
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  closed by `stop`
        self._process = subprocess.Popen(
            [*command(self.app, self.port, self.root_path), *self.options],
            cwd=ROOT,
            env={**inherited(), "PYTHONPATH": str(ROOT), **environment, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its workers can be ended with it
        )
        return self

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def process_id(self) -> int:
        return self._process.pid

    def output(self) -> str:
        """All it printed so far."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def wait(self) -> None:
        """Until connections are accepted."""
        for _ in range(ATTEMPTS):
            if self._comes_up():
                return
            if self._process.poll() is None or "in use" not in self.output():
                break
            self.starting()
        raise RuntimeError(f"{self.stack} does not come up: {self.output()}")

    def _comes_up(self) -> bool:
        for _ in range(int(STARTUP / 0.02)):
            try:
                socket.create_connection(self.address, timeout=1).close()
                return True
            except OSError:
                pass
            try:
                self._process.wait(timeout=0.02)
                return False
            except subprocess.TimeoutExpired:
                pass
        return False

    def end(self) -> None:
        """Ask it to end; `stop` waits for that."""
        self._process.terminate()

    def stop(self) -> None:
        """Gracefully if it goes quickly, and its workers with it."""
        self.end()
        try:
            self._process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._output.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(
    stack: str,
    app: str,
    *,
    root_path: str = "",
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """A server that accepts connections. `app` is typed as for all servers, "package.module:name"."""
    with serve_all([Server(stack, app, root_path, environment or {}, options)]) as (server,):
        yield server


@contextmanager
def serve_all(servers: Sequence[Server]) -> Iterator[Sequence[Server]]:
    """Several servers, started side by side."""
    started: list[Server] = []
    try:
        for server in servers:
            started.append(server.starting())
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in started:
            server.end()
        for server in started:
            server.stop()
