"""Each key of a TOML document is found where it stands. Oracles: the standard parser, and the text there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.config.toml_places import DEEPEST, line_and_column, nearest_place, places_of

BARE = st.text("abcXYZ019_-", min_size=1, max_size=6)
ODD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08X}" if character in '"\\' else character for character in text) + '"'


KEYS = st.one_of(BARE, ODD.map(quoted), st.text("abc.#[]=, ", max_size=5).map(lambda text: f"'{text}'"))
TRICKY = st.sampled_from(["", "#", "[x]", "a = 1", '"""', "'", "\\", "]", "}", ",", "\n[t]\n", 'a"b'])
BLANKS = st.sampled_from(["", " ", "\t ", "\n", '  # a ] comment = "\n', "\r\n"])
SPACES = st.sampled_from(["", " ", "\t"])
STRINGS = st.one_of(
    TRICKY.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'),
    TRICKY.map(lambda text: f'"""{text}'.replace("\\", "\\\\").replace('""""""', '"""\\"""') + ' """'),
    TRICKY.filter(lambda text: "'" not in text and "\n" not in text).map(lambda text: f"'{text}'"),
    TRICKY.filter(lambda text: "'" not in text).map(lambda text: f"'''{text}'''"),
    st.sampled_from(['"""a"""""', "''''b'''''", '""""c"""']),
)
PLAIN = st.sampled_from(["1", "-3.5e+2", "true", "1979-05-27 07:32:00Z", "1979-05-27", "inf", "0xff", "07:32:00"])


@st.composite
def lists(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(values, max_size=3))
    parts = [draw(BLANKS) + item + draw(BLANKS) for item in items]
    return "[" + ",".join(parts) + (draw(st.sampled_from(["", ", "])) if parts else "") + draw(BLANKS) + "]"


@st.composite
def pair(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    keys = (draw(SPACES) + "." + draw(SPACES)).join(draw(st.lists(KEYS, min_size=1, max_size=3)))
    return f"{keys}{draw(SPACES)}={draw(SPACES)}{draw(values)}"


@st.composite
def inline(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return "{" + ", ".join(draw(st.lists(pair(values), max_size=3))) + "}"


VALUES = st.recursive(STRINGS | PLAIN, lambda inner: lists(inner) | inline(inner), max_leaves=6)
HEADERS = st.builds(
    lambda keys, is_list, space: ("[[%s]]" if is_list else "[%s]") % (space + f"{space}.{space}".join(keys) + space),
    st.lists(KEYS, min_size=1, max_size=3),
    st.booleans(),
    SPACES,
)
LINES = st.one_of(pair(VALUES), HEADERS, st.just("# [comment] = 1"), st.just(""))
DOCUMENTS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "  # end\n"])), max_size=8).map(
    lambda lines: "".join(line + end for line, end in lines)
)


def paths(value: Any, path: str = "") -> Iterator[tuple[str, str | None, Any]]:
    """Every path of a document, with the key that it ends with, None for an item of a list."""
    if isinstance(value, dict):
        for key, below in value.items():
            inner = f"{path}.{key}" if path else key
            yield inner, key, below
            yield from paths(below, inner)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield f"{path}[{index}]", None, below
            yield from paths(below, f"{path}[{index}]")


def key_at(text: str, position: int) -> str:
    """The key that begins there."""
    found = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""").match(text, position)
    assert found is not None
    (key,) = tomllib.loads(f"{found[0]} = 1")
    return key


@given(DOCUMENTS)
def test_each_key_is_where_it_is_found(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    places = places_of(text)
    every = list(paths(document))
    if len({path for path, _, _ in every}) < len(every):
        return  # keys with dots in them, that have the path of others
    assert places.keys() == {path for path, _, _ in every}
    for path, key, value in every:
        if key is not None:
            assert key_at(text, places[path]) == key
        elif not isinstance(value, dict):
            line, column = line_and_column(text, places[path])
            assert text.split("\n")[line - 1][column - 1 :][:1] == text[places[path]]


DOCUMENT = """\
protect = ["POST /a",
  "POST /b"]  # two
provider.kind = 'x'
[in_process . cap]
puzzles = 3
[[in_process.sites]]
site_key = "a"
[[in_process.sites]]
"site_key" = "b"
secret = { env = "NAME" }
[in_process.sites.more]
[in_process]
mount = '''
[not]'''
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("protect", (1, 1)),
        ("protect[0]", (1, 12)),
        ("protect[1]", (2, 3)),
        ("protect[1].min_score", (2, 3)),
        ("provider", (3, 1)),
        ("provider.kind", (3, 10)),
        ("provider.secret", (3, 1)),
        ("in_process", (12, 2)),
        ("in_process.cap", (4, 15)),
        ("in_process.cap.puzzles", (5, 1)),
        ("in_process.sites", (6, 14)),
        ("in_process.sites[0]", (6, 14)),
        ("in_process.sites[0].secret", (6, 14)),
        ("in_process.sites[1].site_key", (9, 1)),
        ("in_process.sites[1].secret", (10, 1)),
        ("in_process.sites[1].secret.env", (10, 12)),
        ("in_process.sites[1].more", (11, 19)),
        ("in_process.mount", (13, 1)),
        ("not", None),
        ("", None),
    ],
)
def test_a_path_leads_to_its_key_or_to_the_table_that_lacks_it(path: str, place: tuple[int, int] | None) -> None:
    position = nearest_place(places_of(DOCUMENT), path)
    assert (None if position is None else line_and_column(DOCUMENT, position)) == place


def test_what_is_too_deep_is_passed_over() -> None:
    deep = "[" * (DEEPEST + 30) + "'a]', # ]\n" + "]" * (DEEPEST + 30)
    text = f"a = {deep}\nb = {{ c = 1 }}\n"
    assert tomllib.loads(text)["b"] == {"c": 1}
    assert line_and_column(text, places_of(text)["b.c"]) == (3, 7)
