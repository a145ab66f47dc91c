"""The search for the token of one request: what its head tells at once, and which grammar reads its body.

Nothing here waits: the head comes as a value, the body piece by piece. How the pieces are cut changes no outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from caputchin_gate.messages import RequestHead
from caputchin_gate.tokens import content_type
from caputchin_gate.tokens.content_type import ContentType
from caputchin_gate.tokens.cookies import cookies
from caputchin_gate.tokens.json_body import JsonBody
from caputchin_gate.tokens.outcome import (
    AMBIGUOUS,
    Candidates,
    Outcome,
    Places,
    Refused,
    Source,
    unreadable,
)
from caputchin_gate.tokens.urlencoded import UrlencodedBody

if TYPE_CHECKING:
    from caputchin_gate.tokens.multipart import MultipartBody

TOKEN_HEADER: Final = "x-caputchin-token"
MAX_JSON: Final = 2**20

_FORM: Final = ContentType("application/x-www-form-urlencoded")
_COMPRESSED: Final = unreadable("a body with a content encoding", status=415)
_CHARSET: Final = unreadable("a body in another charset than UTF-8", status=415)
_CONTENT_TYPES: Final = unreadable("not exactly one well-formed Content-Type")
_BOUNDARY: Final = unreadable("a multipart body without one legal boundary")

Grammar: TypeAlias = "UrlencodedBody | MultipartBody | JsonBody"


class BodySearch:
    """A search that has to see the body."""

    __slots__ = ("_grammar", "_outcome")

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._outcome: Outcome | None = None

    def feed(self, piece: bytes) -> Outcome | None:
        """The outcome as soon as no further byte can change it, None as long as one can."""
        if self._outcome is None:
            self._outcome = self._grammar.feed(piece)
        return self._outcome

    def finish(self) -> Outcome:
        """The outcome of a body that is complete."""
        if self._outcome is None:
            self._outcome = self._grammar.finish()
        return self._outcome


def begin(head: RequestHead, places: Places, *, max_json: int = MAX_JSON) -> Outcome | BodySearch:
    """The outcome where the head alone decides, else a search to feed with the body."""
    candidates = Candidates()
    if places.header and TOKEN_HEADER in head.headers:
        values = head.headers[TOKEN_HEADER]
        if len(values) > 1 or "," in values[0]:  # WSGI servers join two by a comma; even equal ones are two (D2)
            return AMBIGUOUS
        candidates.add(None, values[0], Source.HEADER)
    has_header_token = bool(candidates)
    if places.query and head.query:
        query = UrlencodedBody(places, candidates, Source.QUERY)
        refused = query.feed(head.query.encode("latin-1", "replace"))
        if refused is not None:
            return refused
        query.finish()
    if places.cookie:
        _from_cookies(head.headers.get("cookie", ()), places, candidates)
    if head.body_seen and not has_header_token and (places.form or places.json):
        grammar = _grammar(head, places, candidates, max_json)
        if isinstance(grammar, Refused):
            return grammar
        if grammar is not None:
            return BodySearch(grammar)
    return candidates.outcome()


def _from_cookies(headers: Iterable[str], places: Places, candidates: Candidates) -> None:
    for field, value in cookies(headers):
        if field not in places.fields:
            continue
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if any(character in value for character in '",\\'):  # no cookie-octets (RFC 6265 4.1.1): read differently
            candidates.add_malformed(field, Source.COOKIE)
        else:
            candidates.add(field, value, Source.COOKIE)


def _grammar(head: RequestHead, places: Places, candidates: Candidates, max_json: int) -> Grammar | Refused | None:
    """How the body is read, None when it carries no token."""
    encodings = head.headers.get("content-encoding", ())
    if any(encoding.strip().lower() not in ("", "identity") for encoding in encodings):
        return _COMPRESSED
    kind = _content_type(head.headers.get("content-type", ()))
    if kind is None or isinstance(kind, Refused):
        return kind
    if places.form:
        if kind.media == "application/x-www-form-urlencoded":
            return UrlencodedBody(places, candidates) if kind.speaks_utf8 else _CHARSET
        if kind.media == "multipart/form-data":
            boundary = kind.boundary
            if boundary is None:
                return _BOUNDARY
            return _multipart(places, candidates, boundary) if kind.speaks_utf8 else _CHARSET
    if places.json and _is_json(kind.media):
        return JsonBody(places, candidates, max_json) if kind.speaks_utf8 else _CHARSET
    return None


def _multipart(places: Places, candidates: Candidates, boundary: bytes) -> MultipartBody:
    from caputchin_gate.tokens.multipart import MultipartBody  # brings its parser along: who has no uploads never pays

    return MultipartBody(places, candidates, boundary)


def _content_type(values: Sequence[str]) -> ContentType | Refused | None:
    """The one Content-Type of the body, None without any (threats.md R20)."""
    match values:
        case () | [] | [""]:
            return None
        case ["application/x-www-form-urlencoded"]:
            return _FORM
        case [value]:
            return content_type.read(value) or _CONTENT_TYPES
        case _:
            return _CONTENT_TYPES


def _is_json(media: str) -> bool:
    return media == "application/json" or media == "text/json" or media.endswith("+json")
