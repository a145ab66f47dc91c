"""After a WebSocket's 101: bytes both ways, as they come, until either side ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caputchin_gate.sidecar.client import ClientConnection
    from caputchin_gate.sidecar.relay import Relay
    from caputchin_gate.sidecar.upstream import UpstreamConnection


class Tunnel:
    __slots__ = ("_client", "_half_closed", "_over", "_relay", "_upstream")

    def __init__(self, relay: Relay, client: ClientConnection, upstream: UpstreamConnection) -> None:
        self._relay = relay
        self._client = client
        self._upstream = upstream
        self._half_closed = False
        self._over = False

    def begin(self, from_upstream: bytes) -> None:
        """`from_upstream` is what followed the 101 at once."""
        self._relay.counters.tunnels += 1
        self._upstream.exchange = None
        self._upstream.tunnel = self
        self._heard()
        self._client.open_tunnel(self)
        if from_upstream:
            self.from_upstream(from_upstream)

    def from_client(self, data: bytes) -> None:
        self._heard()
        self._upstream.transport.write(data)

    def from_upstream(self, data: bytes) -> None:
        self._heard()
        self._client.write(data)

    def _heard(self) -> None:
        self._upstream.deadline = self._relay.loop.time() + self._relay.settings.timeouts.silence

    def client_ends(self) -> bool:
        """The client sends no more. Whether its connection stays open for what is still to come."""
        return self._one_side_ends(self._upstream.transport)

    def upstream_ends(self) -> bool:
        return self._one_side_ends(self._client.transport)

    def _one_side_ends(self, other: asyncio.Transport) -> bool:
        if self._half_closed or not other.can_write_eof():
            self.lost()
            return False
        self._half_closed = True
        other.write_eof()
        return True

    def client_full(self) -> None:
        self._upstream.transport.pause_reading()

    def client_drained(self) -> None:
        self._upstream.transport.resume_reading()

    def upstream_full(self) -> None:
        self._client.transport.pause_reading()

    def upstream_drained(self) -> None:
        self._client.transport.resume_reading()

    def lost(self) -> None:
        """One side is gone, or both were silent for too long."""
        if not self._over:
            self._over = True
            self._relay.counters.tunnels -= 1
            self._client.close()
            self._upstream.close()
