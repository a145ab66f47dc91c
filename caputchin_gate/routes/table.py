"""The rules, and which of them guards a request.

A request is guarded if any view of its target matches any rule (threats.md R1). The first matching rule of a view
counts; views that lead to rules with different terms make the target ambiguous, which is refused (R16). Nothing but
method, target and mount is looked at, except that override headers and `_method` add methods (R4, R14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeAlias, TypeVar

from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.messages import RequestHead
from caputchin_gate.routes.methods import (
    CHANGING,
    EVERY_METHOD,
    NAMED_METHODS,
    effective_methods,
    guarded_by,
    method_of,
)
from caputchin_gate.routes.path_patterns import PathPattern, PathTree, parse
from caputchin_gate.routes.target_views import fold, views_of

T = TypeVar("T")

_MOST_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One guarded route.

    match: "POST /t/{slug}/reply", "POST|PUT /x", "* /x" (every method), "/x" (every method but GET, HEAD, OPTIONS)
    terms: what the rule asks for; rules with equal terms are interchangeable
    method_override: a rule that names PUT, PATCH or DELETE guards POST too, because forms override their method
    own: the gate answers itself and the application never sees the request, so in its plain spelling the rule comes
        before all others, whatever their order and the mount (threats.md R41)
    if_needed: the rule is for what no earlier one guards, so it may have nothing left to match
    marked: the rule follows from a mark on a view, and its path may lead to other views too
    """

    match: str
    terms: T
    method_override: bool = True
    own: bool = False
    if_needed: bool = False
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Exempt:
    """A rule guards the request, and an exemption takes it out again."""

    match: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The target has readings that ask for different things, or too many readings: no browser sends it."""

    why: str


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A view of a target that the path of some rule matches.

    met:    the rules whose path it is, in the order in which they are asked
    counts: what decides about it for the request's method: the first rule for that, or an exemption; as typed
    """

    view: str
    met: tuple[Rule[T], ...]
    counts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Guard(Generic[T]):
    place: int
    rule: Rule[T]
    named: frozenset[str]
    methods: frozenset[str]  # the named ones, and those that lead to the same handler


@dataclass(frozen=True, slots=True)
class _Exemption:
    match: str
    methods: frozenset[str]
    pattern: PathPattern


# What the paths alone tell about a target: for each view the rules that match it, in order, and the exemptions.
_Row: TypeAlias = tuple[tuple[_Guard[T], ...], tuple[_Exemption, ...]]


@dataclass(frozen=True, slots=True)
class _Sighting(Generic[T]):
    usual: tuple[_Row[T], ...] = ()
    doubled: tuple[_Row[T], ...] = ()
    plain: bool = False
    complete: bool = True
    rulings: dict[frozenset[str], tuple[Rule[T] | Exempt | Ambiguous | None]] = field(default_factory=dict)


class RouteTable(Generic[T]):
    """All rules and exemptions. Raises ConfigurationError with every problem of them.

    temper: what the terms of a marked rule become where one that is not marked guards the request too
    """

    def __init__(
        self,
        rules: Sequence[Rule[T]],
        exempt: Sequence[str] = (),
        temper: Callable[[T, T], T] = lambda marked, other: marked,
    ) -> None:
        problems: list[Problem] = []
        self._temper = temper
        self.rules = tuple(rules)
        self._tree: PathTree[_Guard[T]] = PathTree()
        self._exemptions: PathTree[_Exemption] = PathTree()
        self._guarded_methods: frozenset[str] = frozenset()
        self._nothing: _Sighting[T] = _Sighting()
        self._remembered: dict[tuple[str, bytes | str | None, str], _Sighting[T]] = {}
        for place, rule in enumerate(rules):
            self._add_rule(place, rule, problems)
        for text in exempt:
            self._add_exemption(text, problems)
        if problems:
            raise ConfigurationError(problems)

    def untouched(self, path: str, raw_path: bytes | str | None, root_path: str) -> bool:
        """Whether no rule could guard this target, whatever the method and the headers."""
        sighting = self._remembered.get((path, raw_path, root_path))
        if sighting is None:
            sighting = self._look_up(path, raw_path, root_path)
        return sighting is self._nothing

    def match(self, head: RequestHead) -> Rule[T] | Exempt | Ambiguous | None:
        """What is to be done with a request; None when no rule guards it."""
        sighting = self._remembered.get((head.path, head.raw_path, head.root_path))
        if sighting is None:
            sighting = self._look_up(head.path, head.raw_path, head.root_path)
        if sighting is self._nothing:
            return None
        methods = effective_methods(head)
        if len(methods) > 1:  # clients choose the combinations, so they are not remembered
            return self._rule(sighting, methods)
        known = sighting.rulings.get(methods)
        if known is None:
            known = sighting.rulings[methods] = (self._rule(sighting, methods),)
        return known[0]

    def guards(self, rule: Rule[T], method: str) -> bool:
        """Whether a rule guards a method, whatever the path."""
        read = _read(rule.match, [])
        return read is not None and method_of(method) in guarded_by(read[1], rule.method_override)

    def readings(self, head: RequestHead) -> list[Reading[T]]:
        """Why `match` decides as it does: the views that meet rules. Empty where there are too many to look at."""
        views = views_of(head.path, head.raw_path, head.root_path)
        if views is None:
            return []
        methods = effective_methods(head)
        told: list[Reading[T]] = []
        for some in (views.usual, views.doubled):
            for view, row in self._rows(some, views.plain):
                picked = (pick for method in methods for pick in self._pick(row, method))
                counts = (pick.rule.match if isinstance(pick, _Guard) else pick.match for pick in picked)
                met = tuple(guard.rule for guard in row[0])
                told.append(Reading(view, met, tuple(dict.fromkeys(counts))))
            if any(reading.counts for reading in told):
                break
        return told

    def _rule(self, sighting: _Sighting[T], methods: frozenset[str]) -> Rule[T] | Exempt | Ambiguous | None:
        if not sighting.complete:
            return Ambiguous("the target has too many readings") if methods & self._guarded_methods else None
        for rows in (sighting.usual, sighting.doubled):
            picked = [pick for row in rows for method in methods for pick in self._pick(row, method)]
            if picked:
                return _agree(picked, sighting.plain)
        return None

    def _look_up(self, path: str, raw_path: bytes | str | None, root_path: str) -> _Sighting[T]:
        """What the paths tell about a target, remembered within bounds: clients choose the keys (threats.md R30)."""
        sighting = self._sight(path, raw_path, root_path)
        if len(path) + len(raw_path or "") + len(root_path) <= _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[path, raw_path, root_path] = sighting
        return sighting

    def _sight(self, path: str, raw_path: bytes | str | None, root_path: str) -> _Sighting[T]:
        views = views_of(path, raw_path, root_path)
        if views is None:
            return _Sighting(complete=False) if self._guarded_methods else self._nothing
        usual = tuple(row for _, row in self._rows(views.usual, views.plain))
        doubled = tuple(row for _, row in self._rows(views.doubled, views.plain))
        return _Sighting(usual, doubled, views.plain) if usual or doubled else self._nothing

    def _rows(self, views: Iterable[str], plain: bool) -> Iterator[tuple[str, _Row[T]]]:
        for view in views:
            if not view.startswith("/"):
                continue
            folded = fold(view)
            for reading in (view,) if view == folded else (view, folded):
                guards = self._tree.matching(reading)
                if guards:
                    exemptions = tuple(self._exempting(view)) if plain else ()
                    yield reading, (tuple(sorted(guards, key=_order)), exemptions)

    def _exempting(self, view: str) -> Iterator[_Exemption]:
        """The exemptions that match a view exactly as it was sent, letter case and last slash included (R16)."""
        for exemption in self._exemptions.matching(view):
            pattern = exemption.pattern
            if pattern.form.takes_rest or pattern.ends_with_slash == view.endswith("/"):
                yield exemption

    def _pick(self, row: _Row[T], method: str) -> Iterator[_Guard[T] | _Exemption]:
        """What one view has to say about one method: its first rule, or the exemption from it."""
        guards, exemptions = row
        first = next((guard for guard in guards if method in guard.methods), None)
        if first is None:
            return
        if not first.rule.own:
            for exemption in exemptions:
                if method in exemption.methods:
                    yield exemption
                    return
        yield self._tempered(first, guards, method) if first.rule.marked else first

    def _tempered(self, marked: _Guard[T], guards: Iterable[_Guard[T]], method: str) -> _Guard[T]:
        for other in guards:
            if method in other.methods and not other.rule.marked:
                terms = self._temper(marked.rule.terms, other.rule.terms)
                return replace(marked, rule=replace(marked.rule, terms=terms))
        return marked

    # Reading the configuration

    def _add_rule(self, place: int, rule: Rule[T], problems: list[Problem]) -> None:
        read = _read(rule.match, problems)
        if read is None:
            return
        pattern, named = read
        guard = _Guard(place, rule, named, guarded_by(named, rule.method_override))
        if not rule.own:
            in_vain = list(self._in_vain(guard, pattern))
            if in_vain and rule.if_needed:
                return
            problems += in_vain
        self._guarded_methods |= guard.methods
        for form in pattern.forms:
            self._tree.add(form, guard)

    def _in_vain(self, guard: _Guard[T], pattern: PathPattern) -> Iterator[Problem]:
        """The problem of a rule that never matches because earlier ones do."""
        before = self._tree.covering(pattern.form)
        named = frozenset[str]().union(*(earlier.named for earlier in before))
        guarded = frozenset[str]().union(*(earlier.methods for earlier in before))
        rules = ", ".join(repr(match) for match in dict.fromkeys(earlier.rule.match for earlier in before))
        if guard.named <= named:
            yield Problem(
                guard.rule.match, f"can never match, {rules} before it matches all of it", "remove or move it"
            )
        elif guard.named <= guarded and any(earlier.rule.terms != guard.rule.terms for earlier in before):
            what = f"can never match, {rules} before it guards its method too"
            yield Problem(guard.rule.match, what, "put it first, or set method_override = false on the other")

    def _add_exemption(self, text: str, problems: list[Problem]) -> None:
        read = _read(text, problems)
        if read is None:
            return
        pattern, methods = read
        if not any(methods & guard.methods for guard in self._tree.meeting(pattern.form)):
            problems.append(Problem(text, "exempts nothing, no rule guards it", "remove it, or check its spelling"))
        elif not pattern.plain:
            what = "can never match: only targets of letters, digits and -._~!$&'()*+,=:@ are exempted"
            problems.append(Problem(text, what, "put a variable where other characters stand"))
        else:
            self._exemptions.add(pattern.form, _Exemption(text, methods, pattern))


def _order(guard: _Guard[T]) -> tuple[bool, int]:
    return not guard.rule.own, guard.place


def _agree(picked: Sequence[_Guard[T] | _Exemption], plain: bool) -> Rule[T] | Exempt | Ambiguous:
    """What all views and methods together say. One guarded reading outweighs any number of exempt ones."""
    rules = [pick.rule for pick in sorted((pick for pick in picked if isinstance(pick, _Guard)), key=_order)]
    if not rules:
        return next(Exempt(pick.match) for pick in picked if isinstance(pick, _Exemption))
    if plain:
        for rule in rules:
            if rule.own:
                return rule
    first, *others = rules
    for other in others:
        if other.terms != first.terms:
            return Ambiguous(f"readings of the target match both {first.match!r} and {other.match!r}")
    return first


def _read(text: str, problems: list[Problem]) -> tuple[PathPattern, frozenset[str]] | None:
    """Path and methods of a rule or an exemption as typed, or None and its problems."""
    words = text.split(None, 1)
    if not words:
        problems.append(Problem(repr(text), "is empty", 'write a method and a path, as in "POST /contact"'))
        return None
    if len(words) == 1 and _is_methods(text):
        problems.append(Problem(text, "has no path", f'add it, as in "{words[0]} /contact"'))
        return None
    *methods, path = words
    before = len(problems)
    named = frozenset(_read_methods(methods[0], text, problems)) if methods else CHANGING
    pattern = parse(path.rstrip(), text, problems)
    return (pattern, named) if pattern is not None and len(problems) == before else None


def _is_methods(text: str) -> bool:
    return set(text.strip().upper().split("|")) <= NAMED_METHODS | {"*"}


def _read_methods(word: str, setting: str, problems: list[Problem]) -> Iterator[str]:
    for name in word.upper().split("|"):
        if name == "*":
            yield from EVERY_METHOD
        elif name in NAMED_METHODS:
            yield name
        else:
            problems.append(Problem(setting, f"unknown method {name!r}", nearest(name, NAMED_METHODS)))
