"""Reads the routes: patterns in `protect`, [[route]] tables, `Route` objects; and what is wrong with them together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from caputchin_gate.config.provider_tables import IN_PROCESS_KINDS, InProcessProvider, Provider
from caputchin_gate.config.settings import ROUTE
from caputchin_gate.config.tables import Table, list_of, read_table
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.providers import Upstream
from caputchin_gate.routes import RouteTable, Rule
from caputchin_gate.tokens import Source

# What a route may demand of a verdict beyond a yes, if the provider reports it.
DEMANDS: Final = ("hostnames", "action", "min_score", "max_score", "max_age")


@dataclass(frozen=True, slots=True)
class Route:
    """A protected route with options of its own; what is None follows the gate's settings.

    The options are the keys of a [[route]] table. Durations and sizes are typed with units ("2m", "64MiB") or as
    plain seconds and bytes.
    """

    match: str
    provider: str | Sequence[str] | None = None
    on_outage: Literal["refuse", "admit"] | None = None
    token_from: Sequence[str] | None = None
    json_pointer: str | None = None
    max_body: int | str | None = None
    max_memory: int | str | None = None
    hostnames: Sequence[str] | None = None
    action: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    max_age: float | str | None = None
    method_override: bool | None = None
    back: str | None = None
    on_refuse: str | None = None
    receipt: float | str | None = None
    receipt_uses: int | None = None

    def as_table(self) -> dict[str, Any]:
        pairs = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class GuardedRoute:
    """A route that was read.

    path:      where it was typed, as in `protect[1]`
    if_needed: it need not match anything: a marked view asks for no more than that some route guards it
    marked:    it is the route of a marked view
    """

    path: str
    table: Table
    if_needed: bool = False
    marked: bool = False

    @property
    def match(self) -> str:
        return str(self.table["match"])

    def option(self, key: str, top: Table) -> Any:
        """What was typed for the route, else for all of them; None where nothing was."""
        return self.table[key] if self.table[key] is not None else top.get(key)


def read_routes(top: Table, problems: list[Problem]) -> tuple[GuardedRoute, ...]:
    """Both forms of routes, in the order typed: the short ones first."""
    return tuple(GuardedRoute(path, table) for path, table in _tables(top, problems) if table["match"] is not None)


def _tables(top: Table, problems: list[Problem]) -> Iterator[tuple[str, Table]]:
    short = top["protect"]
    for index, item in enumerate(list_of((short,) if isinstance(short, str | Route) else short, "protect", problems)):
        path = f"protect[{index}]"
        match item:
            case str():
                yield path, read_table({"match": item}, ROUTE, path, problems)
            case Route():
                yield path, read_table(item.as_table(), ROUTE, path, problems)
            case _:
                problems.append(Problem(path, "is neither a text nor a Route"))
    yield from ((f"route[{index}]", table) for index, table in enumerate(top["route"]))


def read_marked(views: Iterable[Route], problems: list[Problem], *, if_needed: bool = False) -> Iterator[GuardedRoute]:
    """The routes of marked views."""
    for route in views:
        path = f"view {route.match!r}"
        yield GuardedRoute(path, read_table(route.as_table(), ROUTE, path, problems), if_needed, marked=True)


# What is wrong with them


def route_problems(
    routes: Sequence[GuardedRoute], top: Table, named: Mapping[str, Provider], default: str
) -> Iterator[Problem]:
    for route in routes:
        yield from _provider_problems(route, named, default)
    yield from _pattern_problems(routes, top)
    yield from _receipt_problems(routes, top)
    yield from _forward_auth_problems(routes, top)


def _provider_problems(route: GuardedRoute, named: Mapping[str, Provider], default: str) -> Iterator[Problem]:
    """A route and the providers that its tokens may come from."""
    table = route.table
    for name in table["provider"] or ():
        if name not in named and named:
            yield Problem(f"{route.path}.provider", f"no provider is named {name!r}", nearest(name, named))
    upstream = [named[name] for name in table["provider"] or () if isinstance(named.get(name), Upstream)]
    if len({provider.token_field for provider in upstream}) < len(upstream):
        yield Problem(f"{route.path}.provider", "two providers share a token_field, the second is never asked")
    if len(upstream) > 1 and table["json_pointer"] is not None:
        what = "names one place, and the provider that its token belongs to can't be told"
        yield Problem(f"{route.path}.json_pointer", what, "leave it out: each provider has a key of its own")
    for name in table["provider"] or (default,):
        reported = _reported(named.get(name))
        for key in DEMANDS:
            if table[key] and key not in reported and name in named:
                yield Problem(f"{route.path}.{key}", f"is not reported by provider {name}", "remove it")


def _reported(provider: Provider | None) -> frozenset[str]:
    match provider:
        case InProcessProvider(kind=kind):
            return IN_PROCESS_KINDS[kind]
        case Upstream():
            return provider.reports
        case None:
            return frozenset()


def _pattern_problems(routes: Sequence[GuardedRoute], top: Table) -> Iterator[Problem]:
    """What is wrong with the patterns, alone or together."""
    rules = [
        Rule(route.match, _terms_of(route, top), route.table["method_override"], if_needed=route.if_needed)
        for route in routes
    ]
    try:
        RouteTable(rules, top["exempt"] if rules else ())  # without any, marked views are still to come, or it is told
    except ConfigurationError as failure:
        yield from where_typed(failure.problems, routes, top)


def where_typed(problems: Iterable[Problem], routes: Sequence[GuardedRoute], top: Table) -> Iterator[Problem]:
    """The problems of a table of routes, which names a pattern where the settings have a path."""
    paths = {text: f"exempt[{index}]" for index, text in enumerate(top["exempt"])}
    paths |= {route.match: route.path for route in routes}
    for problem in problems:
        path = paths.get(problem.setting, problem.setting)
        shown = "" if problem.setting in path else f"{problem.setting!r}:"
        yield dataclasses.replace(problem, setting=path, shown=shown)


def _terms_of(route: GuardedRoute, top: Table) -> Table:
    """What tells two routes apart where a target has readings that match both. A receipt is good for one route."""
    match = route.match if route.option("receipt", top) else None
    return {**route.table, "match": match, "method_override": None}


def _receipt_problems(routes: Sequence[GuardedRoute], top: Table) -> Iterator[Problem]:
    fix = 'add receipt = "2m"'
    if top["receipt_uses"] is not None and not any(route.option("receipt", top) for route in routes):
        yield Problem("receipt_uses", "has no meaning without receipt", fix)
    for route in routes:
        if route.table["receipt_uses"] is not None and not route.option("receipt", top):
            yield Problem(f"{route.path}.receipt_uses", "has no meaning without receipt", fix)


def _forward_auth_problems(routes: Sequence[GuardedRoute], top: Table) -> Iterator[Problem]:
    if top["forward_auth"] is None:
        return
    if not top["trusted_proxies"]:
        what = "believes trusted proxies alone, and there is none"
        yield Problem("forward_auth", what, "add the addresses that the proxy connects from to trusted_proxies")
    for route in routes:
        sources = route.option("token_from", top)
        if sources is not None and not sources & {Source.HEADER, Source.QUERY, Source.COOKIE}:
            what = "names bodies alone, and forward-auth never sees one"
            yield Problem(f"{route.path}.token_from", what, 'add "header" or "cookie"')
