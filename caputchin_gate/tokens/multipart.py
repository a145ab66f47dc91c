"""multipart/form-data (threats.md R21): one strict grammar, whose outcome is a property of the bytes.

The library `multipart` takes the body apart. What it leaves to the cutting into pieces or reads leniently is closed
here: what may stand before the first and after the last boundary, the syntax of header lines, and the boundary inside
other text, where some frameworks begin a new part.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from multipart import _BODY, _COMPLETE, MultipartError, ParserError, PushMultipartParser

from caputchin_gate.tokens import content_type
from caputchin_gate.tokens.outcome import MAX_TOKEN, Candidates, Outcome, Places, Refused, Source, unreadable

MAX_PARTS: Final = 1000
MAX_HEADERS: Final = 16
MAX_HEAD: Final = 8192
MAX_MARGIN: Final = 8192  # before the first boundary, and after the last one

_HEADER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x1f\x7f]*")

# RFC 7578 4.2 as browsers write it. A backslash before a quote is an escape to some frameworks and not to others.
_EXTENDED: Final = r"(?i:utf-8)'[A-Za-z0-9-]*'(?:%[0-9A-Fa-f]{2}|[A-Za-z0-9!#$&+.^_`|~-])+"
_DISPOSITION: Final = re.compile(
    rf'form-data; ?name="([^"\\]*)"(?:; ?filename="((?:[^"\\]|\\(?!"))*)")?(; ?filename\*={_EXTENDED})?'
)

# Django reads the text around the parts as parts, too, when it has this header.
_LIKE_A_PART: Final = re.compile(rb"(?:\A|[\r\n])--|content-disposition", re.IGNORECASE)

_MALFORMED: Final = unreadable("malformed multipart")
_MARGIN: Final = unreadable("text around the multipart body that could be a part")
_STRAY_BOUNDARY: Final = unreadable("a multipart boundary inside a part")
_DISPOSITIONS: Final = unreadable("a part without exactly one plain Content-Disposition")
_NAME: Final = unreadable("a part whose name is read differently by different frameworks")
_ENCODED: Final = unreadable("a transfer encoding on the token")
_CHARSET: Final = unreadable("the token in another charset than UTF-8", status=415)


class MultipartBody:
    __slots__ = (
        "_after",
        "_before",
        "_boundary",
        "_candidates",
        "_field",
        "_parser",
        "_places",
        "_reach",
        "_seam",
        "_skipping",
        "_value",
    )

    def __init__(self, places: Places, candidates: Candidates, boundary: bytes) -> None:
        self._places = places
        self._candidates = candidates
        self._boundary = b"--" + boundary
        self._parser = _StrictParser(boundary)
        self._before: bytes | None = b""  # what came before the first boundary; None once that was seen
        self._after: bytes | None = None  # what came after the last one; None as long as that was not seen
        self._field: str | None = None  # the token field whose part is being read
        self._value = bytearray()
        self._seam = b""  # the last bytes of a part's content, where the next piece may complete a boundary
        self._reach = len(self._boundary) + 3  # a boundary with the line ends around it, all but the last byte
        self._skipping = False  # the parser waits for the end of a part that isn't the token's

    def feed(self, piece: bytes) -> Outcome | None:
        if self._before is not None:
            piece = self._before + piece
            start = self._first_boundary(piece)
            if isinstance(start, Refused):
                return start
            self._before = piece if start is None else None
            if start is None:
                return None
            piece = piece[start:]
        if self._after is not None:
            self._after += piece
        elif piece := self._worth_reading(piece):
            try:
                outcome = self._read(piece)
            except MultipartError:
                return _MALFORMED
            if outcome is not None:
                return outcome
            self._after = self._parser.after_the_end()
            if self._field is None:
                self._skip_content()
        return _MARGIN if self._after is not None and len(self._after) > MAX_MARGIN else None

    def finish(self) -> Outcome:
        if self._before == b"":
            return self._candidates.outcome()  # no body at all
        if self._after is None:
            return _MALFORMED
        if self._after[:1].strip() or _LIKE_A_PART.search(self._after):
            return _MARGIN
        return self._candidates.outcome()

    def _first_boundary(self, body: bytes) -> int | Refused | None:
        """Where it begins, None as long as that is not known."""
        start = body.find(self._boundary)
        if start > MAX_MARGIN or (start < 0 and len(body) > MAX_MARGIN + len(self._boundary)):
            return _MARGIN
        if start < 0 or len(body) < start + len(self._boundary) + 2:
            return None
        before = body[:start]
        if before and (not before.endswith(b"\r\n") or _LIKE_A_PART.search(before)):
            return _MARGIN
        return start

    def _skip_content(self) -> None:
        """From here to the end of the part, look for the boundary only."""
        held_back = self._parser.give_up_content()
        if held_back is not None:
            self._skipping = True
            self._seam = (self._seam + held_back)[-self._reach :]

    def _worth_reading(self, piece: bytes) -> bytes:
        """What the parser needs to see: nothing of a part that isn't the token's, until a boundary shows up.

        A large file is searched once only by this, and copied never.
        """
        if not self._skipping:
            return piece
        reach = self._reach
        around_seam = self._seam + piece[:reach]
        if self._boundary in piece or self._boundary in around_seam:
            piece = self._seam + piece
            self._seam = b""
            self._skipping = False
            return piece
        self._seam = around_seam[-reach:] if len(piece) < reach else piece[-reach:]
        return b""

    def _read(self, piece: bytes) -> Outcome | None:
        for event in self._parser.parse(piece):
            if event is None:
                if self._field is not None:
                    self._end_token(self._field)
                continue
            outcome = self._continue_part(event) if isinstance(event, bytes) else self._begin_part(event)
            if outcome is not None:
                return outcome
        return None

    def _begin_part(self, part: _Part) -> Outcome | None:
        """The head of a part. That of a file ends the search when there is a token by then (threats.md R20)."""
        dispositions = [value for name, value in part.headers if name == "Content-Disposition"]
        match = _DISPOSITION.fullmatch(dispositions[0]) if len(dispositions) == 1 else None
        if match is None:
            return _DISPOSITIONS
        name, filename, extended = match.groups()
        is_file = filename is not None or extended is not None
        self._seam = b""
        if name in self._places.fields:
            if not is_file:
                self._field = name
                return self._check_headers(part.headers)
            if not filename:
                return _NAME  # a file to some, a field to others
        elif (unquote(name) if "%" in name else name).strip() in self._places.fields:
            return _NAME
        return self._candidates.outcome() if is_file and self._candidates else None

    def _check_headers(self, headers: list[tuple[str, str]]) -> Refused | None:
        for name, value in headers:
            if name == "Content-Transfer-Encoding":
                return _ENCODED
            if name == "Content-Type":
                kind = content_type.read(value)
                if kind is None or not kind.speaks_utf8:
                    return _CHARSET
        return None

    def _continue_part(self, content: bytes) -> Refused | None:
        reach = self._reach
        around_seam = self._seam + content[:reach]
        if self._boundary in content or self._boundary in around_seam:
            return _STRAY_BOUNDARY
        self._seam = around_seam[-reach:] if len(content) < reach else content[-reach:]
        if self._field is not None:
            self._value += content
            if len(self._value) > MAX_TOKEN:
                self._candidates.add_malformed(self._field, Source.FORM)
                self._field = None
                self._value.clear()
        return None

    def _end_token(self, field: str) -> None:
        self._candidates.add(field, self._value.decode("latin-1"), Source.FORM)
        self._field = None
        self._value.clear()


class _Part:
    """What the library needs to know of a part that it reads, and its header fields, names in title case."""

    __slots__ = ("bytes_received", "complete", "headers")

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self.headers = headers
        self.bytes_received = 0
        self.complete = False


class _StrictParser(PushMultipartParser):
    """The library's parser with our syntax of header lines, of which it tells only after having tidied them up."""

    def __init__(self, boundary: bytes) -> None:
        super().__init__(
            boundary,
            strict=True,
            max_segment_count=MAX_PARTS,
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEAD + 2,  # never reached before our own limit, which does not depend on the cutting
        )
        self._buffer: bytes
        self._mark = b"--" + boundary
        self._head_size = 0
        self._lines_checked = 0

    def _on_segment_headerline(self, line: bytes) -> None:
        self._head_size += len(line) + 2
        if self._head_size > MAX_HEAD or not _HEADER_LINE.fullmatch(line) or self._mark in line:
            raise ParserError("not our syntax")
        self._lines_checked += 1
        super()._on_segment_headerline(line)

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> _Part:
        if len(headerlist) != self._lines_checked:  # none goes unseen, whatever becomes of the library's inside
            raise ParserError("not our lines")
        self._head_size = self._lines_checked = 0
        self._segment_limit = -1  # a part's Content-Length: nobody goes by it, and skipped content would contradict it
        return _Part(headerlist)

    def after_the_end(self) -> bytes | None:
        """What follows the last boundary in the pieces so far, None as long as that has not come."""
        return self._buffer if self._state is _COMPLETE else None

    def give_up_content(self) -> bytes | None:
        """Inside the content of a part: what was held back because a boundary may begin there. Elsewhere None."""
        if self._state is not _BODY:
            return None
        held_back, self._buffer = self._buffer, b""
        return held_back
