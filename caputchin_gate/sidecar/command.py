"""The command `caputchin-gate proxy`: settings from a file and from what was typed, then a supervisor."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from caputchin_gate import config
from caputchin_gate.gate import gate_from
from caputchin_gate.sidecar.listening import url_of
from caputchin_gate.sidecar.settings import relay_settings
from caputchin_gate.sidecar.supervisor import Supervisor
from caputchin_gate.sidecar.tls import listening_context, upstream_context
from caputchin_gate.sidecar.worker import Service
from caputchin_gate.sources import gather


def prepare(path: str, options: Mapping[str, Any]) -> Service:
    """Read the file and the environment, with `options` in place of keys of [sidecar]. Raises ConfigurationError."""
    typed = gather(path, os.environ, {f"sidecar.{key}": value for key, value in options.items()})
    with typed.placing():
        configuration = config.read(typed.tables, must_guard=True)
        settings = relay_settings(configuration)
        tls, upstream_tls = listening_context(settings), upstream_context(settings)
        gate = gate_from(configuration, typed.placed)
    return Service(gate=gate, settings=settings, sockets=(), tls=tls, upstream_tls=upstream_tls)


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
