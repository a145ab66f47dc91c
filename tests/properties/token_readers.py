"""How others read a body: plain reference readers of the three grammars, and the parsers of the frameworks.

The references are written over the complete body and for nothing but to be plain. Each gives what the search must
answer, in the words of `tests.tokens.searching.told`.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, unquote_to_bytes

from django.conf import UserSettingsHolder, global_settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from starlette.datastructures import Headers
from starlette.formparsers import FormParser as StarletteFormParser
from starlette.formparsers import MultiPartException
from starlette.formparsers import MultiPartParser as StarletteMultiPartParser
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from tests.tokens.searching import AMBIGUOUS, BOUNDARY, FIELD, MALFORMED, MISSING, OLD_FIELD, UNREADABLE, UNSUPPORTED

FIELDS = (FIELD, OLD_FIELD)
BAD = "\U0010ffff"  # stands for a value that can't be a token

Seen = list[tuple[str, str]]


def answer(seen: Seen) -> str:
    distinct = {(field, value.strip(" \t\r\n\v\f")) for field, value in seen}
    distinct = {pair for pair in distinct if pair[1]}
    if not distinct:
        return MISSING
    if len(distinct) > 1:
        return AMBIGUOUS
    ((_, value),) = distinct
    printable = all("!" <= character <= "~" for character in value)
    return value if printable and len(value) <= 16384 else MALFORMED


def urlencoded_reference(body: bytes) -> str:
    fields = body.split(b"&")
    if len(fields) > 1000:
        return UNREADABLE
    seen: Seen = []
    for field in fields:
        name, _, value = field.replace(b"+", b" ").partition(b"=")
        plain_name = unquote_to_bytes(name).decode("latin-1")
        if plain_name not in FIELDS:
            continue
        broken = re.search(rb"%(?![0-9a-fA-F]{2})", value)
        too_long = len(value) > 3 * 16384
        seen.append((plain_name, BAD if broken or too_long else unquote_to_bytes(value).decode("latin-1")))
    return answer(seen)


def json_reference(body: bytes) -> str:
    if not body.strip(b" \t\r\n"):
        return MISSING
    depth = deepest = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            in_string = escaped or byte != ord('"')
            escaped = byte == ord("\\") and not escaped
        elif byte == ord('"'):
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > 64:
        return UNREADABLE
    repeated: list[str] = []

    def with_repetitions(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated[:] = [name for name in names if names.count(name) > 1]  # in the end: those of the outermost object
        return dict(pairs)

    try:
        text = body.decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=with_repetitions, parse_constant=lambda _: json.loads(""))
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(document, dict):
        return MISSING
    if set(repeated) & set(FIELDS):
        return UNREADABLE
    values = [(field, document.get(field)) for field in FIELDS]
    return answer([(field, value if isinstance(value, str) else BAD) for field, value in values if value is not None])


def multipart_reference(body: bytes) -> str:
    if not body:
        return MISSING
    before, *parts = body.split(b"--" + BOUNDARY.encode())
    if not parts or (before and not before.endswith(b"\r\n")) or like_a_part(before) or len(before) > 8192:
        return UNREADABLE
    seen: Seen = []
    for number, part in enumerate(parts):
        if part.startswith(b"--"):
            after = (b"--" + BOUNDARY.encode()).join([part[2:], *parts[number + 1 :]])
            harmless = not after or after[:1] in b" \t\r\n\v\f"
            return answer(seen) if harmless and not like_a_part(after) and len(after) <= 8192 else UNREADABLE
        head, blank_line, content = part[2:].partition(b"\r\n\r\n")
        if number == 1000 or not part.startswith(b"\r\n") or not blank_line:
            return UNREADABLE
        kind = read_head(head)
        if kind in (UNREADABLE, UNSUPPORTED):
            return kind
        if kind == "file" and answer(seen) != MISSING:
            return answer(seen)
        if number == len(parts) - 1 or not content.endswith(b"\r\n"):
            return UNREADABLE
        if kind in FIELDS:
            value = content[:-2]
            seen.append((kind, BAD if len(value) > 16384 else value.decode("latin-1")))
    return UNREADABLE


def like_a_part(text: bytes) -> bool:
    return b"content-disposition" in text.lower() or any(line.startswith(b"--") for line in re.split(rb"[\r\n]", text))


def read_head(head: bytes) -> str:
    """Which token's field a part is, "file", "other", or why it is refused."""
    lines = head.split(b"\r\n")
    if len(lines) > 16 or len(head) + 2 > 8192:
        return UNREADABLE
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not re.fullmatch(rb"[A-Za-z0-9-]+", name) or any(byte < 32 or byte == 127 for byte in line):
            return UNREADABLE
        try:
            headers.append((name.decode().lower(), value.decode().lstrip(" ")))
        except UnicodeDecodeError:
            return UNREADABLE
    dispositions = [value for name, value in headers if name == "content-disposition"]
    if len(dispositions) != 1:
        return UNREADABLE
    match = re.fullmatch(r'form-data; ?name="([^"\\]*)"(?:; ?filename="([^"]*)")?', dispositions[0])
    if match is None or (match[2] or "").endswith("\\"):
        return UNREADABLE
    readings = {match[1], match[1].strip(), unquote(match[1])}
    if readings & set(FIELDS):
        if len(readings) > 1 or match[2] == "":
            return UNREADABLE
        if match[2] is None:
            if any(name == "content-transfer-encoding" for name, _ in headers):
                return UNREADABLE
            charsets = [value for name, value in headers if name == "content-type" and "charset" in value]
            return UNSUPPORTED if any("utf-8" not in charset for charset in charsets) else match[1]
    return "other" if match[2] is None else "file"


# What the frameworks give an application: the values in the field, or None when they refuse the body.

Reader = Callable[[bytes, str], list[str] | None]


def werkzeug_reader(body: bytes, content_type: str) -> list[str] | None:
    media, options = parse_options_header(content_type)
    try:
        _, form, _ = FormDataParser(silent=False, max_form_memory_size=500_000, max_form_parts=1000).parse(
            BytesIO(body), media, len(body), options
        )
    except (ValueError, HTTPException):
        return None
    return form.getlist(FIELD)


class _Forget(FileUploadHandler):
    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        return None

    def file_complete(self, file_size: int) -> None:
        return None


def django_reader(body: bytes, content_type: str) -> list[str] | None:
    settings = UserSettingsHolder(global_settings)  # Django's own, without configuring it for other tests
    with patch("django.http.request.settings", settings), patch("django.http.multipartparser.settings", settings):
        try:
            if content_type.startswith("multipart/"):
                meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body))}
                form, _ = MultiPartParser(meta, BytesIO(body), [_Forget()], "utf-8").parse()
            else:
                form = QueryDict(body, encoding="utf-8")
        except (MultiPartParserError, SuspiciousOperation):
            return None
    values: list[str] = form.getlist(FIELD)
    return values


def starlette_reader(body: bytes, content_type: str) -> list[str] | None:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    parser = StarletteMultiPartParser if content_type.startswith("multipart/") else StarletteFormParser
    reading = parser(Headers({"content-type": content_type}), stream()).parse()  # type: ignore[arg-type]
    try:
        reading.send(None)
    except StopIteration as finished:
        return [value for value in finished.value.getlist(FIELD) if isinstance(value, str)]
    except MultiPartException:
        return None
    raise AssertionError("the parser waits for more than the body")


def json_reader(body: bytes, content_type: str) -> list[str] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = document.get(FIELD) if isinstance(document, dict) else None
    return [value] if isinstance(value, str) else []


FORM_READERS: dict[str, Reader] = {
    "werkzeug": werkzeug_reader,
    "django": django_reader,
    "starlette": starlette_reader,
}
