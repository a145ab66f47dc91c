"""From what was typed to what is used: reads gate.toml, a dict or keyword arguments, and finds every problem at once.

What each key means stands in `settings/`. Nothing is ignored in silence: an unknown key is a problem too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from caputchin_gate.asn import open_datacenters
from caputchin_gate.config.provider_tables import InProcessProvider, Provider, read_providers
from caputchin_gate.config.route_tables import GuardedRoute, Route, read_marked, read_routes, route_problems
from caputchin_gate.config.settings import SITE, TOP
from caputchin_gate.config.site_problems import site_problems
from caputchin_gate.config.tables import Table, read_table
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.hardening import Thresholds
from caputchin_gate.providers import Upstream
from caputchin_gate.traffic import Watch

NOTHING_PROTECTED: Final = Problem("protect", "nothing is protected", 'add protect = ["POST /contact"]')


# What is kept as it was read, and not as it was typed: secrets stand there in the open.
_READ_ELSEWHERE: Final = frozenset({"provider", "providers", "protect", "route"})


_DEFAULT_SITE: Final[Table] = {**{name: setting.default for name, setting in SITE.items()}, "site_key": "default"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings, read and checked. What only shows when they are put together is checked by `assembly.py`."""

    top: Table
    routes: tuple[GuardedRoute, ...]
    providers: Mapping[str, Provider]
    default_provider: str

    @property
    def in_process(self) -> Table:
        table: Table = self.top["in_process"]
        return table

    @property
    def sites(self) -> tuple[Table, ...]:
        sites: tuple[Table, ...] = self.in_process["sites"]
        return sites

    @property
    def sites_served(self) -> tuple[Table, ...]:
        """Without any in the settings one that needs no key."""
        return self.sites or (_DEFAULT_SITE,)

    @property
    def limits(self) -> Table:
        table: Table = self.top["limits"]
        return table

    @property
    def sidecar(self) -> Table:
        """Without an upstream it is complete all the same: other doors don't look at it."""
        table: Table = self.top["sidecar"]
        return table

    @property
    def has_receipts(self) -> bool:
        return any(route.option("receipt", self.top) for route in self.routes)

    @property
    def verifies_in_process(self) -> bool:
        return any(isinstance(provider, InProcessProvider) for provider in self.providers.values())

    @property
    def uses_store(self) -> bool:
        """Whether something is remembered: used tokens, receipts, or how often a client submitted."""
        return (
            self.has_receipts
            or self.limits["submissions_per_minute"] is not None
            or not all(isinstance(one, Upstream) and one.single_use for one in self.providers.values())
        )


def read(typed: Table, known: Sequence[Problem] = (), *, must_guard: bool = False) -> Configuration:
    """Read all settings. Raises ConfigurationError with every problem that was found.

    known: problems that were found before
    must_guard: whether settings without any route are a problem; not for a server that verifies for other back ends.
    """
    problems = list(known)
    top = read_table(typed, TOP, "", problems)
    own = top["in_process"]
    own["cap"]["work"] = _work(own["cap"], problems)
    own["hardening"]["watch"] = _watch(own["hardening"], problems)
    named, default = read_providers(top, problems)
    problems += site_problems(own["sites"], named.values())
    routes = read_routes(top, problems)
    problems += route_problems(routes, top, named, default)
    problems += _upstream_problems(top["sidecar"])
    problems += _listening_problems(top["sidecar"])
    verifies_for_others = any(site["secret"] for site in own["sites"]) and top["forward_auth"] is None
    if must_guard and not routes and not verifies_for_others and not any(map(_may_be_what_lacks, problems)):
        problems.append(NOTHING_PROTECTED)
    if problems:
        raise ConfigurationError(problems)
    return Configuration({key: top[key] for key in top if key not in _READ_ELSEWHERE}, routes, named, default)


def with_marked(configuration: Configuration, particular: Sequence[Route], plain: Sequence[Route]) -> Configuration:
    """The configuration with the routes of marked views: those with options of their own before all others, those
    without behind them, for what no other route guards. Raises ConfigurationError with every problem of them.
    """
    problems: list[Problem] = []
    first = read_marked(particular, problems)
    last = read_marked(plain, problems, if_needed=True)
    routes = (*first, *configuration.routes, *last)
    problems += route_problems(routes, configuration.top, configuration.providers, configuration.default_provider)
    if problems:
        raise ConfigurationError(problems)
    return dataclasses.replace(configuration, routes=routes)


def _may_be_what_lacks(problem: Problem) -> bool:
    """Whether a route, or a site whose tokens others verify, was typed and could not be read."""
    return problem.setting.startswith(("protect", "route", "in_process.sites"))


def _work(cap: Table, problems: list[Problem]) -> Work:
    """What the settings of [in_process.cap] amount to."""
    work = Work(**{key: cap[key] for key in ("format", "puzzles", "salt_length", "difficulty", "squarings")})
    if (found := work.problem()) is not None:
        problems.append(dataclasses.replace(found, setting=f"in_process.cap.{found.setting}"))
    return work


def _watch(hardening: Table, problems: list[Problem]) -> Watch:
    """What is watched for the settings of [in_process.hardening]."""
    thresholds = Thresholds(**{field.name: hardening[field.name] for field in dataclasses.fields(Thresholds)})
    watch = Watch(hardening["enabled"], thresholds, bad_after=hardening["bad_after"], remembered=hardening["bad_for"])
    if hardening["asn_database"] is not None:
        try:
            is_datacenter = open_datacenters(hardening["asn_database"], hardening["datacenter_asns"])
            watch = dataclasses.replace(watch, is_datacenter=is_datacenter)
        except ConfigurationError as failure:
            problems += failure.problems
    return watch


def _upstream_problems(sidecar: Table) -> Iterator[Problem]:
    for address in sidecar["upstream"]:
        if not (address.is_local or address.tls or sidecar["allow_http"]):
            what = f"{address} is another machine, and everybody on the way could read and forge what goes there"
            fix = "use https:// or a Unix socket, or allow_http = true in a network of your own"
            yield Problem("sidecar.upstream", what, fix)


def _listening_problems(sidecar: Table) -> Iterator[Problem]:
    """What would be found out when the second socket can't be opened, or when the sidecar asks itself for ever."""
    places = [address for address in sidecar["listen"] if address.path is not None or address.port]
    for number, address in enumerate(places):
        if address in places[:number]:
            yield Problem("sidecar.listen", f"{address} stands there twice", "once is enough")
    if sidecar["admin"] in places:
        yield Problem("sidecar.admin", f"{sidecar['admin']} is where clients connect", "give it a port of its own")
    for upstream in sidecar["upstream"]:
        if any(address.takes(upstream) for address in places):
            what = f"{upstream} is the sidecar itself, which listens there"
            yield Problem("sidecar.upstream", what, "name the address of the application")
