"""The command `caputchin-gate proxy`: settings from a file and from what was typed, then a supervisor."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from caputchin_gate import __version__, config, service_log
from caputchin_gate.events import tell
from caputchin_gate.gate import gate_of
from caputchin_gate.service_log import ServiceLog
from caputchin_gate.sidecar.listening import url_of
from caputchin_gate.sidecar.settings import relay_settings
from caputchin_gate.sidecar.supervisor import Supervisor
from caputchin_gate.sidecar.tls import listening_context, upstream_context
from caputchin_gate.sidecar.worker import Service


def prepare(path: str, typed: Mapping[str, Any], log: ServiceLog) -> Service:
    """Read the file, with what was typed in place of its [sidecar] keys. Raises ConfigurationError."""
    tables = config.load(path)
    table = tables.get("sidecar", {})
    if isinstance(table, dict):
        tables["sidecar"] = {**table, **typed}
    configuration = config.read(tables, must_guard=True)
    settings = relay_settings(configuration)
    with log.trying(settings.log_format):
        return Service(
            gate=gate_of(configuration),
            settings=settings,
            sockets=(),
            tls=listening_context(settings),
            upstream_tls=upstream_context(settings),
        )


def serve(path: str, typed: Mapping[str, Any]) -> bool:
    """Serve until it is told to end; whether that was why it ended. Raises ConfigurationError and CantListen."""
    log = service_log.begin()
    supervisor = Supervisor(lambda: prepare(path, typed, log))
    tell(logging.INFO, "start", f"caputchin-gate {__version__} starts", version=__version__)
    return supervisor.run(_tell_where)


def _tell_where(service: Service) -> None:
    settings = service.settings
    places = [url_of(listening, tls=service.tls is not None) for listening in service.sockets]
    upstreams = list(map(str, settings.upstreams))
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    message = f"listening on {', '.join(places)} for {', '.join(upstreams)} ({workers})"
    print(f"caputchin-gate: {message}", flush=True)
    tell(logging.INFO, "ready", message, listen=places, upstream=upstreams, workers=settings.workers)
