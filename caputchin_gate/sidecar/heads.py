"""Heads as they are written on either side: one framing, HTTP/1.1, and nothing that is for another hop. Pure."""

from __future__ import annotations

from typing import Final

from caputchin_gate.sidecar.bodies import NO_BODY, FixedLength
from caputchin_gate.sidecar.fields import without
from caputchin_gate.sidecar.wire import Request, Response

SWITCHING: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def request_head(request: Request, about_client: bytes, verdict: bytes, *, upgrading: bool) -> bytes:
    """For the application.

    about_client, verdict: lines that the relay writes itself; Host is among the first
    upgrading: whether it is a handshake that may become a WebSocket
    """
    body = request.body
    if body.chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
    else:
        framing = b"Content-Length: %d\r\n" % body.length if isinstance(body, FixedLength) else b""
    parts = (
        *(request.method, b" ", request.target, b" HTTP/1.1\r\n", about_client),
        *(without(request.nominated, request.lines), framing, SWITCHING if upgrading else b"", verdict, b"\r\n"),
    )
    return b"".join(parts)


def answer_head(response: Response, *, chunked: bool, cookie: str | None, closes: bool) -> bytes:
    """For the client.

    chunked: whether its body is sent in chunks of ours, where it has no length
    cookie:  a Set-Cookie of the gate, beside those of the application
    closes:  whether the connection ends with it
    """
    body, framing = response.body, b""
    if chunked:
        framing = b"Transfer-Encoding: chunked\r\n"
    elif isinstance(body, FixedLength):
        framing = b"Content-Length: %d\r\n" % body.length
    elif body is NO_BODY and response.length is not None and response.status != 204:
        framing = b"Content-Length: %b\r\n" % response.length
    parts = [b"HTTP/1.1 %d %b\r\n" % (response.status, response.reason), without(response.nominated, response.lines)]
    parts.append(framing)
    if cookie is not None:
        parts.append(b"Set-Cookie: %b\r\n" % cookie.encode("latin-1"))
    parts.append(b"Connection: close\r\n\r\n" if closes else b"\r\n")
    return b"".join(parts)


def interim_head(response: Response) -> bytes:
    """An informational response; the 101 of a WebSocket is one too."""
    lines = without(response.nominated, response.lines)
    switching = SWITCHING if response.status == 101 else b""
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (response.status, response.reason, lines, switching)
