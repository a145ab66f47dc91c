"""Requests as a server hands them to an application: fresh strings each time, nothing shared between two requests."""

from __future__ import annotations

import io
from typing import Any

PEER = "203.0.113.9"
FORM = "application/x-www-form-urlencoded"


def scope_of(path: str, method: str = "GET", length: int | None = None) -> dict[str, Any]:
    """As uvicorn makes it."""
    raw_path = path.encode()
    headers = [(b"host", b"shop.example"), (b"user-agent", b"Mozilla/5.0 (benchmark)"), (b"accept", b"*/*")]
    if length is not None:
        headers += [(b"content-type", FORM.encode()), (b"content-length", str(length).encode())]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": (PEER, 50000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": raw_path.decode(),
        "raw_path": raw_path,
        "query_string": b"",
        "headers": headers,
        "state": {},
    }


def environ_of(path: str, method: str = "GET", body: bytes | None = None) -> dict[str, Any]:
    """As gunicorn makes it."""
    environ = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": "benchmark",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "",
        "RAW_URI": path.encode().decode("latin-1"),
        "REMOTE_ADDR": PEER,
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": "Mozilla/5.0 (benchmark)",
        "HTTP_ACCEPT": "*/*",
    }
    if body is not None:
        environ |= {"CONTENT_TYPE": FORM, "CONTENT_LENGTH": str(len(body))}
    return environ
