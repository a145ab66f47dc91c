"""The application's servers: which is next, which is out for a while, and the connections that are kept to each.

Health is passive: a server that can't be connected to is left out for some seconds, unless all are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from caputchin_gate.addresses import Address
from caputchin_gate.events import tell
from caputchin_gate.sidecar.settings import RelaySettings
from caputchin_gate.sidecar.upstream import UpstreamConnection

OUT_SECONDS: Final = 5.0

# A request that can't be sent twice takes no connection that the server may be closing at this very moment.
FRESH_SECONDS: Final = 1.0


@dataclass(slots=True, eq=False)
class Server:
    """One of them. `busy` counts its exchanges; `out_until` is a time of the event loop."""

    address: Address
    kept: list[UpstreamConnection] = field(default_factory=list)
    busy: int = 0
    out_until: float = 0.0
    failures: int = 0  # to connect, since the worker began
    is_down: bool = False  # as far as the log knows

    def tell_down(self, failure: Exception) -> None:
        """It can't be connected to: told once, until it can be again."""
        if not self.is_down:
            self.is_down = True
            why = _why(failure)
            message = f"{self.address} can't be connected to: {why}"
            tell(logging.WARNING, "upstream-down", message, upstream=str(self.address), why=why)

    def tell_up(self) -> None:
        if self.is_down:
            self.is_down = False
            message = f"{self.address} can be connected to again"
            tell(logging.INFO, "upstream-up", message, upstream=str(self.address))


def _why(failure: Exception) -> str:
    """In words of our own: what the other side says in a handshake is not repeated."""
    match failure:
        case ssl.SSLCertVerificationError():
            return "its certificate can't be trusted"
        case ssl.SSLError():
            return "no TLS"
        case socket.gaierror():
            return "its name is not known"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case _:
            return "no answer"


class Upstreams:
    def __init__(self, settings: RelaySettings, tls: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop) -> None:
        self.servers = tuple(Server(address) for address in settings.upstreams)
        self.connections: set[UpstreamConnection] = set()
        self._timeouts = settings.timeouts
        self._most_kept = settings.kept_connections
        self._tls = tls
        self._loop = loop
        self._turn = 0

    def next(self) -> Server:
        """The server whose turn it is."""
        if len(self.servers) == 1:
            return self.servers[0]
        server = self._choose(())
        assert server is not None
        return server

    def other_than(self, server: Server) -> Server | None:
        return self._choose((server,))

    def kept(self, server: Server, *, repeatable: bool) -> UpstreamConnection | None:
        """A connection to this server that is there already."""
        while server.kept:
            connection = server.kept[-1]  # the one that was used last
            if not repeatable and self._loop.time() - connection.idle_since > FRESH_SECONDS:
                return None
            server.kept.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, server: Server) -> UpstreamConnection | None:
        """A new connection, to this server or else to the next that takes one; None when no server does."""
        tried: list[Server] = []
        trying: Server | None = server
        while trying is not None:
            try:
                async with asyncio.timeout(self._timeouts.connect):
                    connection = await self._connect_to(trying)
            except (OSError, TimeoutError) as failure:
                trying.failures += 1
                trying.tell_down(failure)
                trying.out_until = self._loop.time() + OUT_SECONDS
                tried.append(trying)
                trying = self._choose(tried)
            else:
                trying.out_until = 0.0
                trying.tell_up()
                return connection
        return None

    async def _connect_to(self, server: Server) -> UpstreamConnection:
        def made() -> UpstreamConnection:
            return UpstreamConnection(self, server, self._timeouts, self._loop)

        address = server.address
        if address.path is not None:
            _, connection = await self._loop.create_unix_connection(made, address.path)
        else:
            _, connection = await self._loop.create_connection(
                made,
                address.host,
                address.port,
                ssl=self._tls if address.tls else None,
                server_hostname=address.host if address.tls else None,
            )
        return connection

    def _choose(self, tried: Sequence[Server]) -> Server | None:
        """The least busy of those that are not out, by turns where several are; of none, the one that is back first."""
        if len(self.servers) == 1:
            return None if tried else self.servers[0]
        self._turn += 1
        ahead = self._turn % len(self.servers)
        waiting = [server for server in (*self.servers[ahead:], *self.servers[:ahead]) if server not in tried]
        if not waiting:
            return None
        now = self._loop.time()
        healthy = [server for server in waiting if server.out_until <= now]
        if healthy:
            return min(healthy, key=lambda server: server.busy)
        return min(waiting, key=lambda server: server.out_until)

    def keep(self, connection: UpstreamConnection) -> None:
        """Take back a connection whose exchange was complete on both sides."""
        server = connection.server
        if self._timeouts.upstream_idle and len(server.kept) < self._most_kept:
            connection.wait(self._timeouts.upstream_idle)
            server.kept.append(connection)
        else:
            connection.close()

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection is gone."""
        self.connections.discard(connection)
        kept = connection.server.kept
        if connection in kept:
            kept.remove(connection)
