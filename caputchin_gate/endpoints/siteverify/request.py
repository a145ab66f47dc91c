"""Reads the request of a siteverify call, in every form that clients use (siteverify-server.md 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, Flag, auto
from typing import Any, Final
from urllib.parse import parse_qsl

from caputchin_gate.effects import BodyEnd
from caputchin_gate.endpoints.answers import MAX_BODY, json_object, whole_body
from caputchin_gate.messages import RequestHead
from caputchin_gate.tokens import content_type

MAX_FIELDS: Final = 1000
MAX_PART_HEADERS: Final = 16
BLANKS: Final = " \t\r\n"

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Form(Flag):
    """The forms that a request may have."""

    JSON = auto()
    URLENCODED = auto()
    MULTIPART = auto()
    QUERY = auto()


class Unread(Enum):
    """Why there are no fields."""

    MALFORMED = "malformed"
    TOO_LARGE = "too large"
    ENCODED = "encoded"
    NO_ROOM = "no room"


class NoText(Enum):
    """Why a field is no text that can be used."""

    MISSING = "missing"  # or empty, or null
    MALFORMED = "malformed"
    TOO_LONG = "too long"


Fields = Mapping[str, Any]


async def read_fields(head: RequestHead, forms: Form) -> Fields | Unread:
    """The fields of a request in one of `forms`. Of a name that stands twice the first counts."""
    if (head.header("content-encoding") or "identity").strip().lower() != "identity":
        return Unread.ENCODED
    match await whole_body():
        case b"" if Form.QUERY in forms and len(head.query) > MAX_BODY:
            return Unread.TOO_LARGE
        case b"" if Form.QUERY in forms and head.query:
            fields = _urlencoded(head.query)
        case bytes() as body:
            fields = _fields_in(body, head, forms)
        case None:
            return Unread.TOO_LARGE
        case BodyEnd.NO_ROOM:
            return Unread.NO_ROOM
        case BodyEnd():
            return Unread.MALFORMED
    return fields if fields is not None else Unread.MALFORMED


def text_of(fields: Fields, name: str, longest: int) -> str | NoText:
    """A field without the blanks around it."""
    match fields.get(name):
        case None:
            return NoText.MISSING
        case str() as typed:
            text = typed.strip(BLANKS)
            if not text:
                return NoText.MISSING
            return text if len(text) <= longest else NoText.TOO_LONG
        case _:
            return NoText.MALFORMED


def _fields_in(body: bytes, head: RequestHead, forms: Form) -> Fields | None:
    """None for a body that can't be read, or not in a form that is asked for."""
    typed = head.header("content-type") or ""
    match _form_of(typed, body) & forms:
        case Form.JSON:
            return json_object(body)
        case Form.URLENCODED:
            try:
                return _urlencoded(body.decode())
            except UnicodeDecodeError:
                return None
        case Form.MULTIPART:
            kind = content_type.read(typed)
            return _multipart(body, kind.boundary) if kind is not None and kind.boundary is not None else None
        case _:
            return None


def _form_of(typed: str, body: bytes) -> Form:
    """Clients that don't say what they send, or say it wrongly, are common."""
    match typed.partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            return Form.URLENCODED
        case "multipart/form-data":
            return Form.MULTIPART
        case "application/json":
            return Form.JSON
        case media if media.endswith("+json"):
            return Form.JSON
        case _:
            begins = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            return Form.JSON if begins == b"{" else Form.URLENCODED


def _urlencoded(text: str) -> Fields | None:
    if _BAD_ESCAPE.search(text):
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        return None
    return dict(reversed(pairs))


def _multipart(body: bytes, boundary: bytes) -> Fields | None:
    """The parts that are no files."""
    from multipart import MultipartError, MultipartSegment, PushMultipartParser  # few clients send this form

    fields: dict[str, str] = {}
    name, value = None, b""
    try:
        with PushMultipartParser(
            boundary, strict=True, max_segment_count=MAX_FIELDS, max_header_count=MAX_PART_HEADERS
        ) as parser:
            for event in parser.parse(body):
                match event:
                    case MultipartSegment():
                        name, value = event.name if event.filename is None else None, b""
                    case None:
                        if name is not None:
                            fields.setdefault(name, value.decode())
                    case piece:
                        value += piece if name is not None else b""
    except (MultipartError, UnicodeDecodeError):
        return None
    return fields
