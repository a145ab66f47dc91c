"""Writes settings.md: `python docs/make_settings.py`. A test fails when the file is not what this writes.

The tables come from `config/settings/` and from the fields of the providers; only the text between them stands here.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from caputchin_gate import providers
from caputchin_gate.config.provider_tables import IN_PROCESS_KINDS
from caputchin_gate.config.schema import as_typed
from caputchin_gate.config.settings import (
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
    Setting,
)
from caputchin_gate.policy import Terms
from caputchin_gate.providers import Upstream, purposes_of
from caputchin_gate.receipt import USES
from caputchin_gate.tokens import Places

PAGE: Final = Path(__file__).with_name("settings.md")
TEMPLATE: Final = Path(__file__).with_name("settings.md.template")

_TERMS: Final = Terms((), Places(()))

# What stands in force of a default that the tables leave open.
_GATE: Final[Mapping[str, str]] = {
    "token_from": json.dumps([source for source in ("form", "json", "header") if source in _TERMS.places.sources]),
    "max_body": f'"{_TERMS.max_body // 2**20}MiB"',
    "max_memory": f'"{_TERMS.max_memory // 2**20}MiB"',
    "on_refuse": f'"{_TERMS.on_refuse}"',
    "receipt_uses": str(USES),
}
_ROUTE: Final[Mapping[str, str]] = {
    **dict.fromkeys(ROUTE.keys() & TOP.keys() - {"provider"}, "the gate's"),
    "provider": "the default one",
}


def page() -> str:
    parts = {
        "top": _settings_table(TOP, _GATE | {"provider": "**required**"}),
        "route": _settings_table(ROUTE, _ROUTE),
        "in_process": _settings_table(IN_PROCESS, {"signing_key": "made in the store"}),
        "hardening": _settings_table(HARDENING),
        "cap": _settings_table(CAP),
        "altcha": _settings_table(ALTCHA),
        "caputchin": _settings_table(CAPUTCHIN),
        "site": _settings_table(SITE, {"dialects": "all"}),
        "limits": _settings_table(LIMITS),
        "sidecar": _settings_table(SIDECAR, {"listen": '"127.0.0.1:8080"', "upstream": "**required** for `proxy`"}),
        "sidecar_tls": _settings_table(SIDECAR_TLS),
        "sidecar_timeouts": _settings_table(SIDECAR_TIMEOUTS),
        "providers": "\n\n".join(_provider_sections()),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], TEMPLATE.read_text(encoding="utf-8"))


def _settings_table(settings: Mapping[str, Setting], defaults: Mapping[str, str] | None = None) -> str:
    return _table(
        ("key", "purpose", "default", "example"),
        (
            (f"`{name}`", setting.purpose, _default(name, setting, defaults or {}), f"`{setting.example}`")
            for name, setting in settings.items()
        ),
    )


def _default(name: str, setting: Setting, defaults: Mapping[str, str]) -> str:
    if name in defaults:
        text = defaults[name]
        return f"`{text}`" if text[0] in '["' or text.isdecimal() else text
    if setting.default is None:
        return "**required**" if setting.required else "none"
    return f"`{_toml(as_typed(setting.default, tomllib.loads(f'x = {setting.example}')['x']))}`"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


# Providers


def _provider_sections() -> Iterator[str]:
    shared = {field.name for field in dataclasses.fields(Upstream)}
    purposes = purposes_of(Upstream)
    first = providers.load(providers.kinds()[0])
    yield _table(
        ("key", "purpose", "default"),
        (
            ("`kind`", f"one of {', '.join(f'`{kind}`' for kind in providers.kinds())}", "**required**"),
            ("`verification`", f'`"upstream"`, or `"in-process"` ({_words(IN_PROCESS_KINDS)})', '`"upstream"`'),
            *(_shared_row(field, purposes) for field in dataclasses.fields(first) if field.name in shared),
        ),
    )
    yield "What differs from kind to kind:"
    yield _table(
        ("kind", "`endpoint`", "`token_field`", "`timeout`", "`attempts`", "keys of its own"),
        (_kind_row(providers.load(kind), shared) for kind in providers.kinds()),
    )
    own = [
        (
            f"`{field.name}`",
            kind,
            purposes_of(cls)[field.name],
            "none" if field.default is None else f"`{_toml(field.default)}`",
        )
        for kind, cls in ((kind, providers.load(kind)) for kind in providers.kinds())
        for field in dataclasses.fields(cls)
        if field.name not in shared
    ]
    yield _table(("key", "of", "purpose", "default"), own)


def _shared_row(field: dataclasses.Field[Any], purposes: Mapping[str, str]) -> tuple[str, str, str]:
    differs = {"endpoint", "token_field", "timeout", "attempts"}
    default = "**required**" if field.name == "secret" else f"`{_toml(field.default)}`"
    return f"`{field.name}`", purposes[field.name], "see below" if field.name in differs else default


def _kind_row(kind: type[Upstream], shared: set[str]) -> tuple[str, ...]:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    names = [f"`{name}`" for name in kind.endpoints]
    own = ", ".join(f"`{name}`" for name in fields if name not in shared) or "none"
    attempts = str(fields["attempts"].default)
    return (
        f"`{kind.kind}`",
        ", ".join([f"{names[0]} (default)", *names[1:], "or a URL"]) if names else "a URL, **required**",
        f"`{fields['token_field'].default}`",
        f'`"{fields["timeout"].default:g}s"`',
        attempts if kind.max_attempts == 1 else f"{attempts}, at most {kind.max_attempts}",
        own,
    )


# Tables


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
