"""The commands `proxy` and `serve`: settings from a file and from what was typed, then a supervisor."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caputchin_gate import config
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.gate import gate_of
from caputchin_gate.sidecar.listening import url_of
from caputchin_gate.sidecar.settings import relay_settings
from caputchin_gate.sidecar.supervisor import Supervisor
from caputchin_gate.sidecar.tls import listening_context, upstream_context
from caputchin_gate.sidecar.worker import Service


def run(path: str, typed: Mapping[str, Any], *, alone: bool) -> bool:
    """Serve until it is told to end; whether that was why it ended. Raises ConfigurationError and CantListen.

    typed: keys of [sidecar] that count more than those of the file
    alone: without an application behind it
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    supervisor = Supervisor(lambda: prepare(path, typed, alone=alone))
    return supervisor.run(_say_where)


def prepare(path: str, typed: Mapping[str, Any], *, alone: bool) -> Service:
    """Read and check everything. Raises ConfigurationError."""
    tables = config.load(path)
    table = tables.get("sidecar", {})
    if isinstance(table, dict):
        tables["sidecar"] = {**table, **typed}
    configuration = config.read(tables, must_guard=True)
    settings = relay_settings(configuration, alone=alone)
    if settings.admin is not None:
        _have_admin()
    gate = gate_of(configuration)
    if not alone:
        gate.must_guard()
    elif not gate.serves_own_paths:
        problem = Problem(Path(path).name, "has nothing to serve", "set forward_auth, or verify in process")
        raise ConfigurationError([problem])
    return Service(
        gate=gate,
        settings=settings,
        sockets=(),
        tls=listening_context(settings),
        upstream_tls=upstream_context(settings),
    )


def _have_admin() -> None:
    """Import here what the process of the admin address needs: it is forked whenever one is needed."""
    try:
        import caputchin_gate.sidecar.admin.process  # noqa: F401
    except ModuleNotFoundError as missing:
        problem = Problem("sidecar.admin", f"needs {missing.name}", "pip install 'caputchin-gate[sidecar]'")
        raise ConfigurationError([problem]) from None


def _say_where(service: Service) -> None:
    settings = service.settings
    places = ", ".join(url_of(listening, tls=service.tls is not None) for listening in service.sockets)
    upstreams = f" for {', '.join(map(str, settings.upstreams))}" if settings.upstreams else ""
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    print(f"caputchin-gate: listening on {places}{upstreams} ({workers})", flush=True)
    if service.admin_socket is not None:
        print(f"caputchin-gate: health and metrics on {url_of(service.admin_socket, tls=False)}", flush=True)
