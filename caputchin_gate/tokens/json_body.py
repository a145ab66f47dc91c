"""JSON bodies (threats.md R22): kept whole up to a limit, parsed once at the end, and forgotten."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, Final, NoReturn

from caputchin_gate.tokens.outcome import Candidates, Outcome, Places, Refused, Source, unreadable
from caputchin_gate.verdict import Reason

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 4300  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
MAX_VALUES: Final = 10_000  # commas and brackets: what a form or a program sends has hundreds

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")  # RFC 6901 4
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r\n"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")  # one deeper, one higher, as signed bytes

_TOO_LARGE: Final = Refused(Reason.BODY_TOO_LARGE, "JSON over the size limit")
_TOO_MANY: Final = Refused(Reason.BODY_TOO_LARGE, "JSON with too many values")
_TOO_DEEP: Final = unreadable("JSON nested too deeply")
_MALFORMED: Final = unreadable("malformed JSON")
_DUPLICATE: Final = unreadable("a JSON key twice on the way to the token")


class JsonBody:
    __slots__ = ("_body", "_candidates", "_max_size", "_places")

    def __init__(self, places: Places, candidates: Candidates, max_size: int) -> None:
        self._places = places
        self._candidates = candidates
        self._max_size = max_size
        self._body = bytearray()

    def feed(self, piece: bytes) -> Refused | None:
        if len(self._body) + len(piece) > self._max_size:
            return _TOO_LARGE
        self._body += piece
        return None

    def finish(self) -> Outcome:
        body = bytes(self._body)
        if body.strip(_BLANKS):
            refused = self._read(body)
            if refused is not None:
                return refused
        return self._candidates.outcome()

    def _read(self, body: bytes) -> Refused | None:
        refused = _too_costly(body)
        if refused is not None:
            return refused
        try:
            document = _parse(body)
        except (ValueError, RecursionError, MemoryError):
            return _MALFORMED
        places = self._places
        if places.steps:
            return self._follow(document, places.steps, places.fields[0]) if places.fields else None
        for field in places.fields:
            refused = self._follow(document, (field,), field)
            if refused is not None:
                return refused
        return None

    def _follow(self, value: Any, steps: tuple[str, ...], field: str) -> Refused | None:
        """Go down to the token. An object is a tuple of pairs here, so that a key that stands there twice is seen."""
        for step in steps:
            match value:
                case tuple():
                    found = [item for key, item in value if key == step]
                    if len(found) > 1:
                        return _DUPLICATE
                    value = found[0] if found else None
                case list() if (
                    step.isdecimal() and step.isascii() and str(int(step)) == step and int(step) < len(value)
                ):
                    value = value[int(step)]
                case _:
                    return None
        match value:
            case None:
                pass
            case str():
                self._candidates.add(field, value, Source.JSON)
            case _:
                self._candidates.add_malformed(field, Source.JSON)
        return None


def _parse(body: bytes) -> Any:
    return json.loads(
        body.removeprefix(_UTF8_MARK).decode("utf-8"),
        object_pairs_hook=tuple,
        parse_int=_read_integer,
        parse_float=bool,  # its value doesn't matter either, and reading a long one is dear
        parse_constant=_refuse_constant,
    )


def _read_integer(digits: str) -> int:
    """Its value doesn't matter, but Python's own frameworks stop at integers of this length."""
    if len(digits) > MAX_DIGITS:
        raise ValueError("an integer that Python does not read")
    return 0


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _too_costly(body: bytes) -> Refused | None:
    """Why the body is not even parsed: parsing costs by values, not by bytes. All loops over bytes run in C."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH and body.count(b",") <= MAX_VALUES // 2:
        return None
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body
    if unescaped.count(b'"') > 4 * MAX_VALUES:  # a key and a text for each
        return _TOO_MANY
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    brackets = outside_strings.translate(_STEPS, _NO_BRACKETS)
    if outside_strings.count(b",") + len(brackets) > MAX_VALUES:
        return _TOO_MANY
    return _TOO_DEEP if MAX_DEPTH + 1 in accumulate(memoryview(brackets).cast("b")) else None
