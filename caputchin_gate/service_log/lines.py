"""An event as one line, JSON or text, that holds nothing but printable characters and is written in one piece.

    {"time":"2026-05-04T09:08:07.123456Z","level":"info","event":"decision","message":"decision verified",...}
    2026-05-04T09:08:07.123456Z info decision verified route='POST /contact' provider=caputchin

A line that is longer than a pipe takes at once could be torn apart by another worker's, so its values are cut.
"""

from __future__ import annotations

import json
import select
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from caputchin_gate.events import Line

LONGEST: Final = select.PIPE_BUF

# time, process id, level, event, message, fields
Format: TypeAlias = Callable[[str, int, str, str, object, Mapping[str, Any]], bytes]

_CUTS: Final = (1000, 200, 40, 0)  # characters that are left of a value, until the line is short enough


def json_line(time: str, process_id: int, level: str, event: str, message: object, fields: Mapping[str, Any]) -> bytes:
    words = message.words if isinstance(message, Line) else str(message)
    members = {"time": time, "level": level, "event": event, "message": words, **fields, "pid": process_id}
    line = _encoded(members)
    cuts = iter(_CUTS)
    while len(line) >= LONGEST:
        most = next(cuts)
        line = _encoded({name: _cut(value, most) for name, value in members.items()})
    return line.encode("ascii") + b"\n"


def text_line(time: str, process_id: int, level: str, event: str, message: object, fields: Mapping[str, Any]) -> bytes:
    line = printable(f"{time} {level} {message}").encode()
    if len(line) >= LONGEST:
        line = line[: LONGEST - 4].decode(errors="ignore").encode() + b"..."
    return line + b"\n"


def printable(text: str) -> str:
    """Without anything that ends a line, moves a cursor or turns the direction of a text."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _cut(value: Any, most: int) -> Any:
    match value:
        case str() if len(value) > most:
            return value[:most] + "..."
        case tuple() | list():
            return [_cut(one, most) for one in value[: most // 10]]
        case _:
            return value


# Escapes all but printable ASCII. What is none of JSON's kinds of values is told as a text; none holds itself.
_encoded: Final = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode
