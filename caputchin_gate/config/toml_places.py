"""Where each key of a TOML document stands: `in_process.sites[1].secret` is in line 12, column 1.

The parser of the standard library tells no positions. This is no second parser: it walks through a text that the first
one has accepted, and takes from it what stands where, never what it means.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

DEEPEST: Final = 20  # tables and lists in each other that are looked into

_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_DOT: Final = re.compile(r"[ \t]*\.[ \t]*")
_EQUALS: Final = re.compile(r"[ \t]*=[ \t]*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|' + r"'''.*?'''(?:'{0,2})|" + r'"(?:\\.|[^"\\])*"|' + r"'[^']*'", re.DOTALL
)
_BARE: Final = re.compile(r"[^,\]}\n#]*")
_NESTED: Final = re.compile(r"""[^\[\]{}"'#]+|#[^\n]*""")


def places_of(text: str) -> dict[str, int]:
    """The position in the text of every key and every item of a list, by its path. The text is valid TOML."""
    return _Walk(text).places


def nearest_place(places: dict[str, int], path: str) -> int | None:
    """The position of what a path names, else of the nearest table around it. None for the document itself."""
    while path:
        if path in places:
            return places[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return None


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Both begin with 1; a column is a character."""
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    line = bisect_right(lines, position)
    return line, position - lines[line - 1] + 1


class _Walk:
    def __init__(self, text: str) -> None:
        self.places: dict[str, int] = {}
        self._text = text
        self._at = 0
        self._tables: dict[str, int] = {}  # how many there are so far of each [[list]]
        table = ""
        self._skip(_BLANK)
        while self._at < len(text):
            if text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table, 0)
            self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        """What the pattern matches here is passed."""
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"no TOML at {self._at}")
        self._at = found.end()
        return found[0]

    def _keys(self) -> Iterator[tuple[str, int]]:
        """The parts of a dotted key, each with its position."""
        while True:
            start = self._at
            yield _plain(self._skip(_KEY)), start
            if not _DOT.match(self._text, self._at):
                return
            self._skip(_DOT)

    def _header(self) -> str:
        """[table] or [[list of tables]]: the path of what follows."""
        is_list = self._text.startswith("[[", self._at)
        self._at += 2 if is_list else 1
        self._skip(_BLANK)
        keys = list(self._keys())
        self._skip(_BLANK)
        self._at += 2 if is_list else 1
        path = ""
        for index, (key, position) in enumerate(keys, 1):
            path = _below(path, key)
            named = index == len(keys)
            if named and is_list:
                self.places.setdefault(path, position)
                count = self._tables.get(path, 0)
                self._tables[path] = count + 1
                path = f"{path}[{count}]"
            elif path in self._tables:
                path = f"{path}[{self._tables[path] - 1}]"
            if named:
                self.places[path] = position
            else:
                self.places.setdefault(path, position)
        return path

    def _pair(self, table: str, depth: int) -> None:
        path = table
        for key, position in self._keys():
            path = _below(path, key)
            self.places.setdefault(path, position)
        self._skip(_EQUALS)
        self._value(path, depth)

    def _value(self, path: str, depth: int) -> None:
        opening = self._text[self._at : self._at + 1]
        if opening in ("'", '"'):
            self._skip(_STRING)
        elif opening not in ("[", "{"):
            self._skip(_BARE)
        elif depth == DEEPEST:
            self._pass_over()
        else:
            self._inside(path, depth + 1, is_list=opening == "[")

    def _inside(self, path: str, depth: int, *, is_list: bool) -> None:
        """The items of a list, or the pairs of an inline table, and its end."""
        self._at += 1
        count = 0
        self._skip(_BLANK)
        while self._text[self._at] not in "]}":
            if is_list:
                self.places[f"{path}[{count}]"] = self._at
                self._value(f"{path}[{count}]", depth)
                count += 1
            else:
                self._pair(path, depth)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _pass_over(self) -> None:
        """A list or a table with all that is in it."""
        open_ones = 0
        while True:
            character = self._text[self._at]
            if character in "[{":
                open_ones += 1
            elif character in "]}":
                open_ones -= 1
            else:
                self._skip(_STRING if character in "\"'" else _NESTED)
                continue
            self._at += 1
            if not open_ones:
                return


def _plain(key: str) -> str:
    """A part of a key without its quotes."""
    if key[0] == "'":
        return key[1:-1]
    return str(tomllib.loads(f"key = {key}")["key"]) if key[0] == '"' else key


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
