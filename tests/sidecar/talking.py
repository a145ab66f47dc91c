"""Several pieces on one connection, and all that comes back."""

from __future__ import annotations

import re
import socket
import time

from tests.wire import connect


def talk(port: int, *pieces: bytes, pause: float = 0.05, half_close: bool = False) -> bytes:
    """Send piece by piece, and read until the connection ends."""
    with connect(port) as connection:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause)
            try:
                connection.sendall(piece)
            except ConnectionError:
                break
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received


def statuses(received: bytes) -> list[int]:
    """Of all answers on a connection; nothing that the tests' bodies hold looks like one."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
