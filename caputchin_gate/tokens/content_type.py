"""The Content-Type header: one strict reading, so that nobody else can read it differently (threats.md R21, R23)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})=(?:({_TOKEN})|"([^"\\\x00-\x1f\x7f]*)")')
_MEDIA_TYPE: Final = re.compile(rf"{_TOKEN}/{_TOKEN}")
_END: Final = re.compile(r"[ \t]*;?[ \t]*")

# RFC 2046 5.1.1: 1 to 70 of these, and the last one is no blank.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")

_LONGEST: Final = 1024  # characters; a boundary has 70 at most

_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type in lower case, and its parameters by lower-case name."""

    media: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def speaks_utf8(self) -> bool:
        return self.parameters.get("charset", "utf-8").lower() in _UTF8

    @property
    def boundary(self) -> bytes | None:
        """The boundary of a multipart body, None when there is no legal one."""
        boundary = self.parameters.get("boundary", "")
        return boundary.encode("ascii") if _BOUNDARY.fullmatch(boundary) else None


def read(value: str) -> ContentType | None:
    """None when frameworks may differ about it: bad syntax, a parameter twice, continued or extended (RFC 2231).

    Nor is a very long one read.
    """
    if len(value) > _LONGEST:
        return None
    value = value.strip(" \t")
    media, semicolon, _ = value.partition(";")
    media = media.rstrip(" \t")
    if not _MEDIA_TYPE.fullmatch(media):
        return None
    if not semicolon:
        return ContentType(media.lower())
    parameters: dict[str, str] = {}
    place = len(media)
    while match := _PARAMETER.match(value, place):
        name, token, quoted = match.groups()
        name = name.lower()
        if name in parameters or "*" in name:
            return None
        parameters[name] = token if quoted is None else quoted
        place = match.end()
    if not _END.fullmatch(value, place):
        return None
    return ContentType(media.lower(), parameters)
