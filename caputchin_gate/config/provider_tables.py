"""Reads the tables of providers: [provider], [providers.NAME], or keyword arguments. Their keys are the fields of the
provider's class, so a new kind is described in its own file alone.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from caputchin_gate import providers
from caputchin_gate.config.settings import TOP, Reader, Wrong
from caputchin_gate.config.settings.plain import choice, duration, flag, text
from caputchin_gate.config.settings.reading import reads
from caputchin_gate.config.settings.secrets import secret
from caputchin_gate.config.tables import Table, read_value, table_of
from caputchin_gate.errors import UNKNOWN_KEY, ConfigurationError, Problem, closest, nearest
from caputchin_gate.providers import Upstream
from caputchin_gate.secret import Secret
from caputchin_gate.tokens import Places

# Types of plain fields: their names in JSON Schema, and what counts as one.
_PLAIN: Final[Mapping[object, tuple[str, tuple[type, ...]]]] = {
    float: ("number", (int, float)),
    int: ("integer", (int,)),
    str: ("string", (str,)),
}

# The kinds whose tokens the gate can issue and check itself, and what a route may demand of them.
IN_PROCESS_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "caputchin": frozenset({"action", "max_age"}),
    "captchaapi": frozenset({"action", "max_age"}),
    "cap": frozenset({"max_age"}),
    "altcha": frozenset({"action", "max_age"}),
}


VERIFICATIONS: Final = ("upstream", "in-process")
IN_PROCESS_KEYS: Final = ("kind", "verification", "token_field")


@dataclass(frozen=True, slots=True)
class InProcessProvider:
    """A provider table with verification = "in-process"."""

    kind: str
    token_field: str


Provider: TypeAlias = Upstream | InProcessProvider


def read_providers(top: Table, problems: list[Problem]) -> tuple[dict[str, Provider], str]:
    """All providers by name; the default one goes by its kind."""
    if top["provider"] is None:
        problems.append(
            Problem("provider", "is missing", f'name one, for example "caputchin"; {nearest("", providers.kinds())}')
        )
        return {}, ""
    named: dict[str, Provider] = {}
    default = ""
    for name, typed in ((None, top["provider"]), *table_of(top["providers"], "providers", problems).items()):
        where = "provider" if name is None else f"providers.{name}"
        provider = typed if isinstance(typed, Upstream) else _read_provider(typed, where, top, problems)
        if provider is None:
            continue
        if isinstance(provider, Upstream):
            problems += (replace(found, setting=f"{where}.{found.setting}") for found in provider.problems())
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
        return (replace(found, setting=f"{where}.{found.setting}") for found in failure.problems)
    return ()


def _read_provider(typed: object, where: str, top: Table, problems: list[Problem]) -> Provider | None:
    table = dict(table_of(typed, where, problems))
    kind = _read_kind(table, where, problems)
    verification = table.pop("verification", "upstream")
    if verification not in VERIFICATIONS:
        meant = closest(str(verification), VERIFICATIONS)
        fix = f"did you mean {meant!r}?" if meant is not None else ""
        problems.append(Problem(f"{where}.verification", 'is neither "upstream" nor "in-process"', fix))
        verification = meant
    if kind is None or verification is None:  # which keys there may be beyond those of all kinds, they tell
        for key, reader in readers_of(Upstream).items():
            if key in table:
                read_value(reader, table[key], f"{where}.{key}", None, problems)
        return None
    upstream = providers.load(kind)
    if verification == "in-process":
        return _read_in_process(kind, upstream, table, where, problems)
    if top["allow_test_keys"]:
        table.setdefault("allow_test_keys", True)
    return _read_upstream(upstream, table, where, problems)


def _read_kind(table: dict[str, Any], where: str, problems: list[Problem]) -> str | None:
    """Taken out of the table. What was mistyped is a problem, and the kind that was meant tells the others."""
    if "kind" not in table:
        problems.append(Problem(f"{where}.kind", "is missing", nearest("", providers.kinds())))
        meant = (key for key in table if closest(str(key), ["kind"]))
        problems += (Problem(f"{where}.{key}", UNKNOWN_KEY, "did you mean 'kind'?") for key in meant)
        return None
    typed = read_value(text, table.pop("kind"), f"{where}.kind", None, problems)
    if typed is None:
        return None
    try:
        return providers.load(typed).kind
    except ConfigurationError as failure:
        problems += (Problem(f"{where}.kind", found.what, found.fix) for found in failure.problems)
        return kind_meant(typed)


def kind_meant(typed: str) -> str | None:
    """The kind that was typed, or that was mistyped."""
    return typed if typed in providers.kinds() else closest(typed, providers.kinds())


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
    token_field = read_value(
        text, table.pop("token_field", _default_field(upstream)), f"{where}.token_field", "", problems
    )
    asked = readers_of(upstream)
    for key in table:
        if key in asked:
            problems.append(Problem(f"{where}.{key}", "has no meaning with in-process verification", "remove it"))
        else:
            problems.append(Problem(f"{where}.{key}", UNKNOWN_KEY, nearest(str(key), (*IN_PROCESS_KEYS, *TOP))))
    return InProcessProvider(kind, token_field)


def _default_field(upstream: type[Upstream]) -> str:
    (default,) = (field.default for field in dataclasses.fields(upstream) if field.name == "token_field")
    return str(default)


def _read_upstream(upstream: type[Upstream], table: dict[str, Any], where: str, problems: list[Problem]) -> Upstream:
    """Construct a provider from its table; its fields are the keys. Its own problems are asked for afterwards."""
    known = readers_of(upstream)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            problems.append(Problem(f"{where}.{key}", UNKNOWN_KEY, nearest(str(key), (*IN_PROCESS_KEYS, *known, *TOP))))
            continue
        before = len(problems)
        understood = read_value(known[key], value, f"{where}.{key}", None, problems)
        if len(problems) == before:
            values[key] = understood
    if "secret" in table and "secret" not in values:
        values["secret"] = Secret("unreadable-and-already-reported")
    return upstream(**values)


def readers_of(upstream: type) -> dict[str, Reader[Any]]:
    """How the fields of a kind are read: their types tell."""
    types = typing.get_type_hints(upstream)
    return {field.name: _reader_for(field.name, types[field.name]) for field in dataclasses.fields(upstream)}


def _reader_for(key: str, kind_of_value: object) -> Reader[Any]:
    if key == "timeout":
        return duration(0.001, 60)
    if kind_of_value is bool:
        return flag
    if kind_of_value in (Secret, Secret | str, str | Secret):
        return secret
    if kind_of_value is str:
        return text if key == "token_field" else text.hidden()  # an address may hold a password
    return _plain(kind_of_value)


def _plain(kind_of_value: object) -> Reader[Any]:
    allowed = typing.get_args(kind_of_value) or (kind_of_value,)
    if all(isinstance(option, str) for option in allowed):  # a Literal
        return choice(*allowed)
    accepted = {kind: _PLAIN[kind] for kind in allowed if kind in _PLAIN}

    @reads({"type": [name for name, _ in accepted.values()]}, shown=False)
    def read_plain(value: object) -> object:
        if isinstance(value, bool) or not any(isinstance(value, kinds) for _, kinds in accepted.values()):
            raise Wrong(f"is not of the type {' or '.join(name for name, _ in accepted.values())}")
        return value

    return read_plain
