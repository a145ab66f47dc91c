"""Connections for TLS: accepted here, so that one counts from its first packet on and not only when its handshake is
done. Who never finishes one holds no more connections than anybody else.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from caputchin_gate.sidecar.client import ClientConnection

if TYPE_CHECKING:
    from caputchin_gate.sidecar.relay import Relay

PAUSE_SECONDS: Final = 0.1  # when the system has no descriptor left


class Handshakes:
    """Until it is closed. A handshake that has begun goes on after that."""

    def __init__(self, relay: Relay, listening: socket.socket, tls: ssl.SSLContext) -> None:
        self._relay = relay
        self._listening = listening
        self._tls = tls
        self._begun: set[asyncio.Task[None]] = set()
        self._accepting = relay.loop.create_task(self._accept())

    def close(self) -> None:
        self._accepting.cancel()

    async def _accept(self) -> None:
        with self._listening:
            await self._accept_all()

    async def _accept_all(self) -> None:
        relay = self._relay
        while True:
            try:
                accepted, address = await relay.loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            peer = address[0] if isinstance(address, tuple) else None
            if relay.seat(peer):
                task = relay.loop.create_task(self._shake(accepted, peer))
                self._begun.add(task)
                task.add_done_callback(self._begun.discard)
            else:  # an answer would cost a handshake
                relay.unseat(peer)
                accepted.close()

    async def _shake(self, accepted: socket.socket, peer: str | None) -> None:
        """The connection is its own when this has gone well."""
        connection = ClientConnection(self._relay, tls=True, seated_as=peer)
        patience = self._relay.settings.timeouts.head
        try:
            await self._relay.loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except (OSError, ssl.SSLError):  # it went away, was too slow, or speaks something else
            with suppress(OSError):
                accepted.close()
        finally:
            if not connection.is_made:
                self._relay.unseat(peer)
