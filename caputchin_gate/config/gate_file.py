"""Reads gate.toml, whatever is there instead: a list of problems, never a traceback, and never a wait without end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from caputchin_gate.config.bounded_file import content_of
from caputchin_gate.errors import ConfigurationError, Place, Problem

LARGEST: Final = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class GateFile:
    """What was typed into a file, and where."""

    name: str
    tables: dict[str, Any] = field(repr=False)
    text: str = field(default="", repr=False)

    def place_of(self, setting: str) -> Place:
        """Where a setting stands, or the table that lacks it. Only who has made a mistake waits for it."""
        from caputchin_gate.config.toml_places import line_and_column, nearest_place, places_of

        position = nearest_place(places_of(self.text), setting)
        return Place(self.name) if position is None else Place(self.name, *line_and_column(self.text, position))


def load(path: str | Path) -> GateFile:
    """The settings of a TOML file, as typed. Raises ConfigurationError when it is no readable TOML."""
    import tomllib  # only who has a file pays for it

    name = str(path)
    text = _text_of(name, _content_of(name))
    try:
        return GateFile(name, tomllib.loads(text), text)
    except tomllib.TOMLDecodeError as failure:
        raise _not_toml(name, text, str(failure)) from None
    except RecursionError:
        raise _unusable(name, "nests tables or lists too deep") from None
    except ValueError:  # the standard library reads no number of that many digits
        raise _unusable(name, "is not TOML: a number has too many digits") from None


def _content_of(name: str) -> bytes:
    try:
        content = content_of(name, LARGEST)
    except OSError as failure:
        raise _unusable(name, f"can't be read: {failure.strerror}") from None
    except ValueError:  # a NUL in its name
        raise _unusable(name, "can't be read: there is no such name") from None
    if len(content) > LARGEST:
        raise _unusable(name, f"is larger than {LARGEST // 2**20} MiB: no gate.toml is")
    return content


def _text_of(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        before = content[: failure.start]
        column = failure.start - (before.rfind(b"\n") + 1) + 1
        place = Place(name, before.count(b"\n") + 1, column)
        raise ConfigurationError([Problem("", "is not UTF-8 text", "save it as UTF-8", place=place)]) from None


def _not_toml(name: str, text: str, why: str) -> ConfigurationError:
    """The parser tells single characters and keys, never values. Keys are left out: one may be a secret misplaced."""
    why = re.sub(r"""\(['"].*['"],?\)""", "this", why, flags=re.DOTALL)
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", why, re.DOTALL)
    if found is None:
        return _unusable(name, f"is not TOML: {why}")
    if found[2]:
        line, column = int(found[2]), int(found[3])
    else:
        line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1
    return ConfigurationError([Problem("", f"is not TOML: {found[1]}", place=Place(name, line, column))])


def _unusable(name: str, what: str) -> ConfigurationError:
    return ConfigurationError([Problem("", what, place=Place(name))])
