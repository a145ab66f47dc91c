"""A relay in front of a server that can lose what is said, at a point that a test chooses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum


class Cut(Enum):
    """Where connections break, from now on."""

    NOWHERE = "nowhere"
    REQUEST = "the request is lost"
    REPLY = "the reply is lost"
    HALF_REPLY = "half of the reply is lost"
    STEP = "each reply comes one request too late"  # on a connection for good


class Relay:
    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.cut = Cut.NOWHERE
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *failure: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        """One request, one reply, and again: that is how the store speaks."""
        last, late = b"", False
        with suppress(OSError), client, socket.create_connection(self.target) as server:
            while request := client.recv(65536):
                if self.cut is Cut.REQUEST:
                    return
                server.sendall(request)
                reply = server.recv(65536)
                if self.cut is Cut.REPLY:
                    return
                if self.cut is Cut.HALF_REPLY:
                    client.sendall(reply[: len(reply) // 2])
                    return
                late = late or self.cut is Cut.STEP
                client.sendall(last if late else reply)
                last = reply


@contextmanager
def talker(said: bytes) -> Iterator[int]:
    """A server that answers everything with the same words; its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def talk(client: socket.socket) -> None:
        with suppress(OSError), client:
            while client.recv(65536):
                client.sendall(said)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
