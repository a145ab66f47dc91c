"""What a worker tells its supervisor, one line of JSON a time: what it counted since, and how it is now."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from caputchin_gate.sidecar.counters import Counts

if TYPE_CHECKING:
    from caputchin_gate.sidecar.relay import Relay

REPORT_SECONDS: Final = 0.25
LAST_WORD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Secret:
    """What a provider said about our secret, in monotonic seconds, which all processes of a machine share."""

    refused_at: float
    accepted_at: float


@dataclass(frozen=True, slots=True)
class State:
    """One worker, now."""

    connections: int = 0
    in_flight: int = 0
    tunnels: int = 0
    verifying: int = 0
    kept_bytes: int = 0
    secrets: dict[str, Secret] = field(default_factory=dict)  # by the provider's name in the settings
    hardening: dict[str, str] = field(default_factory=dict)  # by site

    @classmethod
    def read(cls, members: dict[str, Any]) -> State:
        secrets = {name: Secret(**secret) for name, secret in members["secrets"].items()}
        return cls(**{**members, "secrets": secrets})


def written(counts: Counts, state: State) -> bytes:
    return json.dumps([as_pairs(counts), asdict(state)]).encode() + b"\n"


def read(line: bytes) -> tuple[Counts, State]:
    pairs, members = json.loads(line)
    return from_pairs(pairs), State.read(members)


def as_pairs(counts: Counts) -> list[Any]:
    """JSON has no tuples among its keys."""
    return list(counts.items())


def from_pairs(pairs: list[Any]) -> Counts:
    return {tuple(key): times for key, times in pairs}


class Reporter:
    """Tells over a channel. While nobody reads it, the counts stay where they are, and are told later."""

    def __init__(self, relay: Relay, channel: socket.socket) -> None:
        self._relay = relay
        self._channel = channel
        self._told: State | None = None
        self._store_use = (0, 0)
        self._ending = asyncio.Event()
        channel.setblocking(False)
        self._task = relay.loop.create_task(self._run())

    async def end(self) -> None:
        """Tell the rest, if somebody still listens."""
        self._ending.set()
        await asyncio.wait((self._task,), timeout=LAST_WORD_SECONDS)

    async def _run(self) -> None:
        with suppress(ConnectionError):
            while not self._ending.is_set():
                await self._tell()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), REPORT_SECONDS)
            await self._tell()

    async def _tell(self) -> None:
        """The first report is told also when it holds nothing: it says that the worker serves."""
        counts, state = self._take(), self._state()
        if counts or state != self._told:
            self._told = state
            await self._relay.loop.sock_sendall(self._channel, written(counts, state))

    def _take(self) -> Counts:
        counts = self._relay.counters.take()
        for server in self._relay.upstreams.servers:
            if server.failures:
                counts["upstream_failures", str(server.address)] = server.failures
                server.failures = 0
        use, before = self._relay.gate.store_use, self._store_use
        self._store_use = use
        for name, now, then in zip(("store_operations", "store_failures"), use, before, strict=True):
            if now > then:
                counts[name,] = now - then
        return counts

    def _state(self) -> State:
        relay, gate = self._relay, self._relay.gate
        return State(
            connections=relay.seated,
            in_flight=relay.counters.in_flight,
            tunnels=relay.counters.tunnels,
            verifying=gate.verifying,
            kept_bytes=gate.budget.used,
            secrets={name: Secret(health.refused_at, health.accepted_at) for name, health in gate.secrets().items()},
            hardening=gate.hardening(),
        )
