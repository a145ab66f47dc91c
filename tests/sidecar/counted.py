"""An application that notes what reaches it in a file, before it answers; it can be killed and started again.

    METHOD PATH?id=ID[&wait=MILLISECONDS]     answers with "METHOD ID", after that time

with Counted(folder) as application:
    application.url
    application.kill()
    application.start()
    application.handled                       what was noted, over all its lives
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

from tests.redis_servers import free_port, until
from tests.servers import ROOT


@dataclass(frozen=True)
class Handled:
    id: int
    method: str
    path: str
    reason: str


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
    query = parse_qs(scope["query_string"].decode())
    reasons = [value.decode() for name, value in scope["headers"] if name == b"x-caputchin-reason"]
    noted = f"{query['id'][0]} {scope['method']} {scope['path']} {','.join(reasons)}\n"
    os.write(NOTES, noted.encode())  # survives the process
    await asyncio.sleep(int(query.get("wait", ["0"])[0]) / 1000)
    body = f"{scope['method']} {query['id'][0]}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if "COUNTED" in os.environ:
    NOTES = os.open(os.environ["COUNTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


class Counted:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._notes = folder / f"handled-{self.port}"
        self._notes.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Counted:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def handled(self) -> Sequence[Handled]:
        lines = (line.split() for line in self._notes.read_text().splitlines())
        return [Handled(int(id), method, path, reason) for id, method, path, reason in lines]

    def start(self) -> None:
        """Returns when it takes connections."""
        command = ["uvicorn", "tests.sidecar.counted:application", "--port", str(self.port), "--log-level", "critical"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COUNTED": str(self._notes)}
        self._process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment)
        until(self._takes_connections)

    def _takes_connections(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def kill(self) -> None:
        """At once, with all that it has begun."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
