"""GET captcha.js: our widget, for pages that use the gate's own challenges."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from caputchin_gate.endpoints.answers import method_not_allowed
from caputchin_gate.messages import Headers, RequestHead, Response


@cache
def widget_script() -> tuple[bytes, str]:
    """Our widget and its entity tag."""
    source = (Path(__file__).parent.parent / "captcha.js").read_bytes()
    return source, f'"{hashlib.sha256(source).hexdigest()[:16]}"'


def respond(head: RequestHead) -> Response:
    method = head.method.upper()
    if method not in ("GET", "HEAD"):
        return method_not_allowed("GET, HEAD")
    source, tag = widget_script()
    headers: Headers = (
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cache-Control", "public, max-age=3600"),
        ("ETag", tag),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    )
    if tag in (head.header("if-none-match") or ""):
        return Response(304, headers)
    return Response(200, (*headers, ("Content-Length", str(len(source)))), b"" if method == "HEAD" else source)
