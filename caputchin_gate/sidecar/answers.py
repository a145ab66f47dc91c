"""What the relay answers itself, and how it is written. Nothing of a request gets into it (threats.md R34, R38)."""

from __future__ import annotations

import json
from http.client import responses
from typing import Final

from caputchin_gate.messages import Headers, RequestHead, Response
from caputchin_gate.refusals import NO_STORE, unavailable
from caputchin_gate.sidecar.wire import Unreadable

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def _plain(status: int, text: str, *more: tuple[str, str]) -> Response:
    """For clients that sent no request, or none that could be read: they have no language yet."""
    headers: Headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        *NO_STORE,
        ("X-Content-Type-Options", "nosniff"),
        *more,
    )
    return Response(status, headers, f"{status} {text}\n".encode())


def _problem(status: int, title: str) -> Response:
    """For programs (RFC 9457)."""
    members = {"type": "about:blank", "title": title, "status": status}
    headers: Headers = (("Content-Type", "application/problem+json"), *NO_STORE)
    return Response(status, headers, json.dumps(members).encode())


NOT_FOUND: Final = _problem(404, "Not Found")  # where no application stands behind the gate
WEBSOCKET_REFUSED: Final = _plain(403, "WebSockets are not open here")
TOO_MANY: Final = _plain(503, "Too many connections", ("Retry-After", "30"))
_NO_REQUESTS: Final = {
    status: _plain(status, text, *more)
    for status, text, *more in (
        (400, "Bad request"),
        (405, "Method not allowed", ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        (408, "Request timeout"),
        (414, "Target too long"),
        (417, "Expectation failed"),
        (431, "Header fields too large"),
        (501, "Not implemented"),
        (505, "HTTP version not supported"),
    )
}


def no_request(unreadable: Unreadable) -> Response:
    """To what could not be read as a request."""
    return _NO_REQUESTS[unreadable.status]


def failure(status: int, head: RequestHead) -> Response:
    """To a request that broke off (400, 408), or that the application did not answer (502, 504)."""
    if status in _NO_REQUESTS:
        return _NO_REQUESTS[status]
    return unavailable(status, head)


def written(response: Response, method: bytes, *, closes: bool) -> bytes:
    """An answer of ours as it goes over the wire."""
    bodiless = response.status in (204, 304)
    lines = [f"HTTP/1.1 {response.status} {responses[response.status]}"]
    lines += (f"{name}: {value}" for name, value in response.headers)
    if not bodiless and not any(name.lower() == "content-length" for name, _ in response.headers):
        lines.append(f"Content-Length: {len(response.body)}")
    if closes:
        lines.append("Connection: close")
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"
    return head if bodiless or method == b"HEAD" else head + response.body
