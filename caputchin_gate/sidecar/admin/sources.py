"""Where the admin address knows from what it shows: the supervisor, and the world as it is now."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Final

from caputchin_gate.addresses import Address
from caputchin_gate.sidecar.admin.fresh import Fresh
from caputchin_gate.sidecar.ledger import Snapshot
from caputchin_gate.sidecar.worker import Service

ANSWER_SECONDS: Final = 2.0  # for the supervisor, the store, an upstream
NUMBERS_FRESH: Final = 0.2
WORLD_FRESH: Final = 2.0
LONGEST_LINE: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class World:
    """What can be reached now. store: None where none is needed; upstreams: by address."""

    store: bool | None
    upstreams: Mapping[Address, bool]


class Sources:
    """gone: called when the supervisor is"""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.service = service
        self.world = Fresh(self._look, WORLD_FRESH)
        self._reader = reader
        self._writer = writer
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._snapshot = Fresh(self._ask, NUMBERS_FRESH)

    @classmethod
    async def open(cls, service: Service, channel: socket.socket) -> Sources:
        return cls(service, *await asyncio.open_unix_connection(sock=channel, limit=LONGEST_LINE))

    async def listen(self, gone: Callable[[], object]) -> None:
        """Until the supervisor is gone."""
        while line := await self._reader.readline():
            self._lines.put_nowait(line)
        gone()

    async def snapshot(self) -> Snapshot | None:
        """None when the supervisor does not answer."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._snapshot()
        except (OSError, TimeoutError):
            return None

    async def _ask(self) -> Snapshot:
        self._writer.write(b"?")
        return Snapshot.read(await self._lines.get())

    async def _look(self) -> World:
        gate, upstreams = self.service.gate, self.service.settings.upstreams
        store, *connected = await asyncio.gather(
            _in_time(gate.store_answers()) if gate.uses_store else _nothing(), *map(_takes_connections, upstreams)
        )
        return World(store, dict(zip(upstreams, map(bool, connected), strict=True)))


async def _takes_connections(address: Address) -> bool:
    """Nothing is asked of an application: it may be one that answers a single request at a time."""
    connecting = (
        asyncio.open_unix_connection(address.path)
        if address.path is not None
        else asyncio.open_connection(address.host, address.port)
    )
    try:
        _, writer = await asyncio.wait_for(connecting, ANSWER_SECONDS)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _in_time(answers: Coroutine[object, object, bool]) -> bool:
    try:
        return await asyncio.wait_for(answers, ANSWER_SECONDS)
    except TimeoutError:
        return False


async def _nothing() -> None:
    return None
