"""One request, one answer: what the tests of the search share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from caputchin_gate.messages import RequestHead
from caputchin_gate.tokens import BodySearch, Found, Missing, Outcome, Places, begin
from caputchin_gate.verdict import Decision

FIELD = "caputchin-token"
OLD_FIELD = "g-recaptcha-response"
PLACES = Places((FIELD,))

URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"
BOUNDARY = "Bound4ry"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def request(content_type: str | None = None, query: str = "", **headers: str | tuple[str, ...]) -> RequestHead:
    named: dict[str, tuple[str, ...]] = {
        name.replace("_", "-"): (value,) if isinstance(value, str) else value for name, value in headers.items()
    }
    if content_type is not None:
        named["content-type"] = (content_type,)
    return RequestHead("POST", "/contact", query=query, headers=named)


def pieces_of(body: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The body cut into pieces of these sizes, and the rest as one."""
    start = 0
    for size in sizes:
        if start >= len(body):
            return
        yield body[start : start + size]
        start += size
    if start < len(body):
        yield body[start:]


def search(
    body: bytes, head: RequestHead | str, places: Places = PLACES, sizes: Iterable[int] = (), **limits: int
) -> Outcome:
    begun = begin(request(head) if isinstance(head, str) else head, places, **limits)
    if not isinstance(begun, BodySearch):
        return begun
    for piece in pieces_of(body, sizes):
        outcome = begun.feed(piece)
        if outcome is not None:
            return outcome
    return begun.finish()


def told(outcome: Outcome) -> str:
    """An outcome as the tables write it: the token, "missing", or the reason and the status of the refusal."""
    match outcome:
        case Found(candidate=candidate):
            return candidate.value
        case Missing():
            return "missing"
        case refused:
            decision = Decision(refused.reason, http_status=refused.status)
            return f"{refused.reason} {decision.status}"


def part(name: str, value: bytes | str, *more: str) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    headers = "".join(f"{line}\r\n" for line in (f'Content-Disposition: form-data; name="{name}"', *more))
    return f"--{BOUNDARY}\r\n{headers}\r\n".encode() + value + b"\r\n"


def file(content: bytes, name: str = "upload", filename: str = "a.bin") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/png\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


# An outcome by its name in the tables.
MISSING = "missing"
AMBIGUOUS = "token-ambiguous 400"
MALFORMED = "token-malformed 403"
UNREADABLE = "body-unreadable 400"
UNSUPPORTED = "body-unreadable 415"
TOO_LARGE = "body-too-large 413"
