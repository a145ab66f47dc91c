"""What all connections of one worker share, and the one clock that ends what takes too long."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import Counter
from typing import Final

from caputchin_gate.client_address import network_of
from caputchin_gate.gate import Gate
from caputchin_gate.sidecar.client import GRACE_SECONDS, ClientConnection
from caputchin_gate.sidecar.counters import Counters
from caputchin_gate.sidecar.settings import RelaySettings
from caputchin_gate.sidecar.upstreams import Upstreams
from caputchin_gate.sidecar.verdicts import Signer

SWEEP_SECONDS: Final = 0.25


class Relay:
    def __init__(
        self,
        gate: Gate,
        settings: RelaySettings,
        loop: asyncio.AbstractEventLoop,
        upstream_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.gate = gate
        self.settings = settings
        self.stands_alone = not settings.upstreams
        self.loop = loop
        self.counters = Counters()
        self.upstreams = Upstreams(settings, upstream_tls, loop)
        self.signer = Signer(settings.sign_verdicts) if settings.sign_verdicts is not None else None
        self.draining = False
        self._takes_until = math.inf  # requests that were on their way when the drain began
        self.clients: set[ClientConnection] = set()
        self.seated = 0  # these, and those whose handshake is not done
        self._by_network: Counter[str] = Counter()
        self._left = asyncio.Event()
        gate.on_decision(self.counters.decided)

    def seat(self, peer: str | None) -> bool:
        """Count a new connection in, until `unseat`. False when there are too many, of all or of its client network."""
        self.counters.connections += 1
        self.seated += 1
        network = self._network(peer)
        if network is not None:
            self._by_network[network] += 1
        settings = self.settings
        crowded = network is not None and self._by_network[network] > settings.connections_per_client
        if crowded or self.seated > settings.connections:
            self.counters.turned_away += 1
            return False
        return True

    def unseat(self, peer: str | None) -> None:
        self.seated -= 1
        network = self._network(peer)
        if network is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]
        self._left.set()

    def _network(self, peer: str | None) -> str | None:
        """What a connection is counted under; a trusted proxy brings the connections of many."""
        if peer is None or self.gate.trusted_proxies.trusts_peer(peer):
            return None
        return network_of(peer)

    async def watch(self) -> None:
        """End what is overdue. One look at all connections costs less than a timer for each request."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.sleep(0)  # what came while the loop was busy is read first
            now = self.loop.time()
            for client in [client for client in self.clients if client.overdue(now)]:
                client.expire(now)
            for connection in [connection for connection in self.upstreams.connections if connection.deadline < now]:
                connection.expire()

    @property
    def takes_no_more(self) -> bool:
        """Whether no request begins here any more: others have taken over, perhaps with other settings."""
        return self.draining and self.loop.time() > self._takes_until

    def begin_drain(self) -> None:
        """Nothing begins any more; what is in flight goes on."""
        self.draining = True
        self._takes_until = self.loop.time() + GRACE_SECONDS
        for client in tuple(self.clients):
            client.leave_if_idle()

    async def empty(self) -> None:
        """Until the last client is gone."""
        while self.seated:
            self._left.clear()
            await self._left.wait()

    def cut_off(self) -> None:
        for client in tuple(self.clients):
            client.abort()
