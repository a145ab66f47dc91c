"""Marked views: what `require_human` says about a view, the rule that follows from it, and what the view then demands.

    mark -> rule      `Gate.guarding` adds those of all marked views, so the check comes before view and body parsing
    mark -> demand    at the view: is there a decision that lets it run? If there is none, nobody has checked

Frameworks differ in how a view is marked and found; their doors do that and hand over `MarkedView`s.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict
from urllib.parse import quote

from caputchin_gate.config.route_tables import Route
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.events import tell
from caputchin_gate.verdict import Decision, Reason

MARK: Final = "__caputchin_gate_mark__"  # the attribute of what is marked

# What a mark asks nothing for unless it names them: the page that shows a form is often the view that takes it (D1).
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class MarkOptions(TypedDict, total=False):
    """The options of a mark: those of `Route` but for `match`, which follows from the view."""

    methods: Sequence[str]
    provider: str | Sequence[str]
    on_outage: Literal["refuse", "admit"]
    token_from: Sequence[str]
    json_pointer: str
    max_body: int | str
    max_memory: int | str
    hostnames: Sequence[str]
    action: str
    min_score: float
    max_score: float
    max_age: float | str
    method_override: bool
    back: str
    on_refuse: str
    receipt: float | str
    receipt_uses: int


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """What is asked for at a view.

    methods: those that a token is asked for, upper-case; None for all that the view answers but GET, HEAD and OPTIONS
    options: the route's own, as typed
    routes: the rules that have followed from it, as soon as a gate has found the view
    """

    methods: frozenset[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    routes: set[str] = field(default_factory=set)

    def decided(self, method: str, decision: Decision | None, view: str) -> Decision:
        """The decision about a request that has come to the view; where there is none, one that says why not."""
        if not self._asks(method):
            return decision if decision is not None else Decision(Reason.UNGUARDED, method=method)
        if decision is not None and self._takes(decision):
            return decision
        why = "the gate is not in front of it, or sees it on another path"
        if decision is not None:
            why = f"that of {decision.route!r} is for another view, which asks for something else on the same path"
        tell(logging.ERROR, "view-unguarded", f"view {view} was reached without a decision: {why}", view=view)
        return Decision(Reason.MISCONFIGURED, method=method, details=("no decision",))

    def _takes(self, decision: Decision) -> bool:
        """Where this view asks for something in particular, a decision by the rule of another one is none: frameworks
        choose among views by more than their paths tell, as whether a segment is a number.
        """
        is_other = bool(self.options) and bool(self.routes) and decision.route not in self.routes
        return not is_other or decision.route is None or decision.reason in (Reason.EXEMPT, Reason.REPORT_ONLY)

    def lets_run(self, decision: Decision) -> bool:
        """Whether the view may run. One that answers refusals itself says so in its mark, and gets the 403s alone."""
        return decision.admitted or (decision.status == 403 and self.options.get("on_refuse") == "pass")

    def _asks(self, method: str) -> bool:
        method = method.upper()
        if self.methods is None:
            return method not in SAFE
        return method in self.methods or (method == "HEAD" and "GET" in self.methods)

    def guarded(self, answered: frozenset[str] | None) -> frozenset[str] | None:
        """Which methods of a view the rule is for, of those that it answers; None where that is not known."""
        if self.methods is None:
            return answered - SAFE if answered is not None else None
        return self.methods if answered is None else self.methods & answered


def mark(options: MarkOptions | Mapping[str, Any]) -> Mark:
    """The mark with these options. Raises ConfigurationError for one that no route has."""
    named = dict(options)
    methods = named.pop("methods", None)
    if isinstance(methods, str):
        methods = methods.split("|")
    unknown = sorted(named.keys() - MarkOptions.__annotations__.keys())
    if unknown:
        raise ConfigurationError([Problem(f"require_human: {name}", "is no option of a route") for name in unknown])
    return Mark(frozenset(map(str.upper, methods)) if methods is not None else None, named)


@dataclass(frozen=True, slots=True)
class MarkedView:
    """One marked view on one path.

    name: how the application calls it, for messages
    path: its pattern in the language of routes (`pattern`)
    methods: what it answers, upper-case; None where the framework does not tell
    marked: what carries the mark, be it one view or a whole router: it may not be in vain
    """

    name: str
    path: str
    methods: frozenset[str] | None
    mark: Mark
    marked: Hashable


@dataclass(frozen=True, slots=True)
class Variable:
    """The variable part of a framework's path: within one segment, or across slashes."""

    crosses_slashes: bool = False


def pattern(pieces: Iterable[str | Variable]) -> str:
    """A framework's path in the language of routes. What that can't say is guarded too widely, never too narrowly."""
    path = ""
    for number, piece in enumerate(pieces):
        match piece:
            case str():
                path += re.sub(r"[\s%{}<>?#\x00-\x1f\x7f]", lambda found: quote(found[0]), piece)
            case Variable(crosses_slashes=True):
                return path[: path.rindex("/") + 1] + "{rest:path}"
            case Variable():
                path += f"{{variable{number}}}"
    return path or "/"


def rules_of(views: Iterable[MarkedView]) -> tuple[list[Route], list[Route]]:
    """The routes of marked views: those with options of their own, and those that only have to be guarded somehow.

    Raises ConfigurationError when a mark asks for nothing.
    """
    particular: list[Route] = []
    plain: list[Route] = []
    in_vain: dict[Hashable, MarkedView | None] = {}
    for view in views:
        methods = view.mark.guarded(view.methods)
        if methods is not None and not methods:
            in_vain.setdefault(view.marked, view)
            continue
        in_vain[view.marked] = None
        words = "|".join(sorted(methods)) if methods is not None else ""
        route = Route(f"{words} {view.path}".strip(), **view.mark.options)
        view.mark.routes.add(route.match)
        routes = particular if view.mark.options else plain
        if route not in routes:
            routes.append(route)
    problems = [_in_vain(view) for view in in_vain.values() if view is not None]
    if problems:
        raise ConfigurationError(problems)
    return particular, plain


def _in_vain(view: MarkedView) -> Problem:
    answered = ", ".join(sorted(view.methods or ()))
    what = f"answers {answered}, and its mark asks nothing for these"
    return Problem(f"view {view.name}", what, 'name what it shall ask for: require_human(methods=["GET"])')
