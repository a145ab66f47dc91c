"""The life of the process that serves the admin address."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from caputchin_gate.sidecar.admin.application import Admin
from caputchin_gate.sidecar.admin.sources import Sources
from caputchin_gate.sidecar.worker import Service

CONNECTION_SECONDS: Final = 15.0
GRACE_SECONDS: Final = 2
HEAD_BYTES: Final = 16 * 1024


class Brief(H11Protocol):
    """A connection is for one request, and not for long: who opens many and says nothing keeps nobody out."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.loop.call_later(CONNECTION_SECONDS, transport.abort)

    def shutdown(self) -> None:
        """A connection that was just made has its request on the way: it is still answered."""
        if self.cycle is not None:
            super().shutdown()


class Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """What ends it is the supervisor's alone: SIGTERM, or the end of the channel."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.end)
        yield

    def end(self) -> None:
        self.should_exit = True


def run(service: Service, listening: socket.socket, channel: socket.socket) -> None:
    """Serve until told to end, or until the supervisor is gone."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what is no HTTP is nothing to report
    asyncio.run(_serve(service, listening, channel))


async def _serve(service: Service, listening: socket.socket, channel: socket.socket) -> None:
    sources = await Sources.open(service, channel)
    admin = Admin(sources)
    server = Server(
        uvicorn.Config(
            admin,
            http=Brief,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    tasks = [asyncio.ensure_future(sources.listen(server.end)), asyncio.ensure_future(admin.watch())]
    await server.serve([listening])
    for task in tasks:
        task.cancel()
