"""Path patterns: the language of `/t/{slug}/reply`, and a tree that finds all patterns a path matches.

Patterns are ours, never regular expressions of a user (threats.md R3): literals mean themselves, `{name}` is one or
more characters other than a slash, whatever they are, and `{name:path}` at the end is the rest, be it empty.
Looking a path up costs the same with one pattern and with ten thousand: no step tries one pattern after another.

Nothing here knows methods (`methods.py`) or how targets are spelled (`target_views.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

from caputchin_gate.errors import Problem
from caputchin_gate.routes.target_views import PLAIN, decode, fold

V = TypeVar("V")

_VARIABLE: Final = "\0"  # stands for a variable while a pattern is taken apart
BRACES: Final = re.compile(r"\{([^{}]*)\}")
_REST: Final = re.compile(r"(?<=/)\{[^{}:]*:path\}\Z")
_UNSPELLABLE: Final = re.compile(r"[\s\x00-\x1f\x7f?#]")

# One segment of a pattern: its literal text, cut at the variables. `reply` is ("reply",), `{slug}` is ("", "").
Segment: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling of a pattern, taken apart. A slash at the end makes no difference (threats.md D3)."""

    segments: tuple[Segment, ...]
    takes_rest: bool


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern in the spelling that applications see (decoded), and in all spellings that views may have."""

    form: Form
    forms: tuple[Form, ...]
    plain: bool
    ends_with_slash: bool


def parse(text: str, setting: str, problems: list[Problem]) -> PathPattern | None:
    """The pattern that was typed, or None and its problems."""
    faults = list(_faults(text))
    if faults:
        problems += (Problem(setting, what, fix) for what, fix in faults)
        return None
    rest = _REST.search(text)
    literals = BRACES.sub(_VARIABLE, text[: rest.start()] if rest else text)
    spellings = (literals, _each_literal(decode, literals))
    forms = (_form(spelled, rest is not None) for word in spellings for spelled in (word, _each_literal(fold, word)))
    return PathPattern(
        form=_form(spellings[1], rest is not None),
        forms=tuple(dict.fromkeys(forms)),
        plain=PLAIN.fullmatch(literals.replace(_VARIABLE, "x")) is not None,
        ends_with_slash=text.endswith("/"),
    )


def _each_literal(change: Callable[[str], str], literals: str) -> str:
    return _VARIABLE.join(map(change, literals.split(_VARIABLE)))


def _form(literals: str, takes_rest: bool) -> Form:
    body = literals.strip("/")
    segments = body.split("/") if body else ()
    return Form(tuple(tuple(segment.split(_VARIABLE)) for segment in segments), takes_rest)


def _faults(text: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a pattern, and how to fix it."""
    if not text.startswith("/"):
        yield "the path does not begin with a slash", f"write {'/' + text!r}"
        return
    if "<" in text or ">" in text:
        yield "a variable is not written with < and >", "write {name}"
    if found := _UNSPELLABLE.search(text):
        yield f"{found[0]!r} can't stand in a path", "leave it out, or percent-encode it"
    if "\0" in decode(text):
        yield "%00 can't stand in a pattern", "leave it out"
    if set(BRACES.sub("x", text).removesuffix("/").split("/")[1:]) & {"", ".", ".."}:
        yield "the path has an empty or a dot segment", "write it as a browser would send it; other spellings match too"
    yield from _variable_faults(text)


def _variable_faults(text: str) -> Iterator[tuple[str, str]]:
    if re.search(r"[{}]", BRACES.sub("", text)):
        yield "the braces don't pair up", "write {name}; percent-encode braces that are meant literally"
        return
    rest = _REST.search(text)
    names = []
    for variable in BRACES.finditer(text):
        name, colon, converter = variable[1].partition(":")
        names.append(name)
        if not name.isidentifier():
            yield f"{name!r} is no name of a variable", "use a word, as in {name}"
        if not colon:
            continue
        if converter != "path":
            yield f"unknown converter {converter!r}", f"write {{{name}}} for a segment, {{{name}:path}} for the rest"
        elif rest is None or rest.start() != variable.start():
            yield f"{variable[0]} is not the whole last segment", f"move it to the end, or write {{{name}}}"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"the variable {name!r} occurs twice", "give each its own name"


# The tree


@dataclass(slots=True)
class _Node(Generic[V]):
    """Where the patterns meet that begin with the same segments."""

    literals: dict[str, _Node[V]] = field(default_factory=dict)
    # Segments with variables, by how long their first and last literals are, then by these literals themselves
    variables: dict[tuple[int, int], dict[tuple[str, str], dict[Segment, _Node[V]]]] = field(default_factory=dict)
    ending: list[V] = field(default_factory=list)
    taking_rest: list[V] = field(default_factory=list)

    def child(self, segment: Segment) -> _Node[V]:
        """The node behind a segment of a pattern, made when it is not there."""
        first, last = segment[0], segment[-1]
        if len(segment) == 1:
            return self.literals.setdefault(first, _Node())
        of_lengths = self.variables.setdefault((len(first), len(last)), {})
        return of_lengths.setdefault((first, last), {}).setdefault(segment, _Node())

    def variables_around(self, first: str, last: str) -> Iterator[tuple[Segment, _Node[V]]]:
        """The segments with variables that a text with this beginning and this end may match."""
        for (before, after), of_lengths in self.variables.items():
            if before <= len(first) and after <= len(last):
                key = (first[:before], last[len(last) - after :])
                yield from of_lengths.get(key, {}).items()

    def matching(self, text: str) -> Iterator[_Node[V]]:
        literal = self.literals.get(text)
        if literal is not None:
            yield literal
        if self.variables:
            for segment, node in self.variables_around(text, text):
                if _fits(segment, text):
                    yield node

    def covering(self, segment: Segment) -> Iterator[_Node[V]]:
        """The nodes that every text of this segment of another pattern leads to."""
        if len(segment) == 1:
            yield from self.matching(segment[0])
            return
        for own, node in self.variables_around(segment[0], segment[-1]):
            if own == segment or len(own) == 2:  # with a single variable, beginning and end decide
                yield node

    def meeting(self, segment: Segment) -> Iterator[_Node[V]]:
        """The nodes that some text of this segment of another pattern may lead to."""
        if len(segment) == 1:
            yield from self.matching(segment[0])
            return
        yield from (node for text, node in self.literals.items() if _fits(segment, text))
        for of_lengths in self.variables.values():
            for (first, last), nodes in of_lengths.items():
                one, other = sorted((first, segment[0]), key=len)
                tail, longer = sorted((last, segment[-1]), key=len)
                if other.startswith(one) and longer.endswith(tail):
                    yield from nodes.values()

    def below(self) -> Iterator[_Node[V]]:
        """This node and all that come after it."""
        yield self
        for node in self.literals.values():
            yield from node.below()
        for of_lengths in self.variables.values():
            for nodes in of_lengths.values():
                for node in nodes.values():
                    yield from node.below()


def _fits(segment: Segment, text: str) -> bool:
    """Whether a text is the literals in their order with at least one character for each variable between them.

    The leftmost place of each literal is as good as any later one, so there is nothing to try again.
    """
    first, *middle, last = segment
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for literal in middle:
        found = text.find(literal, at + 1, end)
        if found < 0:
            return False
        at = found + len(literal)
    return at < end


class PathTree(Generic[V]):
    """Values by path pattern."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Node[V] = _Node()

    def add(self, form: Form, value: V) -> None:
        node = self._root
        for segment in form.segments:
            node = node.child(segment)
        (node.taking_rest if form.takes_rest else node.ending).append(value)

    def matching(self, path: str) -> list[V]:
        """The values of all patterns that match the path, in no order."""
        body = path[1:].rstrip("/")
        nodes = [self._root]
        found = list(self._root.taking_rest)
        for text in body.split("/") if body else ():
            nodes = [child for node in nodes for child in node.matching(text)]
            if not nodes:
                return found
            for node in nodes:
                found += node.taking_rest
        for node in nodes:
            found += node.ending
        return found

    def covering(self, form: Form) -> list[V]:
        """The values of all patterns that match at least what this form matches."""
        nodes, found = self._walk(form, _Node.covering)
        if not form.takes_rest:
            for node in nodes:
                found += node.ending
        return found

    def meeting(self, form: Form) -> list[V]:
        """The values of all patterns that may match something that this form matches too; one may come twice."""
        nodes, found = self._walk(form, _Node.meeting)
        for node in nodes:
            for met in node.below() if form.takes_rest else (node,):
                found += met.ending
                found += met.taking_rest
        return found

    def _walk(
        self, form: Form, children: Callable[[_Node[V], Segment], Iterator[_Node[V]]]
    ) -> tuple[list[_Node[V]], list[V]]:
        """The nodes behind the last segment, and the values of the patterns that take the rest there or before."""
        nodes = [self._root]
        found = list(self._root.taking_rest)
        for segment in form.segments:
            nodes = [child for node in nodes for child in children(node, segment)]
            for node in nodes:
                found += node.taking_rest
        return nodes, found
