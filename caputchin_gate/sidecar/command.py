"""The command `caputchin-gate proxy`: settings from a file and from what was typed, then a supervisor."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from caputchin_gate import config
from caputchin_gate.gate import gate_of
from caputchin_gate.sidecar.listening import url_of
from caputchin_gate.sidecar.settings import relay_settings
from caputchin_gate.sidecar.supervisor import Supervisor
from caputchin_gate.sidecar.tls import listening_context, upstream_context
from caputchin_gate.sidecar.worker import Service


def prepare(path: str, typed: Mapping[str, Any]) -> Service:
    """Read the file, with what was typed in place of its [sidecar] keys. Raises ConfigurationError."""
    tables = config.load(path)
    table = tables.get("sidecar", {})
    if isinstance(table, dict):
        tables["sidecar"] = {**table, **typed}
    configuration = config.read(tables, must_guard=True)
    settings = relay_settings(configuration)
    if settings.admin is not None:
        from caputchin_gate.sidecar.admin import process  # noqa: F401  a library that is missing is told at once
    return Service(
        gate=gate_of(configuration),
        settings=settings,
        sockets=(),
        tls=listening_context(settings),
        upstream_tls=upstream_context(settings),
    )


def serve(path: str, typed: Mapping[str, Any]) -> bool:
    """Serve until it is told to end; whether that was why it ended. Raises ConfigurationError and CantListen."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    supervisor = Supervisor(lambda: prepare(path, typed))
    return supervisor.run(_say_where)


def _say_where(service: Service) -> None:
    settings = service.settings
    places = ", ".join(url_of(listening, tls=service.tls is not None) for listening in service.sockets)
    upstreams = ", ".join(map(str, settings.upstreams))
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    print(f"caputchin-gate: listening on {places} for {upstreams} ({workers})", flush=True)
    if service.admin_socket is not None:
        print(f"caputchin-gate: health and metrics on {url_of(service.admin_socket, tls=False)}", flush=True)
