"""Settings as environment variables: CAPUTCHIN_GATE_ and the path in capitals, with two underscores for a dot.

    CAPUTCHIN_GATE_ON_OUTAGE=admit                     on_outage = "admit"
    CAPUTCHIN_GATE_PROVIDER__SECRET=...                [provider] secret
    CAPUTCHIN_GATE_PROVIDER__SECRET__FILE=/run/key     [provider] secret = { file = "/run/key" }
    CAPUTCHIN_GATE_PROTECT="POST /a,POST /b"           protect = ["POST /a", "POST /b"]

The schema of a setting tells what a text means: true and false, a number, a list. Lists of tables have no variables.
A variable of this prefix that is no setting is a problem, and no message repeats the value of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from caputchin_gate import providers
from caputchin_gate.config.provider_tables import kind_meant, readers_of
from caputchin_gate.config.settings import TOP, Setting, TableOf, TablesOf
from caputchin_gate.config.settings.plain import TEXT
from caputchin_gate.config.settings.reading import Schema
from caputchin_gate.errors import Place, Problem, closest
from caputchin_gate.providers import Upstream

PREFIX: Final = "CAPUTCHIN_GATE_"
SEPARATOR: Final = "__"

_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")

# What Kubernetes tells every container about a service that is called caputchin-gate.
_OF_A_SERVICE: Final = re.compile(
    rf"{PREFIX}(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


Path: TypeAlias = tuple[str, ...]


def variable_of(path: Path) -> str:
    """The name of the variable that stands for a setting."""
    return PREFIX + SEPARATOR.join(re.sub(r"[^A-Z0-9_]", "_", key.upper()) for key in path)


def typed_in(
    environment: Mapping[str, str], tables: Mapping[str, Any], problems: list[Problem]
) -> dict[Path, tuple[str, Any]]:
    """What the variables say: by the path of each setting its variable and what that means.

    tables: what else was typed; a variable of a further provider stands for a key of a table there
    """
    ours = sorted(name for name in environment if name.upper().startswith(PREFIX) and not _OF_A_SERVICE.fullmatch(name))
    if not ours:
        return {}
    known = {variable_of(path): (path, schema) for path, schema in _settings(tables, environment)}
    typed: dict[Path, tuple[str, Any]] = {}
    for variable in ours:
        whole, _, key = variable.rpartition(SEPARATOR)
        if variable in known:
            path, schema = known[variable]
            typed[path] = variable, meaning(environment[variable], schema)
        elif whole in known and _takes_table(known[whole][1], key.lower()):
            typed[known[whole][0]] = variable, {key.lower(): environment[variable]}
        else:
            meant = closest(variable.upper().removeprefix(PREFIX), (name.removeprefix(PREFIX) for name in known))
            fix = f"did you mean {PREFIX}{meant}?" if meant is not None else "remove it, or see docs/settings.md"
            problems.append(Problem("", "stands for no setting", fix, place=Place(variable)))
    return typed


def _settings(tables: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[tuple[Path, Schema]]:
    """Every setting that a variable may stand for."""
    yield from _plain_settings(TOP, ())
    own = tables.get("provider")
    kind = environment.get(variable_of(("provider", "kind"))) or _kind_of(own)
    yield from _provider_settings(("provider",), kind)
    further = tables.get("providers")
    for name, table in further.items() if isinstance(further, Mapping) else ():
        yield from _provider_settings(("providers", str(name)), _kind_of(table))


def _plain_settings(known: Mapping[str, Setting], above: Path) -> Iterator[tuple[Path, Schema]]:
    for key, setting in known.items():
        match setting.read:
            case TableOf(inner):
                yield from _plain_settings(inner, (*above, key))
            case TablesOf():
                pass
            case reader if reader.schema:
                yield (*above, key), reader.schema
            case _:
                pass


def _provider_settings(above: Path, kind: str | None) -> Iterator[tuple[Path, Schema]]:
    yield (*above, "kind"), TEXT
    yield (*above, "verification"), TEXT
    meant = kind_meant(kind) if kind is not None else None
    readers = readers_of(providers.load(meant) if meant is not None else Upstream)
    yield from (((*above, key), reader.schema) for key, reader in readers.items())


def _kind_of(table: object) -> str | None:
    kind = table.get("kind") if isinstance(table, Mapping) else None
    return kind if isinstance(kind, str) else None


def meaning(text: str, schema: Schema) -> Any:
    """What a text stands for where the schema takes more than texts."""
    options = tuple(_options(schema))
    types = {name for option in options for name in _types(option)}
    if text in ("true", "false") and ("boolean" in types or {"const": False} in options):
        return text == "true"
    if types & {"number", "integer"} and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    for option in options:
        if option.get("type") == "array" and not any("object" in _types(item) for item in _options(option["items"])):
            return [meaning(item.strip(), option["items"]) for item in text.split(",")] if text.strip() else []
    return text


def _takes_table(schema: Schema, key: str) -> bool:
    return any(key in option.get("properties", {}) for option in _options(schema))


def _options(schema: Schema) -> Iterator[Schema]:
    """The kinds of values that a schema takes, one or several of each."""
    for option in schema.get("anyOf", ()):
        yield from _options(option)
        if option.get("type") == "array":
            yield from (item for item in _options(option["items"]) if "object" in _types(item))
    if "anyOf" not in schema:
        yield schema


def _types(schema: Schema) -> list[str]:
    named = schema.get("type", [])
    return [named] if isinstance(named, str) else named
