"""One worker: serves on sockets that were opened for it, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Sequence

import uvloop

from caputchin_gate.config import Configuration
from caputchin_gate.gate import gate_of
from caputchin_gate.sidecar.client import ClientConnection
from caputchin_gate.sidecar.relay import Relay
from caputchin_gate.sidecar.settings import RelaySettings
from caputchin_gate.sidecar.tls import listening_context, upstream_context

BACKLOG = 2048


def run(
    configuration: Configuration,
    settings: RelaySettings,
    sockets: Sequence[socket.socket],
    ready: Callable[[Relay], object] = lambda relay: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let what is in flight end. `ready` is called once connections are taken."""
    uvloop.run(serve(configuration, settings, sockets, ready))


async def serve(
    configuration: Configuration,
    settings: RelaySettings,
    sockets: Sequence[socket.socket],
    ready: Callable[[Relay], object],
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    gate = gate_of(configuration)
    relay = Relay(gate, settings, loop, upstream_context(settings))
    tls = listening_context(settings)
    servers = [await listen(relay, listening, tls) for listening in sockets]
    watching = loop.create_task(relay.watch())
    ready(relay)
    await ended.wait()
    for server in servers:
        server.close()
    await relay.drain()
    watching.cancel()
    await gate.aclose()


async def listen(relay: Relay, listening: socket.socket, tls: ssl.SSLContext | None) -> asyncio.Server:
    def connected() -> ClientConnection:
        return ClientConnection(relay, tls=tls is not None)

    handshake = relay.settings.timeouts.head if tls is not None else None
    if listening.family == socket.AF_UNIX:
        return await relay.loop.create_unix_server(
            connected, sock=listening, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=handshake
        )
    return await relay.loop.create_server(
        connected, sock=listening, backlog=BACKLOG, ssl=tls, ssl_handshake_timeout=handshake
    )
