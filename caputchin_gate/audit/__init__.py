"""Which endpoints of an application no rule protects, and which rules protect nothing.

    applications.py   imports the application and looks through middleware and mounts
    own_gates.py      the gate that it has already
    starlette.py, flask.py, django.py   one file a framework: its routes as endpoints
    paths.py          an endpoint's path as targets that a client could send

The gate's own table is asked about each target and method, so the audit can't disagree with a door.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import quote

from caputchin_gate.audit.endpoints import WRITING, Endpoint
from caputchin_gate.audit.paths import AppPath, Variable
from caputchin_gate.errors import closest
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import OwnPath, Settings, Terms
from caputchin_gate.routes import Ambiguous, Exempt, RouteTable, Rule
from caputchin_gate.routes.path_patterns import BRACES

Table: TypeAlias = RouteTable[Terms | OwnPath]

_UNQUOTED: Final = "/!$&'()*+,;=:@~"


class Standing(StrEnum):
    """How an endpoint stands for some of its methods."""

    UNPROTECTED = "unprotected"
    PROTECTED = "protected"
    EXEMPT = "exempt"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Row:
    """Some methods of one endpoint that stand alike.

    rules:   what decides: the rules, the exemptions, or those rules that match its path and don't guard the methods
    targets: paths that lead to it, as they were asked about
    why:     in words, where something is amiss
    """

    standing: Standing
    methods: tuple[str, ...]
    path: str
    view: str
    rules: tuple[str, ...]
    targets: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]

    def standing(self, standing: Standing) -> list[Row]:
        return [row for row in self.rows if row.standing is standing]


def audit(endpoints: Iterable[Endpoint], settings: Settings, ignored: Sequence[str] = ()) -> Audit:
    """Ask about every endpoint that writes. ignored: patterns like those of rules. Raises ConfigurationError."""
    routes = settings.routes
    known = sorted(endpoints, key=lambda endpoint: str(endpoint.path))
    left_out = RouteTable([Rule(pattern, None) for pattern in ignored])
    rows = tuple(row for endpoint in known for row in _rows(endpoint, routes, left_out))
    trial = ('mode = "report": no request is refused',) if settings.report_only else ()
    warnings = (*trial, *_rules_in_vain(known, routes), *_redirected(known, routes), *_patterns_in_vain(rows, left_out))
    return Audit(rows, tuple(dict.fromkeys(warnings)))


def head_of(method: str, path: str) -> RequestHead:
    """A request for a path that a client has percent-encoded."""
    return RequestHead(method, path, quote(path, safe=_UNQUOTED))


# Endpoints


def _rows(endpoint: Endpoint, routes: Table, left_out: RouteTable[None]) -> Iterator[Row]:
    writing = [method for method in WRITING if method in endpoint.methods]
    targets = endpoint.path.targets()
    standings = {method: _standing(method, endpoint, targets, routes, left_out) for method in writing}
    for standing in dict.fromkeys(standings.values()):
        kind, rules, example = standing
        methods = tuple(method for method in writing if standings[method] == standing)
        why = _why(endpoint, rules, example) if kind is Standing.UNPROTECTED else ""
        yield Row(kind, methods, str(endpoint.path), endpoint.view, rules, targets, why)


def _standing(
    method: str, endpoint: Endpoint, targets: Sequence[str], routes: Table, left_out: RouteTable[None]
) -> tuple[Standing, tuple[str, ...], str | None]:
    """An endpoint is protected if all targets are: one that is not, the example, lets everybody in."""
    if method in endpoint.marked:
        return Standing.PROTECTED, ("require_human",), None
    heads = [head_of(method, target) for target in targets]
    found = [routes.match(head) for head in heads]
    if targets and all(isinstance(one, Rule | Ambiguous) for one in found):
        return Standing.PROTECTED, tuple(dict.fromkeys(one.match for one in found if isinstance(one, Rule))), None
    if targets and None not in found:
        return Standing.EXEMPT, tuple(dict.fromkeys(one.match for one in found if isinstance(one, Exempt))), None
    if targets and all(left_out.match(head) is not None for head in heads):
        return Standing.IGNORED, (), None
    met = (rule.match for head in heads for reading in routes.readings(head) for rule in reading.met)
    example = next((target for target, one in zip(targets, found, strict=True) if one is None), None)
    return Standing.UNPROTECTED, tuple(dict.fromkeys(met)), example


def _why(endpoint: Endpoint, rules: Sequence[str], example: str | None) -> str:
    if endpoint.opaque:
        return "an application that can't be looked into"
    if example is None:
        return "no example of its path could be made"
    words = []
    if rules:
        as_in = f", as in {example}" if example != str(endpoint.path) else ""
        words.append(f"not guarded by {', '.join(map(repr, rules))}{as_in}")
    if not endpoint.declared:
        words.append("the view answers to every method")
    return "; ".join(words)


# Rules


def _rules_in_vain(endpoints: Sequence[Endpoint], routes: Table) -> Iterator[str]:
    """Rules that no request to this application meets: mistyped, most likely."""
    counting = {
        match
        for endpoint in endpoints
        for target in endpoint.path.targets()
        for method in sorted(endpoint.methods)
        for reading in routes.readings(head_of(method, target))
        for match in reading.counts
    }
    paths = [str(endpoint.path) for endpoint in endpoints]
    for rule in routes.rules:
        if rule.own or rule.match in counting:
            continue
        path = rule.match.split()[-1]
        answering = [one for one in endpoints if any(map(one.path.finds, _pattern(path).targets()))]
        if any(routes.guards(rule, method) for one in answering for method in one.methods):
            continue
        if answering:
            yield f"rule {rule.match!r}: the application has this path, and answers to none of these methods there"
        else:
            nearest = closest(path, paths)
            meant = f"; did you mean {nearest!r}?" if nearest is not None else ""
            yield f"rule {rule.match!r} matches no route of the application{meant}"


def _pattern(path: str) -> AppPath:
    """The path of a rule as if it were an application's."""
    pieces: list[str | Variable] = []
    end = 0
    for found in BRACES.finditer(path):
        pieces += [path[end : found.start()], Variable(found[1], ".*" if found[1].endswith(":path") else "[^/]+")]
        end = found.end()
    return AppPath((*pieces, path[end:]))


def _redirected(endpoints: Sequence[Endpoint], routes: Table) -> Iterator[str]:
    """Rules in a spelling that the application redirects: a token is spent on the way (threats.md R42)."""
    own = {str(endpoint.path) for endpoint in endpoints}
    for endpoint in endpoints:
        if not endpoint.redirects:
            continue
        heads = [head_of(method, target) for target in endpoint.path.targets() for method in sorted(endpoint.methods)]
        rules = {match for head in heads for reading in routes.readings(head) for match in reading.counts}
        for match in sorted(rules):
            path = match.split()[-1]
            differs = path.endswith("/") != endpoint.path.ends_with_slash and not path.endswith(":path}")
            if differs and _other_slash(str(endpoint.path)) not in own:
                yield f"rule {match!r}: the application redirects {path} to {endpoint.path}: write it like that"


def _other_slash(path: str) -> str:
    return path.removesuffix("/") if path.endswith("/") else path + "/"


def _patterns_in_vain(rows: Sequence[Row], left_out: RouteTable[None]) -> Iterator[str]:
    """What shall be ignored and is not there, or needs no ignoring."""
    used = {
        reading.counts[0]
        for row in rows
        if row.standing is Standing.IGNORED
        for target in row.targets
        for method in row.methods
        for reading in left_out.readings(head_of(method, target))
        if reading.counts
    }
    for rule in left_out.rules:
        if rule.match not in used:
            yield f"--ignore {rule.match!r} leaves nothing out"
