"""The keys at the top of gate.toml, and [limits]. Every other table hangs from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.config.settings.in_process import IN_PROCESS
from caputchin_gate.config.settings.plain import (
    TEXT,
    anything,
    choice,
    duration,
    flag,
    one_or_more,
    size,
    text,
    texts,
    whole,
)
from caputchin_gate.config.settings.reading import Setting, TableOf, TablesOf, Wrong, reads
from caputchin_gate.config.settings.route import OUTAGE, ROUTE
from caputchin_gate.config.settings.sidecar import SIDECAR
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.forward_auth import FRONT_PROXIES
from caputchin_gate.secret import Secret
from caputchin_gate.stores import open_store


@reads(TEXT, shown=False)
def store(value: object) -> str | Secret:
    """The name of a store, or its URL, which is kept as a secret: it can hold a password. It is not opened."""
    setting = text(value)
    try:
        open_store(setting)
    except ConfigurationError as failure:
        raise Wrong.like(failure) from None
    return Secret(setting) if "@" in setting else setting


@reads(one_or_more(TEXT), shown=False)
def protected(value: object) -> Any:
    """Patterns, and in Python also a `Route`, which `route_tables.py` reads as a table."""
    return value


@reads(one_or_more(TEXT))
def networks(value: object) -> tuple[str, ...]:
    """Address ranges in CIDR notation, or "unix" for peers that have no address."""
    named = texts(value)
    try:
        TrustedProxies(named)
    except ConfigurationError as failure:
        raise Wrong.like(failure) from None
    return named


LIMITS: Final[Mapping[str, Setting]] = {
    "kept_bytes": Setting(size(65536), 256 * 2**20, "Memory for bodies, over all requests.", '"256MiB"'),
    "verifications": Setting(whole(1, 10_000), 256, "Calls to providers at once; more are refused.", "256"),
    "submissions_per_minute": Setting(
        whole(1, 10**6), None, "Guarded submissions by one client network; no limit by default.", "20"
    ),
    "body_timeout": Setting(duration(1, 3600), 30.0, "How long a body may stall before the decision.", '"30s"'),
    "head_bytes": Setting(size(1024), 32 * 1024, "The longest head of a request (sidecar).", '"32KiB"'),
    "head_fields": Setting(whole(10, 1000), 100, "The most header fields of a request (sidecar).", "100"),
    "target_bytes": Setting(size(256, 8192), 8192, "The longest path with its query (sidecar).", '"8KiB"'),
    "connections": Setting(
        whole(1, 1_000_000), 10_000, "Open connections of clients, in each worker (sidecar).", "10_000"
    ),
    "connections_per_client": Setting(
        whole(1, 1_000_000), 1000, "Of these, those of one client network (sidecar).", "200"
    ),
}

TOP: Final[Mapping[str, Setting]] = {
    "protect": Setting(protected, (), "The guarded routes, short form.", '["POST /contact"]'),
    "exempt": Setting(texts, (), "Paths that are taken out again.", '["POST /webhooks/{name}"]'),
    "on_outage": Setting(OUTAGE, "refuse", "What an unavailable verification becomes.", '"refuse"'),
    "mode": Setting(choice("enforce", "report"), "enforce", "Whether refusals happen or are only logged.", '"report"'),
    "trusted_proxies": Setting(networks, (), "Peers whose forwarding header is believed.", '["10.0.0.0/8"]'),
    "forwarded_header": Setting(
        choice("x-forwarded-for", "forwarded", "x-real-ip"),
        "x-forwarded-for",
        "The one header that names the client.",
        '"forwarded"',
    ),
    "forward_auth": Setting(
        choice(*FRONT_PROXIES), None, "The kind of front proxy that asks before it passes a request on.", '"nginx"'
    ),
    "store": Setting(store, "sqlite", "Where single use is remembered.", '"sqlite:///var/lib/gate.db"'),
    "allow_test_keys": Setting(flag, False, "Accept the providers' public test keys.", "true"),
    "token_from": ROUTE["token_from"],
    "max_body": ROUTE["max_body"],
    "max_memory": ROUTE["max_memory"],
    "back": ROUTE["back"],
    "on_refuse": ROUTE["on_refuse"],
    "receipt": ROUTE["receipt"],
    "receipt_uses": ROUTE["receipt_uses"],
    "provider": Setting(
        anything,
        None,
        "The default provider, a table.",
        '{ kind = "caputchin", secret = { env = "CAPUTCHIN_SECRET" } }',
    ),
    "providers": Setting(
        anything,
        {},
        "Further providers, tables by name.",
        '{ old = { kind = "procaptcha", secret = { env = "PROSOPO_SECRET" } } }',
    ),
    "route": Setting(TablesOf(ROUTE), (), "The guarded routes, long form.", '[{ match = "POST /signup" }]'),
    "in_process": Setting(
        TableOf(IN_PROCESS), {}, "How the gate's own challenges behave.", '{ client_binding = "off" }'
    ),
    "limits": Setting(TableOf(LIMITS), {}, "What the gate spends at most.", "{ verifications = 256 }"),
    "sidecar": Setting(TableOf(SIDECAR), {}, "The gate's own servers.", '{ upstream = "http://127.0.0.1:8000" }'),
}
