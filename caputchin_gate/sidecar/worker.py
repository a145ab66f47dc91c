"""One worker: serves on sockets that were opened for it, until it is told to end.

SIGTERM    ends it: requests in flight get `drain` seconds
SIGUSR1    retires it: others have taken over, and what is in flight ends in its own time
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from caputchin_gate.gate import Gate
from caputchin_gate.sidecar.client import ClientConnection
from caputchin_gate.sidecar.handshakes import Handshakes
from caputchin_gate.sidecar.relay import Relay
from caputchin_gate.sidecar.reports import Reporter
from caputchin_gate.sidecar.settings import RelaySettings

BACKLOG: Final = 2048
COLLECT_AFTER: Final = (20_000, 20, 20)  # an exchange leaves no cycles, so there is little to find
END: Final = signal.SIGTERM
RETIRE: Final = signal.SIGUSR1


@dataclass(frozen=True, slots=True)
class Service:
    """What a worker is to do: everything that was read and checked before it began."""

    gate: Gate
    settings: RelaySettings
    sockets: tuple[socket.socket, ...]
    admin_socket: socket.socket | None = None
    tls: ssl.SSLContext | None = None
    upstream_tls: ssl.SSLContext | None = None


def run(service: Service, ready: Callable[[Relay], object] | None = None, channel: socket.socket | None = None) -> None:
    """Serve until told to end. `ready` is called once connections are taken; over `channel` goes what is counted, and
    its end says that nobody watches over this worker any more."""
    gc.set_threshold(*COLLECT_AFTER)
    uvloop.run(_serve(service, ready, channel))


async def _serve(service: Service, ready: Callable[[Relay], object] | None, channel: socket.socket | None) -> None:
    loop = asyncio.get_running_loop()
    ended, retired = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(END, ended.set)
    loop.add_signal_handler(RETIRE, retired.set)
    relay = Relay(service.gate, service.settings, loop, service.upstream_tls)
    servers = [await _listen(relay, listening, service.tls) for listening in service.sockets]
    watching = loop.create_task(relay.watch())
    reporter = None
    if channel is not None:
        loop.add_reader(channel, ended.set)
        reporter = Reporter(relay, channel)
    if ready is not None:
        ready(relay)
    await _first_of(ended.wait(), retired.wait())
    if channel is not None:
        loop.remove_reader(channel)
    for server in servers:
        server.close()
    relay.begin_drain()
    timeouts = service.settings.timeouts
    if not ended.is_set():
        await _first_of(ended.wait(), relay.empty())
    if ended.is_set():
        await _first_of(relay.empty(), patience=timeouts.drain)
    relay.cut_off()
    watching.cancel()
    if reporter is not None:
        await reporter.end()
    await service.gate.aclose()


async def _listen(
    relay: Relay, listening: socket.socket, tls: ssl.SSLContext | None
) -> asyncio.AbstractServer | Handshakes:
    if tls is not None:
        return Handshakes(relay, listening, tls)
    create = relay.loop.create_unix_server if listening.family == socket.AF_UNIX else relay.loop.create_server
    server: asyncio.Server = await create(lambda: ClientConnection(relay), sock=listening, backlog=BACKLOG)
    return server


async def _first_of(*waits: Coroutine[Any, Any, object], patience: float | None = None) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
