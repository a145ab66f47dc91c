"""An application that answers on a socket with the very bytes a test says, and keeps what it was sent.

    with Scripted([Play(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")]) as upstream:
        ...
        upstream.requests       the raw requests, in the order of arrival; one list a connection in `connections`

The plays are used in turn, the last one again and again; `play` begins anew with others.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Play:
    """What happens to one request.

    answer:      what is sent, piece by piece, with `pause` seconds between
    early:       before the body of the request was read
    then:        "keep" the connection, "close" it, "reset" it
    """

    answer: bytes | Sequence[bytes] = OK
    early: bool = False
    then: str = "keep"
    pause: float = 0.0
    delay: float = 0.0


@dataclass
class Scripted:
    plays: Sequence[Play] = (Play(),)
    requests: list[bytes] = field(default_factory=list)
    connections: list[list[bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    path: str | None = None  # of a Unix socket

    def __enter__(self) -> Scripted:
        if self.path is not None:
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(self.path)
            self._listening.listen(64)
        else:
            self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._turn = 0
        self._lock = threading.Lock()
        self._open: list[tuple[socket.socket, threading.Thread]] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.ended.set()
        self._listening.close()
        for connection, _ in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"http://127.0.0.1:{self.port}"

    def play(self, *plays: Play) -> None:
        """Other plays from now on. Connections are ended and counting begins anew, when the other side knows of it."""
        self.end_connections()
        for _, thread in self._open:
            thread.join(10)
        self._open.clear()
        self.requests.clear()
        self.connections.clear()
        self.plays, self._turn = plays, 0

    def end_connections(self) -> None:
        """Tell the other side of each that no more answers come."""
        for connection, _ in self._open:
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def wait_for(self, condition: Callable[[Scripted], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < end, f"it did not happen: {self.requests}"
            time.sleep(0.01)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._open.append((connection, thread))
            thread.start()

    def _next(self) -> Play:
        with self._lock:
            play = self.plays[min(self._turn, len(self.plays) - 1)]
            self._turn += 1
            return play

    def _serve(self, connection: socket.socket) -> None:
        mine: list[bytes] = []
        self.connections.append(mine)
        received = b""
        try:
            while True:
                received, head = _until(connection, received, b"\r\n\r\n")
                play = self._next()
                place = len(self.requests)
                self.requests.append(head)
                mine.append(head)
                if not play.early:
                    received, body = _body(connection, head, received)
                    self.requests[place] = mine[-1] = head + body
                time.sleep(play.delay)
                pieces = [play.answer] if isinstance(play.answer, bytes) else play.answer
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(play.pause)
                if play.then == "keep":
                    continue
                if play.then == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                break
        except (OSError, EOFError):
            pass
        connection.close()


def _until(connection: socket.socket, received: bytes, mark: bytes) -> tuple[bytes, bytes]:
    while mark not in received:
        piece = connection.recv(65536)
        if not piece:
            raise EOFError
        received += piece
    head, _, rest = received.partition(mark)
    return rest, head + mark


def _body(connection: socket.socket, head: bytes, received: bytes) -> tuple[bytes, bytes]:
    """What follows the request, and its body as it came over the wire."""
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
    if length is not None:
        missing = int(length[1])
        while len(received) < missing:
            piece = connection.recv(65536)
            if not piece:
                raise EOFError
            received += piece
        return received[missing:], received[:missing]
    if b"chunked" not in head.lower():
        return received, b""
    body = b""
    while not body.endswith(b"\r\n0\r\n\r\n") and body != b"0\r\n\r\n":
        received, line = _until(connection, received, b"\r\n")
        body += line
        if int(line, 16) == 0:
            received, line = _until(connection, received, b"\r\n")
            return received, body + line
        while len(received) < int(line, 16) + 2:
            received += connection.recv(65536)
        body, received = body + received[: int(line, 16) + 2], received[int(line, 16) + 2 :]
    return received, body
