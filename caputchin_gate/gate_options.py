"""What is typed in Python: the keyword arguments of `Gate`, and the tables of gate.toml that they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from caputchin_gate.config.route_tables import Route
from caputchin_gate.config.settings import TOP
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.providers import Upstream
from caputchin_gate.secret import Secret


class GateOptions(TypedDict, total=False):
    """The keyword arguments of `Gate`: the keys of gate.toml, with the [provider] table flattened."""

    protect: Sequence[str | Route]
    exempt: Sequence[str]
    on_outage: Literal["refuse", "admit"]
    mode: Literal["enforce", "report"]
    trusted_proxies: Sequence[str]
    forwarded_header: Literal["x-forwarded-for", "forwarded", "x-real-ip"]
    forward_auth: Literal["nginx", "traefik", "caddy"]
    store: str
    allow_test_keys: bool
    token_from: Sequence[str]
    max_body: int | str
    max_memory: int | str
    back: str
    on_refuse: str
    receipt: float | str
    receipt_uses: int
    providers: Mapping[str, Mapping[str, Any] | Upstream]
    route: Sequence[Mapping[str, Any]]
    in_process: Mapping[str, Any]
    limits: Mapping[str, Any]
    sidecar: Mapping[str, Any]
    # of the default provider
    verification: Literal["upstream", "in-process"]
    secret: str | Secret | Mapping[str, str]
    endpoint: str
    timeout: float | str
    token_field: str
    allow_http: bool
    send_remote_ip: bool
    on_fail_open: Literal["policy", "accept", "reject"]
    max_score: float
    min_score: float
    version: Literal["v2", "v3"]
    attempts: int
    site_key: str
    token_pattern: str


def as_tables(provider: str | Upstream | Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments as the tables of gate.toml: the provider's own go to its table."""
    typed = {key: value for key, value in options.items() if key in TOP}
    own = {key: value for key, value in options.items() if key not in TOP}
    if provider is None:
        return {**typed, **own}
    match provider:
        case str():
            typed["provider"] = {"kind": provider, **own}
        case Mapping():
            typed["provider"] = {**provider, **own}
        case _ if own:
            problems = [Problem(key, "belongs to the provider object", "give it there") for key in own]
            raise ConfigurationError(problems)
        case _:
            typed["provider"] = provider
    return typed
