"""From what was typed to what is used: reads gate.toml, a dict or keyword arguments, and finds every problem at once.

What each key means stands in `settings.py`. Nothing is ignored in silence: an unknown key is a problem too.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from caputchin_gate.asn import open_datacenters
from caputchin_gate.endpoints.siteverify.paths import RESERVED_SITE_KEYS
from caputchin_gate.endpoints.siteverify.test_keys import SECRETS as TEST_SECRETS
from caputchin_gate.endpoints.siteverify.test_keys import SITE_KEYS as TEST_SITE_KEYS
from caputchin_gate.engines.cap import SITE_KEY, Work
from caputchin_gate.engines.caputchin import LONGEST_SITE_KEY
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.hardening import Thresholds
from caputchin_gate.provider_tables import IN_PROCESS_KINDS, InProcessProvider, Provider, read_providers
from caputchin_gate.providers import Upstream
from caputchin_gate.routes import RouteTable, Rule
from caputchin_gate.settings import (
    ALTCHA,
    CAP,
    CAPUTCHIN,
    HARDENING,
    IN_PROCESS,
    LIMITS,
    ROUTE,
    SIDECAR,
    SIDECAR_TIMEOUTS,
    SIDECAR_TLS,
    SITE,
    TOP,
)
from caputchin_gate.tables import Table, list_of, read_table, table_of
from caputchin_gate.tokens import Source
from caputchin_gate.traffic import Watch


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


NOTHING_PROTECTED: Final = Problem("protect", "nothing is protected", 'add protect = ["POST /contact"]')

# What is kept as it was read, and not as it was typed: secrets stand there in the open.
_TABLES: Final = frozenset({"provider", "providers", "route", "protect", "in_process", "limits", "sidecar"})

# Not a setting: stands in the table of a route that need not match anything, because a marked view asks for no more
# than that some route guards it.
IF_NEEDED: Final = "if_needed"

# What a route may demand of a verdict beyond a yes, if the provider reports it.
DEMANDS: Final = ("hostnames", "action", "min_score", "max_score", "max_age")


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings, read and checked one by one. What only shows when they meet is checked by `gate.py`."""

    top: Table
    routes: tuple[Table, ...]
    providers: Mapping[str, Provider]
    default_provider: str
    in_process: Table
    sites: tuple[Table, ...]
    limits: Table
    sidecar: Table

    @property
    def has_receipts(self) -> bool:
        return any(of_route(route, self.top, "receipt") for route in self.routes)


def of_route(route: Table, top: Table, key: str) -> Any:
    """What was typed for a route, else for all of them; None where nothing was."""
    return route[key] if route[key] is not None else top.get(key)


def read(typed: Table, *, must_guard: bool = False) -> Configuration:
    """Read all settings. Raises ConfigurationError with every problem that was found.

    must_guard: whether settings without any route are a problem; not for a server that verifies for other back ends.
    """
    problems: list[Problem] = []
    top = read_table(typed, TOP, "", problems)
    in_process = read_table(table_of(top["in_process"], "in_process", problems), IN_PROCESS, "in_process.", problems)
    in_process["cap"] = _read_cap(in_process["cap"], problems)
    in_process["hardening"] = _read_hardening(in_process["hardening"], problems)
    altcha = table_of(in_process["altcha"], "in_process.altcha", problems)
    in_process["altcha"] = read_table(altcha, ALTCHA, "in_process.altcha.", problems)
    caputchin = table_of(in_process["caputchin"], "in_process.caputchin", problems)
    in_process["caputchin"] = read_table(caputchin, CAPUTCHIN, "in_process.caputchin.", problems)
    limits = read_table(table_of(top["limits"], "limits", problems), LIMITS, "limits.", problems)
    sidecar = _read_sidecar(table_of(top["sidecar"], "sidecar", problems), problems)
    sites = tuple(
        read_table(
            table_of(site, f"in_process.sites[{index}]", problems), SITE, f"in_process.sites[{index}].", problems
        )
        for index, site in enumerate(list_of(in_process["sites"], "in_process.sites", problems))
    )
    problems += _site_problems(sites)
    named, default = read_providers(top, problems)
    problems += _site_key_problems(named.values(), sites)
    routes = tuple(_read_routes(top, named, default, problems))
    problems += _route_problems(routes, top)
    problems += _receipt_problems(routes, top)
    problems += _forward_auth_problems(routes, top)
    verifies_for_others = any(site["secret"] for site in sites) and top["forward_auth"] is None
    if must_guard and not routes and not verifies_for_others:
        problems.append(NOTHING_PROTECTED)
    if problems:
        raise ConfigurationError(problems)
    top = {key: value for key, value in top.items() if key not in _TABLES}
    return Configuration(top, routes, named, default, in_process, sites, limits, sidecar)


def with_marked(configuration: Configuration, particular: Sequence[Route], plain: Sequence[Route]) -> Configuration:
    """The configuration with the routes of marked views: those with options of their own before all others, those
    without behind them, for what no other route guards. Raises ConfigurationError with every problem of them.
    """
    top, problems = configuration.top, list[Problem]()
    first, last = (
        tuple(
            _read_route(
                route.as_table(),
                f"view {route.match!r}",
                configuration.providers,
                configuration.default_provider,
                problems,
            )
            for route in routes
        )
        for routes in (particular, plain)
    )
    routes = (*first, *configuration.routes, *({**route, IF_NEEDED: True} for route in last))
    for find in (_route_problems, _receipt_problems, _forward_auth_problems):
        problems += find(routes, top)
    if problems:
        raise ConfigurationError(problems)
    return replace(configuration, routes=routes)


def load(path: str | Path) -> dict[str, Any]:
    """The settings of a TOML file, as typed. Raises ConfigurationError when it is no readable TOML."""
    import tomllib  # only who has a file pays for it

    name = Path(path).name
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as failure:
        raise ConfigurationError([Problem(name, f"can't be read: {failure.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([Problem(name, "is not UTF-8 text")]) from None
    except tomllib.TOMLDecodeError as failure:
        line = re.search(r"at line (\d+)", str(failure))
        where = f"{name}:{line[1]}" if line else name
        raise ConfigurationError([Problem(where, f"is not TOML: {failure}")]) from None


def _read_cap(typed: object, problems: list[Problem]) -> Table:
    """[in_process.cap]: its settings, with the work they amount to."""
    table = read_table(table_of(typed, "in_process.cap", problems), CAP, "in_process.cap.", problems)
    work = Work(**{key: table[key] for key in ("format", "puzzles", "salt_length", "difficulty", "squarings")})
    if (found := work.problem()) is not None:
        problems.append(Problem(f"in_process.cap.{found.setting}", found.what, found.fix))
    return {**table, "work": work}


def _read_sidecar(typed: Table, problems: list[Problem]) -> Table:
    """[sidecar] with its own tables. Without an upstream it is complete all the same: other doors don't look at it."""
    table = read_table(typed, SIDECAR, "sidecar.", problems)
    timeouts = table_of(table["timeouts"], "sidecar.timeouts", problems)
    table["timeouts"] = read_table(timeouts, SIDECAR_TIMEOUTS, "sidecar.timeouts.", problems)
    if table["tls"]:
        typed_tls = table_of(table["tls"], "sidecar.tls", problems)
        table["tls"] = read_table(typed_tls, SIDECAR_TLS, "sidecar.tls.", problems)
        for key in SIDECAR_TLS:
            if key not in typed_tls:
                problems.append(Problem(f"sidecar.tls.{key}", "is missing"))
    for address in table["upstream"]:
        if not (address.is_local or address.tls or table["allow_http"]):
            what = f"{address} is another machine, and everybody on the way could read and forge what goes there"
            fix = "use https:// or a Unix socket, or allow_http = true in a network of your own"
            problems.append(Problem("sidecar.upstream", what, fix))
    return table


def _site_problems(sites: Sequence[Table]) -> Iterable[Problem]:
    """A site is told by its key in pages and paths, and by its secret where other back ends verify."""
    for index, site in enumerate(sites):
        key, earlier = site["site_key"], sites[:index]
        where = f"in_process.sites[{index}]"
        if key is None:
            yield Problem(f"{where}.site_key", "is missing")
        elif key in {one["site_key"] for one in earlier}:
            yield Problem(f"{where}.site_key", "stands there twice")
        elif key in RESERVED_SITE_KEYS:
            yield Problem(f"{where}.site_key", f"{key!r} is a path of the gate's own", "choose another one")
        elif key in TEST_SITE_KEYS:
            yield Problem(f"{where}.site_key", "is one of the public test keys", "choose another one")
        if any(secret.reveal() in TEST_SECRETS for secret in site["secret"]):
            yield Problem(f"{where}.secret", "is one of the public test keys", "make one of your own")
        if not set(site["secret"]).isdisjoint(secret for one in earlier for secret in one["secret"]):
            yield Problem(f"{where}.secret", "is another site's too", "a secret has to tell whose tokens it verifies")


def _read_hardening(typed: object, problems: list[Problem]) -> Table:
    """[in_process.hardening]: its settings, with what is watched for them."""
    where = "in_process.hardening"
    table = read_table(table_of(typed, where, problems), HARDENING, f"{where}.", problems)
    thresholds = Thresholds(**{field.name: table[field.name] for field in dataclasses.fields(Thresholds)})
    watch = Watch(table["enabled"], thresholds, bad_after=table["bad_after"], remembered=table["bad_for"])
    if table["asn_database"] is not None:
        try:
            is_datacenter = open_datacenters(table["asn_database"], table["datacenter_asns"])
            watch = dataclasses.replace(watch, is_datacenter=is_datacenter)
        except ConfigurationError as failure:
            problems += failure.problems
    return {**table, "watch": watch}


def _site_key_problems(provided: Iterable[Provider], sites: Sequence[Table]) -> Iterable[Problem]:
    """The widgets of some kinds name their site in the path, and Caputchin's tokens name it."""
    kinds = {provider.kind for provider in provided if isinstance(provider, InProcessProvider)}
    for index, site in enumerate(sites):
        where, key = f"in_process.sites[{index}].site_key", site["site_key"]
        if key is not None and kinds & {"cap", "altcha"} and not SITE_KEY.fullmatch(key):
            yield Problem(where, "can't stand in a path", "use up to 64 letters, digits, '-' and '_'")
        elif key is not None and "caputchin" in kinds and len(key) > LONGEST_SITE_KEY:
            yield Problem(where, "is too long for a token", f"use up to {LONGEST_SITE_KEY} characters")


# Routes


def _read_routes(
    top: Table, named: Mapping[str, Provider], default: str, problems: list[Problem]
) -> Iterable[dict[str, Any]]:
    """Both forms of routes, in the order typed: the short ones first."""
    short = top["protect"]
    if isinstance(short, str | Route):
        short = (short,)
    for index, item in enumerate(list_of(short, "protect", problems)):
        where = f"protect[{index}]"
        match item:
            case str():
                yield _read_route({"match": item}, where, named, default, problems)
            case Route():
                yield _read_route(item.as_table(), where, named, default, problems)
            case _:
                problems.append(Problem(where, "is neither a text nor a Route"))
    for index, item in enumerate(list_of(top["route"], "route", problems)):
        where = f"route[{index}]"
        yield _read_route(table_of(item, where, problems), where, named, default, problems)


def _reported(provider: Provider | None) -> frozenset[str]:
    match provider:
        case InProcessProvider(kind=kind):
            return IN_PROCESS_KINDS[kind]
        case Upstream():
            return provider.reports
        case None:
            return frozenset()


def _route_problems(routes: Sequence[Table], top: Table) -> Iterable[Problem]:
    """What is wrong with the patterns, alone or together."""
    exempt = top["exempt"]
    rules = [
        Rule(route["match"], _terms_of(route, top), route["method_override"], if_needed=IF_NEEDED in route)
        for route in routes
        if route["match"] is not None
    ]
    places = {rule.match: f"route {rule.match!r}" for rule in rules} | {text: f"exempt {text!r}" for text in exempt}
    try:
        RouteTable(rules, exempt)
    except ConfigurationError as failure:
        return [Problem(places.get(found.setting, found.setting), found.what, found.fix) for found in failure.problems]
    return ()


def _terms_of(route: Table, top: Table) -> Table:
    """What tells two routes apart where a target has readings that match both. A receipt is good for one route."""
    match = route["match"] if of_route(route, top, "receipt") else None
    return {**route, "match": match, "method_override": None}


def _receipt_problems(routes: Sequence[Table], top: Table) -> Iterable[Problem]:
    fix = 'add receipt = "2m"'
    with_receipt = [bool(of_route(route, top, "receipt")) for route in routes]
    if top["receipt_uses"] is not None and not any(with_receipt):
        yield Problem("receipt_uses", "has no meaning without receipt", fix)
    for route, has_receipt in zip(routes, with_receipt, strict=True):
        if route["receipt_uses"] is not None and not has_receipt:
            yield Problem(f"route {route['match']!r}: receipt_uses", "has no meaning without receipt", fix)


def _forward_auth_problems(routes: Sequence[Table], top: Table) -> Iterable[Problem]:
    if top["forward_auth"] is None:
        return
    if not top["trusted_proxies"]:
        what = "believes trusted proxies alone, and there is none"
        yield Problem("forward_auth", what, "add the addresses that the proxy connects from to trusted_proxies")
    for route in routes:
        sources = of_route(route, top, "token_from")
        if sources is not None and not sources & {Source.HEADER, Source.QUERY, Source.COOKIE}:
            what = "names bodies alone, and forward-auth never sees one"
            yield Problem(f"route {route['match']!r}: token_from", what, 'add "header" or "cookie"')


def _read_route(
    typed: Table, where: str, named: Mapping[str, Provider], default: str, problems: list[Problem]
) -> dict[str, Any]:
    route = read_table(typed, ROUTE, f"{where}.", problems)
    if route["match"] is None:
        problems.append(Problem(f"{where}.match", "is missing", 'write it like "POST /contact"'))
    for name in route["provider"] or ():
        if name not in named and named:
            problems.append(Problem(f"{where}.provider", f"no provider is named {name!r}", nearest(name, named)))
    upstream = [named[name] for name in route["provider"] or () if isinstance(named.get(name), Upstream)]
    if len({provider.token_field for provider in upstream}) < len(upstream):
        problems.append(Problem(f"{where}.provider", "two providers share a token_field, the second is never asked"))
    if len(upstream) > 1 and route["json_pointer"] is not None:
        what = "names one place, and the provider that its token belongs to can't be told"
        problems.append(Problem(f"{where}.json_pointer", what, "leave it out: each provider has a key of its own"))
    for name in route["provider"] or (default,):
        reported = _reported(named.get(name))
        for key in DEMANDS:
            if route[key] and key not in reported and name in named:
                problems.append(Problem(f"{where}.{key}", f"is not reported by provider {name}", "remove it"))
    return route
