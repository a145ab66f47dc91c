"""Requests as bytes on a socket, for what no well-behaved client sends."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from http.client import HTTPResponse

PATIENCE = 15.0  # seconds; a test that runs into it has failed


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def request_bytes(head: str, body: bytes, *, chunked: bool = False, close: bool = True) -> bytes:
    """A request from its first line, header lines and body, with Host and framing added."""
    line, *fields = head.split("\n")
    lines = [f"{line} HTTP/1.1", "Host: localhost", *fields]
    if close:
        lines.append("Connection: close")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        cut = max(1, len(body) // 3)
        pieces = [body[start : start + cut] for start in range(0, len(body), cut)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif body or line.split(" ", 1)[0] in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    finally:
        response.close()


def exchange(port: int, raw: bytes) -> Answer:
    """Send one request on a connection of its own; a server may answer before it has read everything."""
    with connect(port) as connection:
        try:
            connection.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_answer(connection, raw.split(b" ", 1)[0].decode())
