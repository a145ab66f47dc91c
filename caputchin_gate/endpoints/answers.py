"""What the protocols' own paths have in common on the wire: small bodies of JSON or forms, JSON answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from caputchin_gate.effects import BodyEnd, LastPiece, ReadBody
from caputchin_gate.messages import Headers, Response

MAX_BODY: Final = 64 * 1024
PREFLIGHT_AGE: Final = "600"

_JSON: Final[Headers] = (
    ("Content-Type", "application/json; charset=utf-8"),
    ("X-Content-Type-Options", "nosniff"),
)


async def json_body() -> dict[str, Any] | None:
    """The request's JSON object, None for anything else."""
    match await whole_body():
        case bytes() as body:
            return json_object(body)
        case _:
            return None


async def whole_body() -> bytes | BodyEnd | None:
    """The body within the limit, None if it is longer; else how it ended before its time."""
    body = bytearray()
    while True:
        match await ReadBody(MAX_BODY):
            case bytes() | LastPiece() as read:
                body += read if isinstance(read, bytes) else read.content
                if len(body) > MAX_BODY:
                    return None
                if isinstance(read, LastPiece):
                    return bytes(body)
            case BodyEnd.COMPLETE:
                return bytes(body)
            case end:
                return end


def json_object(body: bytes) -> dict[str, Any] | None:
    """A JSON object in UTF-8. Of a member that stands twice the first counts, at every depth."""
    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def answer(
    status: int, members: Mapping[str, Any], headers: Mapping[str, str] | None = None, cache: str = "no-store"
) -> Response:
    body = json.dumps(members, separators=(",", ":")).encode()
    own: Headers = (*_JSON, ("Cache-Control", cache))
    return Response(status, (*own, *(headers or {}).items(), ("Content-Length", str(len(body)))), body)


def refused(
    status: int,
    error_code: str,
    *,
    headers: Mapping[str, str] | None = None,
    retry_after: int | None = None,
    **members: Any,
) -> Response:
    """A refusal in captchaapi.eu's words, which are those of our own paths too."""
    sent = dict(headers or {})
    if retry_after is not None:
        sent["Retry-After"] = str(retry_after)
        members["retry_after"] = retry_after
    return answer(status, {"success": False, "error_code": error_code, **members}, sent)


def preflight(cors: Mapping[str, str], allowed_headers: str, methods: str = "POST, OPTIONS") -> Response:
    """The answer to OPTIONS: what a page of an allowed origin may send."""
    return Response(
        204,
        (
            *cors.items(),
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", allowed_headers),
            ("Access-Control-Max-Age", PREFLIGHT_AGE),
        ),
    )


def not_found() -> Response:
    return refused(404, "not_found")


def method_not_allowed(allow: str, headers: Mapping[str, str] | None = None) -> Response:
    return refused(405, "method_not_allowed", headers={**(headers or {}), "Allow": allow})
