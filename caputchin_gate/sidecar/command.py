"""The commands `proxy` and `serve`: settings from a file and from what was typed, then a supervisor."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Final

from caputchin_gate import __version__, service_log
from caputchin_gate.config.sources import gather
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.events import tell
from caputchin_gate.gate import gate_of
from caputchin_gate.service_log import STDERR, ServiceLog
from caputchin_gate.sidecar.listening import url_of
from caputchin_gate.sidecar.settings import relay_settings
from caputchin_gate.sidecar.supervisor import Supervisor
from caputchin_gate.sidecar.tls import listening_context, upstream_context
from caputchin_gate.sidecar.worker import Service

STDOUT: Final = 1


def run(path: str, typed: Mapping[str, Any], *, alone: bool) -> bool:
    """Serve until it is told to end; whether that was why it ended. Raises ConfigurationError and CantListen.

    typed: keys of [sidecar] that count more than those of the file
    alone: without an application behind it
    """
    with service_log.taking_all() as log:
        supervisor = Supervisor(lambda: prepare(path, typed, log, alone=alone))
        tell(logging.INFO, "start", f"caputchin-gate {__version__} starts", version=__version__)
        return supervisor.run(_say_where)


def prepare(path: str, typed: Mapping[str, Any], log: ServiceLog, *, alone: bool) -> Service:
    """Read and check everything. Raises ConfigurationError."""
    source = gather(path, os.environ, {f"sidecar.{key}": value for key, value in typed.items()})
    with source.placing():
        configuration = source.read(must_guard=True)
        settings = relay_settings(configuration, alone=alone)
        if settings.admin is not None:
            _have_admin()
        with log.trying(settings.log_format):
            tls, upstream_tls = listening_context(settings), upstream_context(settings)
            gate = gate_of(configuration, source.placed)
            if not alone:
                gate.must_guard()
            elif not gate.serves_own_paths:
                problem = Problem("", "has nothing to serve", "set forward_auth, or verify in process")
                raise ConfigurationError([problem])
    return Service(gate=gate, settings=settings, sockets=(), tls=tls, upstream_tls=upstream_tls)


def _have_admin() -> None:
    """Import here what the process of the admin address needs: it is forked whenever one is needed."""
    try:
        import caputchin_gate.sidecar.admin.process  # noqa: F401
    except ModuleNotFoundError as missing:
        problem = Problem("sidecar.admin", f"needs {missing.name}", "pip install 'caputchin-gate[sidecar]'")
        raise ConfigurationError([problem]) from None


def _say_where(service: Service) -> None:
    settings = service.settings
    places = [url_of(listening, tls=service.tls is not None) for listening in service.sockets]
    upstreams = [str(upstream) for upstream in settings.upstreams]
    behind = f" for {', '.join(upstreams)}" if upstreams else ""
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    said = [f"listening on {', '.join(places)}{behind} ({workers})"]
    admin = url_of(service.admin_socket, tls=False) if service.admin_socket is not None else None
    if admin is not None:
        said.append(f"health and metrics on {admin}")
    if not _log_is_on_stdout():
        for sentence in said:
            print(f"caputchin-gate: {sentence}", flush=True)
    tell(
        logging.INFO, "ready", "; ".join(said), listen=places, upstream=upstreams, admin=admin, workers=settings.workers
    )


def _log_is_on_stdout() -> bool:
    """Whether both are one terminal, or the one log of a container, where the same would be read twice."""
    try:
        return os.path.sameopenfile(STDOUT, STDERR)
    except OSError:  # one of them is closed
        return False
