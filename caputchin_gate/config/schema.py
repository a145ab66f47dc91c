"""gate.toml as JSON Schema (draft 2020-12), for editors: made of the tables of settings and the classes of providers.

It says what can be said of one value alone. What only shows when settings meet is told by `caputchin-gate check`.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from caputchin_gate import providers
from caputchin_gate.addresses import Address
from caputchin_gate.config.provider_tables import IN_PROCESS_KINDS, readers_of
from caputchin_gate.config.settings import TOP, Reader, Setting, TableOf, TablesOf
from caputchin_gate.config.settings.plain import TEXT
from caputchin_gate.difficulty import Multipliers

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_UNITS_OF_TIME: Final = ((3600, "h"), (60, "m"), (1, "s"))
_UNITS_OF_SIZE: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, ""))


def json_schema() -> dict[str, Any]:
    """The schema of a whole gate.toml."""
    return {"$schema": DIALECT, "title": "gate.toml", **_table(TOP)}


def _table(known: Mapping[str, Setting]) -> dict[str, Any]:
    required = [key for key, setting in known.items() if setting.required]
    properties = {key: schema_of(key, setting) for key, setting in known.items()}
    return _object(properties, required)


def _object(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    table = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**table, "required": required} if required else table


def schema_of(key: str, setting: Setting) -> dict[str, Any]:
    """What can be typed for a setting, what it is for, its default and an example."""
    example = tomllib.loads(f"example = {setting.example}")["example"]
    default = as_typed(setting.default, example)
    return {
        "description": setting.purpose,
        **_values(key, setting.read),
        **({} if default in (None, [], {}) else {"default": default}),
        "examples": [example],
    }


def _values(key: str, reader: Reader[Any] | TableOf | TablesOf) -> dict[str, Any]:
    match reader:
        case TableOf(known):
            return _table(known)
        case TablesOf(known):
            return {"type": "array", "items": _table(known)}
        case Reader(schema=schema) if schema:
            return dict(schema)
        case _:  # what a provider's keys are, its kind tells
            return _provider() if key == "provider" else {"type": "object", "additionalProperties": _provider()}


def _provider() -> dict[str, Any]:
    """A table of a provider: each kind has keys of its own, and few of them in process."""
    return {"type": "object", "oneOf": [*map(_upstream, providers.kinds()), *map(_in_process, IN_PROCESS_KINDS)]}


def _upstream(kind: str) -> dict[str, Any]:
    upstream = providers.load(kind)
    purposes = providers.purposes_of(upstream)
    fields = {field.name: field for field in dataclasses.fields(upstream)}
    own = {
        key: {
            "description": purposes[key],
            **reader.schema,
            **({} if fields[key].default in (None, "") else {"default": fields[key].default}),
        }
        for key, reader in readers_of(upstream).items()
    }
    required = ["kind", *([] if upstream.endpoints else ["endpoint"])]
    required += ["site_key"] if upstream.needs_site_key else []
    return _object({"kind": {"const": kind}, "verification": {"const": "upstream"}, **own}, required)


def _in_process(kind: str) -> dict[str, Any]:
    own = {"kind": {"const": kind}, "verification": {"const": "in-process"}, "token_field": TEXT}
    return _object(own, ["kind", "verification"])


def as_typed(value: Any, example: object) -> Any:
    """A value that was read, as people would type it; the example tells whether it is a duration or a size."""
    match value, example:
        case bool() | str(), _:
            return value
        case (int() | float(), str() as text):
            units = _UNITS_OF_TIME if text.endswith(("s", "m", "h", "d")) else _UNITS_OF_SIZE
            return next(f"{int(value // many)}{unit}" for many, unit in units if value % many == 0)
        case (tuple(), [first, *_]):
            return [as_typed(item, first) for item in value]
        case Multipliers(), _:
            return list(dataclasses.astuple(value))
        case tuple(), _:
            return [as_typed(item, example) for item in value]
        case Address(), _:
            return str(value)
        case _:
            return value
