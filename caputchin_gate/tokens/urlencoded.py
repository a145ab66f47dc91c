"""application/x-www-form-urlencoded, read as it comes (threats.md R23); query strings are read by the same rules.

Only a field that may still be the token's is held; every other one is skipped without being decoded.
"""

from __future__ import annotations

from binascii import a2b_qp
from typing import Final

from caputchin_gate.tokens.outcome import MAX_TOKEN, Candidates, Outcome, Places, Refused, Source, unreadable

MAX_FIELDS: Final = 1000
MAX_VALUE: Final = 3 * MAX_TOKEN  # a token with every character escaped

_TOO_MANY: Final = unreadable("more than 1000 fields")


class UrlencodedBody:
    __slots__ = ("_candidates", "_field", "_held", "_last", "_places", "_separators_left", "_source")

    def __init__(self, places: Places, candidates: Candidates, source: Source = Source.FORM) -> None:
        self._places = places
        self._candidates = candidates
        self._source = source
        self._separators_left = MAX_FIELDS - 1
        self._field: str | None = None  # the token field that the current one is, as soon as its name is complete
        self._held: bytes | bytearray | None = b""  # what came of its name, then of its value; None: it is not ours
        self._last: tuple[str, bytes] | None = None  # a thousand equal fields are decoded once

    def feed(self, piece: bytes) -> Refused | None:
        first, *others = piece.split(b"&", self._separators_left + 1)
        if len(others) > self._separators_left:
            return _TOO_MANY
        self._separators_left -= len(others)
        self._continue_field(first)
        if others:
            self._end_field()
            last = others.pop()
            names = self._places.names
            for field in others:
                name, _, value = field.partition(b"=")
                if name in names or b"%" in name:
                    self._read_field(name, value)
            self._continue_field(last)
        return None

    def finish(self) -> Outcome:
        self._end_field()
        return self._candidates.outcome()

    def _read_field(self, name: bytes, value: bytes) -> None:
        field = self._own(name)
        if field is not None:
            self._add(field, value)

    def _continue_field(self, part: bytes) -> None:
        """Take the next bytes of a field that is ours, or may turn out to be."""
        if isinstance(self._held, bytearray):
            self._continue_value(self._held, part)
        elif self._held is not None:
            self._continue_name(self._held, part)

    def _continue_name(self, held: bytes, part: bytes) -> None:
        rest, equals, value = part.partition(b"=")
        name = held + rest
        if equals:
            self._field = self._own(name)
            self._held = None
            if self._field is not None:
                self._held = bytearray()
                self._continue_value(self._held, value)
        else:
            self._held = name if len(name) <= self._places.longest else None

    def _continue_value(self, held: bytearray, part: bytes) -> None:
        held += part
        if len(held) > MAX_VALUE:
            self._candidates.add_malformed(self._field, self._source)
            self._held = None

    def _end_field(self) -> None:
        if self._field is not None and self._held is not None:
            self._add(self._field, bytes(self._held))
        self._field = None
        self._held = b""

    def _own(self, name: bytes) -> str | None:
        """The token field that a name spells, compared after decoding. Field names hold no percent sign or blank."""
        names = self._places.names
        if b"%" in name and len(name) <= self._places.longest:
            return names.get(_unescape(name) or name)
        return names.get(name)

    def _add(self, field: str, value: bytes) -> None:
        if (field, value) == self._last or self._candidates.ambiguous:
            return
        self._last = (field, value)
        decoded = _unescape(value.replace(b"+", b" ")) if len(value) <= MAX_VALUE else None
        if decoded is None:
            self._candidates.add_malformed(field, self._source)
        else:
            self._candidates.add(field, decoded.decode("latin-1"), self._source)


def _unescape(escaped: bytes) -> bytes | None:
    """Percent-decoded bytes, None when an escape is broken.

    Quoted-printable differs in its sign and in escaped line ends only, and the standard library decodes it in C: a loop
    over escapes would make a value of nothing but escapes fifty times as dear. A broken escape makes the result longer.
    """
    if b"%" not in escaped:
        return escaped
    if b"%\n" in escaped or b"%\r" in escaped:
        return None
    decoded = a2b_qp(escaped.replace(b"=", b"=3D").replace(b"%", b"="))
    return decoded if len(decoded) == len(escaped) - 2 * escaped.count(b"%") else None
