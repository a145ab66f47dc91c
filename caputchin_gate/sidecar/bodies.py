"""Message bodies: reading the three framings strictly, and writing chunks.

A reader is fed what arrives and gives what it is made of: content, and what follows the end of the message. It keeps
nothing but a line of framing that is not complete yet. Pure, like `wire.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

LONGEST_EXTENSION: Final = 256  # of one chunk; they are read over (RFC 9112 7.1.1)
ALL_EXTENSIONS: Final = 16 * 1024
LONGEST_TRAILERS: Final = 8 * 1024
MOST_TRAILERS: Final = 16

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION: Final = rb";" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})((?:" + _EXTENSION + rb")*+)\r\n")
_FIELD: Final = _TOKEN + rb"(?::[\t\x20-\x7e\x80-\xff]*+"
_TRAILERS: Final = re.compile(rb"(?:" + _FIELD + rb"\r\n))*+\r\n")
_BEGUN_TRAILERS: Final = re.compile(rb"(?:" + _FIELD + rb"\r\n))*+(?:\r|" + _FIELD + rb"\r?)?)?")
_BEGUN_SIZE_LINE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}(?:;[\t\x20-\x7e\x80-\xff]*+)?\r?")
_FRAMES: Final = re.compile(rb"(?:\A|\n)(?:content-length|transfer-encoding|host):", re.IGNORECASE)  # RFC 9110 6.5.1

Step: TypeAlias = Callable[[bytes, int, list[bytes]], int]  # reads on from a position, and says how far


class BadFraming(Exception):
    """Bytes that are no framing. The message can't be read any further, and neither can the connection."""


class NoBody:
    """No body follows."""

    __slots__ = ()
    done: Final = True
    chunked: Final = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return b"", data


NO_BODY: Final = NoBody()


class FixedLength:
    """As many bytes as Content-Length says."""

    __slots__ = ("done", "length", "missing")
    chunked: Final = False

    def __init__(self, length: int) -> None:
        self.length = length
        self.missing = length
        self.done = not length

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of the data is content, and what follows the message."""
        size, missing = len(data), self.missing
        if size < missing:
            self.missing -= size
            return data, b""
        self.missing, self.done = 0, True
        return (data, b"") if size == missing else (data[:missing], data[missing:])


class UntilClose:
    """All that comes until the connection is closed: of responses alone, and `done` is what the connection knows."""

    __slots__ = ()
    done: Final = False
    chunked: Final = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class Chunked:
    """Chunks. Extensions and trailers are checked, counted and dropped.

    size -> content -> end of chunk -> size ... the size 0 -> trailers -> done
    """

    __slots__ = ("_extensions", "_kept", "_missing", "_step", "done")
    chunked: Final = True

    def __init__(self) -> None:
        self.done = False
        self._step: Step = self._size
        self._missing = 0  # of the content of this chunk
        self._extensions = 0
        self._kept = b""  # framing that is not complete yet

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of the data is content, and what follows the message. Raises BadFraming."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        content: list[bytes] = []
        position, size = 0, len(data)
        while position < size and not self.done:
            position = self._step(data, position, content)
        return content[0] if len(content) == 1 else b"".join(content), data[position:]

    def _size(self, data: bytes, position: int, content: list[bytes]) -> int:
        line = _SIZE_LINE.match(data, position)
        if line is None:
            if not _BEGUN_SIZE_LINE.fullmatch(data, position):
                raise BadFraming("a malformed chunk")
            return self._keep(data, position, LONGEST_EXTENSION + 16)
        extension = len(line[2])
        self._extensions += extension
        if extension > LONGEST_EXTENSION or self._extensions > ALL_EXTENSIONS:
            raise BadFraming("too long chunk extensions")
        self._missing = int(line[1], 16)
        self._step = self._content if self._missing else self._trailers
        return line.end()

    def _content(self, data: bytes, position: int, content: list[bytes]) -> int:
        piece = data[position : position + self._missing]
        content.append(piece)
        self._missing -= len(piece)
        if not self._missing:
            self._step = self._end_of_chunk
        return position + len(piece)

    def _end_of_chunk(self, data: bytes, position: int, content: list[bytes]) -> int:
        if data.startswith(b"\r\n", position):
            self._step = self._size
            return position + 2
        if data[position:] != b"\r":
            raise BadFraming("a chunk that does not end where its size says")
        return self._keep(data, position, 2)

    def _trailers(self, data: bytes, position: int, content: list[bytes]) -> int:
        section = _TRAILERS.match(data, position)
        if section is None:
            if not _BEGUN_TRAILERS.fullmatch(data, position):
                raise BadFraming("malformed trailers")
            return self._keep(data, position, LONGEST_TRAILERS)
        if len(section[0]) > LONGEST_TRAILERS or section[0].count(b"\n") > MOST_TRAILERS + 1:
            raise BadFraming("too many trailers")
        if _FRAMES.search(section[0]):
            raise BadFraming("a trailer that is about framing")
        self.done = True
        return section.end()

    def _keep(self, data: bytes, position: int, limit: int) -> int:
        """Keep the beginning of a line until more of it comes."""
        self._kept = data[position:]
        if len(self._kept) >= limit:
            raise BadFraming("a line that does not end")
        return len(data)


Reader: TypeAlias = NoBody | FixedLength | UntilClose | Chunked

LAST_CHUNK: Final = b"0\r\n\r\n"
