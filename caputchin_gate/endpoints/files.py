"""Files that pages load from the gate: read once, served with an entity tag."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from caputchin_gate.endpoints.answers import method_not_allowed
from caputchin_gate.messages import Headers, RequestHead, Response

JAVASCRIPT: Final = "text/javascript; charset=utf-8"
WASM: Final = "application/wasm"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent; `tag` is its entity tag (RFC 9110, 8.8.3)."""

    content: bytes = field(repr=False)
    media_type: str
    tag: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", f'"{hashlib.sha256(self.content).hexdigest()[:16]}"')


def serve(file: File, head: RequestHead, more: Headers = ()) -> Response:
    """The file, or that the browser has it already."""
    if head.method.upper() not in ("GET", "HEAD"):
        return method_not_allowed("GET, HEAD")
    headers: Headers = (
        ("Content-Type", file.media_type),
        ("Cache-Control", "public, max-age=3600"),
        ("ETag", file.tag),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
        *more,
    )
    if file.tag in (head.header("if-none-match") or ""):
        return Response(304, headers)
    return Response(200, (*headers, ("Content-Length", str(len(file.content)))), file.content)
