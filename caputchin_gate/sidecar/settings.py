"""What the relay is told: one value, made from the tables that `config/settings/sidecar.py` describes."""

from __future__ import annotations

from dataclasses import dataclass, field

from caputchin_gate.addresses import Address
from caputchin_gate.config import Configuration
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.secret import Secret
from caputchin_gate.service_log import LogFormat
from caputchin_gate.sidecar.wire import Limits


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds, but for `body_rate`, the bytes a second that a body keeps as a whole."""

    connect: float = 5.0
    head: float = 10.0
    body_rate: float = 1024.0
    body_stall: float = 30.0
    response: float = 60.0
    total: float = 3600.0
    silence: float = 3600.0
    idle: float = 60.0
    upstream_idle: float = 4.0
    drain: float = 30.0


@dataclass(frozen=True, slots=True)
class Certificate:
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class RelaySettings:
    upstreams: tuple[Address, ...]  # none where the gate stands alone
    listen: tuple[Address, ...] = (Address("127.0.0.1", 8080),)
    admin: Address | None = None
    workers: int = 1
    tls: Certificate | None = None
    upstream_ca: str | None = None
    websockets: bool = True
    log_format: LogFormat = "auto"
    sign_verdicts: Secret | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    heads: Limits = field(default_factory=Limits)
    connections: int = 10_000
    connections_per_client: int = 1_000
    kept_connections: int = 256  # idle ones to each upstream


def relay_settings(configuration: Configuration, *, alone: bool = False) -> RelaySettings:
    """The settings of [sidecar] and [limits]. Raises ConfigurationError where something is missing.

    alone: no application stands behind it, whatever the file says
    """
    table, limits = configuration.sidecar, configuration.limits
    if not (alone or table["upstream"]):
        raise ConfigurationError([Problem("sidecar.upstream", "is missing", 'add upstream = "http://127.0.0.1:8000"')])
    return RelaySettings(
        upstreams=() if alone else table["upstream"],
        listen=table["listen"],
        admin=table["admin"],
        workers=table["workers"],
        tls=Certificate(**table["tls"]) if table["tls"] else None,
        upstream_ca=table["upstream_ca"],
        websockets=table["websockets"],
        log_format=table["log_format"],
        sign_verdicts=table["sign_verdicts"],
        timeouts=Timeouts(**table["timeouts"], body_stall=limits["body_timeout"]),
        heads=Limits(limits["head_bytes"], limits["head_fields"], limits["target_bytes"]),
        connections=limits["connections"],
        connections_per_client=limits["connections_per_client"],
    )
