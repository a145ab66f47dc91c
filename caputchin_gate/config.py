"""From what was typed to what is used: reads gate.toml, a dict or keyword arguments, and finds every problem at once.

What each key means stands in `settings.py`. Nothing is ignored in silence: an unknown key is a problem too.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from caputchin_gate import providers
from caputchin_gate.engines.cap import SITE_KEY, Work
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.providers import Upstream
from caputchin_gate.routes import RouteTable, Rule
from caputchin_gate.secret import Secret
from caputchin_gate.settings import (
    ALTCHA,
    CAP,
    IN_PROCESS,
    LIMITS,
    ROUTE,
    SITE,
    TOP,
    Setting,
    Wrong,
    duration,
    flag,
    secret,
    text,
)
from caputchin_gate.tokens import Places

# The kinds whose tokens the gate can issue and check itself, and what a route may demand of them.
IN_PROCESS_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "caputchin": frozenset({"action", "max_age"}),
    "captchaapi": frozenset({"action", "max_age"}),
    "cap": frozenset({"max_age"}),
    "altcha": frozenset({"action", "max_age"}),
}


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

    def as_table(self) -> dict[str, Any]:
        pairs = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class InProcessProvider:
    """A provider table with verification = "in-process"."""

    kind: str
    token_field: str


NOTHING_PROTECTED: Final = Problem("protect", "nothing is protected", 'add protect = ["POST /contact"]')

# What a route may demand of a verdict beyond a yes, if the provider reports it.
DEMANDS: Final = ("hostnames", "action", "min_score", "max_score", "max_age")

# The settings whose values may appear in a message. A store and an endpoint may hold a password, a secret is one.
_KEYS: Final = frozenset({*TOP, *ROUTE, *IN_PROCESS, *LIMITS, "timeout", "token_field", "kind"})
_SHOWN: Final = _KEYS - {"store", "signing_key", "provider", "providers", "sites", "in_process", "limits"}

Provider: TypeAlias = Upstream | InProcessProvider
Table: TypeAlias = Mapping[str, Any]


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


def read(typed: Table, *, must_guard: bool = False) -> Configuration:
    """Read all settings. Raises ConfigurationError with every problem that was found.

    must_guard: whether settings without any route are a problem.
    """
    problems: list[Problem] = []
    top = _read_table(typed, TOP, "", problems)
    in_process = _read_table(_table(top["in_process"], "in_process", problems), IN_PROCESS, "in_process.", problems)
    in_process["cap"] = _read_cap(in_process["cap"], problems)
    altcha = _table(in_process["altcha"], "in_process.altcha", problems)
    in_process["altcha"] = _read_table(altcha, ALTCHA, "in_process.altcha.", problems)
    limits = _read_table(_table(top["limits"], "limits", problems), LIMITS, "limits.", problems)
    sites = tuple(
        _read_table(_table(site, f"in_process.sites[{index}]", problems), SITE, f"in_process.sites[{index}].", problems)
        for index, site in enumerate(_list(in_process["sites"], "in_process.sites", problems))
    )
    for index, site in enumerate(sites):
        if site["site_key"] is None:
            problems.append(Problem(f"in_process.sites[{index}].site_key", "is missing"))
        elif site["site_key"] in {earlier["site_key"] for earlier in sites[:index]}:
            problems.append(Problem(f"in_process.sites[{index}].site_key", "stands there twice"))
    named, default = _read_providers(top, problems)
    problems += _site_key_problems(named.values(), sites)
    routes = tuple(_read_routes(top, named, default, problems))
    problems += _route_problems(routes, top["exempt"])
    if must_guard and not routes:
        problems.append(NOTHING_PROTECTED)
    if problems:
        raise ConfigurationError(problems)
    return Configuration(top, routes, named, default, in_process, sites, limits)


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


def _read_table(typed: Table, known: Mapping[str, Setting], prefix: str, problems: list[Problem]) -> dict[str, Any]:
    for key in typed:
        if key not in known:
            problems.append(Problem(f"{prefix}{key}", "unknown key", nearest(str(key), known)))
    return {
        key: _read_value(setting.read, typed[key], prefix + key, setting.default, problems)
        if key in typed
        else setting.default
        for key, setting in known.items()
    }


def _read_value(reader: Any, value: object, name: str, default: Any, problems: list[Problem]) -> Any:
    try:
        return reader(value)
    except Wrong as wrong:
        problems.append(Problem(name, _shown(name, value) + wrong.what, wrong.fix))
        return default


def _shown(name: str, value: object) -> str:
    """The value as a message shows it: never one that is, or may hold, a secret (threats.md R35)."""
    key = re.sub(r"\[\d+\]", "", name).rpartition(".")[2]
    shown = repr(value)
    may_show = key in _SHOWN and isinstance(value, str | int | float | list | tuple) and len(shown) <= 60
    return f"{shown} " if may_show else ""


def _table(value: object, name: str, problems: list[Problem]) -> Table:
    if isinstance(value, Mapping):
        return value
    problems.append(Problem(name, "is not a table"))
    return {}


def _list(value: object, name: str, problems: list[Problem]) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        return value
    problems.append(Problem(name, "is not a list"))
    return ()


# Providers


def _read_providers(top: Table, problems: list[Problem]) -> tuple[dict[str, Provider], str]:
    """All providers by name; the default one goes by its kind."""
    if top["provider"] is None:
        problems.append(
            Problem("provider", "is missing", f'name one, for example "caputchin"; {nearest("", providers.kinds())}')
        )
        return {}, ""
    named: dict[str, Provider] = {}
    default = ""
    for name, typed in ((None, top["provider"]), *_table(top["providers"], "providers", problems).items()):
        where = "provider" if name is None else f"providers.{name}"
        provider = typed if isinstance(typed, Upstream) else _read_provider(typed, where, top, problems)
        if provider is None:
            continue
        if isinstance(provider, Upstream):
            problems += (Problem(f"{where}.{found.setting}", found.what, found.fix) for found in provider.problems())
        if name is None:
            default = provider.kind
        if name is not None and name in named:
            problems.append(Problem(where, "has the name of the default provider", "give it another name"))
        problems += _token_field_problems(provider, where)
        named[name if name is not None else provider.kind] = provider
    return named, default


def _token_field_problems(provider: Provider, where: str) -> Iterable[Problem]:
    try:
        Places((provider.token_field,))
    except ConfigurationError as failure:
        return (Problem(f"{where}.{found.setting}", found.what, found.fix) for found in failure.problems)
    return ()


def _read_provider(typed: object, where: str, top: Table, problems: list[Problem]) -> Provider | None:
    table = dict(_table(typed, where, problems))
    before = len(problems)
    kind = _read_value(text, table.pop("kind", None), f"{where}.kind", None, problems)
    verification = table.pop("verification", "upstream")
    if verification not in ("upstream", "in-process"):
        problems.append(Problem(f"{where}.verification", 'is neither "upstream" nor "in-process"'))
    if len(problems) > before:
        return None
    try:
        upstream = providers.load(kind)
    except ConfigurationError as failure:
        problems += (Problem(f"{where}.kind", found.what, found.fix) for found in failure.problems)
        return None
    if verification == "in-process":
        return _read_in_process(kind, upstream, table, where, problems)
    if top["allow_test_keys"]:
        table.setdefault("allow_test_keys", True)
    return _read_upstream(upstream, table, where, problems)


def _read_in_process(
    kind: str, upstream: type[Upstream], table: dict[str, Any], where: str, problems: list[Problem]
) -> InProcessProvider | None:
    if kind not in IN_PROCESS_KINDS:
        problems.append(
            Problem(
                f"{where}.verification",
                f"{kind} can't be verified in process",
                f"the kinds that can: {', '.join(IN_PROCESS_KINDS)}",
            )
        )
        return None
    token_field = _read_value(
        text, table.pop("token_field", _default_field(upstream)), f"{where}.token_field", "", problems
    )
    for key in table:
        problems.append(Problem(f"{where}.{key}", "has no meaning with in-process verification", "remove it"))
    return InProcessProvider(kind, token_field)


def _read_cap(typed: object, problems: list[Problem]) -> Table:
    """[in_process.cap]: its settings, with the work they amount to."""
    table = _read_table(_table(typed, "in_process.cap", problems), CAP, "in_process.cap.", problems)
    work = Work(**{key: table[key] for key in ("format", "puzzles", "salt_length", "difficulty", "squarings")})
    if (found := work.problem()) is not None:
        problems.append(Problem(f"in_process.cap.{found.setting}", found.what, found.fix))
    return {**table, "work": work}


def _site_key_problems(provided: Iterable[Provider], sites: Sequence[Table]) -> Iterable[Problem]:
    """The widgets of some kinds name their site in the path."""
    if not any(isinstance(provider, InProcessProvider) and provider.kind in ("cap", "altcha") for provider in provided):
        return
    for index, site in enumerate(sites):
        if site["site_key"] is not None and not SITE_KEY.fullmatch(site["site_key"]):
            yield Problem(
                f"in_process.sites[{index}].site_key",
                "can't stand in a path",
                "use up to 64 letters, digits, '-' and '_'",
            )


def _default_field(upstream: type[Upstream]) -> str:
    (default,) = (field.default for field in dataclasses.fields(upstream) if field.name == "token_field")
    return str(default)


def _read_upstream(upstream: type[Upstream], table: dict[str, Any], where: str, problems: list[Problem]) -> Upstream:
    """Construct a provider from its table; its fields are the keys. Its own problems are asked for afterwards."""
    types = typing.get_type_hints(upstream)
    known = {field.name: types[field.name] for field in dataclasses.fields(upstream)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            problems.append(Problem(f"{where}.{key}", "unknown key", nearest(str(key), (*known, *TOP))))
            continue
        before = len(problems)
        read_value = _read_value(_reader_for(key, known[key]), value, f"{where}.{key}", None, problems)
        if len(problems) == before:
            values[key] = read_value
    if "secret" in table and "secret" not in values:
        values["secret"] = Secret("unreadable-and-already-reported")
    return upstream(**values)


def _reader_for(key: str, kind_of_value: object) -> Any:
    """How a provider's own field is read: its type tells."""
    if key == "timeout":
        return duration(0.001, 60)
    if kind_of_value is bool:
        return flag
    if kind_of_value in (Secret, Secret | str, str | Secret):
        return secret
    if kind_of_value is str:
        return text
    return _plain(kind_of_value)


def _plain(kind_of_value: object) -> Any:
    allowed = typing.get_args(kind_of_value) or (kind_of_value,)
    if all(isinstance(option, str) for option in allowed):  # a Literal
        from caputchin_gate.settings import choice

        return choice(*allowed)

    def read_plain(value: object) -> object:
        numeric = tuple({float: (int, float), int: (int,)}.get(kind, (kind,)) for kind in allowed)
        flat = tuple(kind for group in numeric for kind in group if isinstance(kind, type))
        if isinstance(value, bool) or not isinstance(value, flat):
            raise Wrong(f"is not of the type {' or '.join(kind.__name__ for kind in flat)}")
        return value

    return read_plain


# Routes


def _read_routes(
    top: Table, named: Mapping[str, Provider], default: str, problems: list[Problem]
) -> Iterable[dict[str, Any]]:
    """Both forms of routes, in the order typed: the short ones first."""
    short = top["protect"]
    if isinstance(short, str | Route):
        short = (short,)
    for index, item in enumerate(_list(short, "protect", problems)):
        where = f"protect[{index}]"
        match item:
            case str():
                yield _read_route({"match": item}, where, named, default, problems)
            case Route():
                yield _read_route(item.as_table(), where, named, default, problems)
            case _:
                problems.append(Problem(where, "is neither a text nor a Route"))
    for index, item in enumerate(_list(top["route"], "route", problems)):
        where = f"route[{index}]"
        yield _read_route(_table(item, where, problems), where, named, default, problems)


def _reported(provider: Provider | None) -> frozenset[str]:
    match provider:
        case InProcessProvider(kind=kind):
            return IN_PROCESS_KINDS[kind]
        case Upstream():
            return provider.reports
        case None:
            return frozenset()


def _route_problems(routes: Sequence[Table], exempt: Sequence[str]) -> Iterable[Problem]:
    """What is wrong with the patterns, alone or together."""
    rules = [
        Rule(route["match"], {**route, "match": None, "method_override": None}, route["method_override"])
        for route in routes
        if route["match"] is not None
    ]
    places = {rule.match: f"route {rule.match!r}" for rule in rules} | {text: f"exempt {text!r}" for text in exempt}
    try:
        RouteTable(rules, exempt)
    except ConfigurationError as failure:
        return [Problem(places.get(found.setting, found.setting), found.what, found.fix) for found in failure.problems]
    return ()


def _read_route(
    typed: Table, where: str, named: Mapping[str, Provider], default: str, problems: list[Problem]
) -> dict[str, Any]:
    route = _read_table(typed, ROUTE, f"{where}.", problems)
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
