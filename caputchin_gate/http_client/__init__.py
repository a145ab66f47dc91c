"""One attempt of one call to a provider, from any thread, any event loop, and again after a fork.

Here is where a call runs; what happens on the wire is `exchange.py`, imported at the first call, because the gate
itself starts without an event loop or an HTTP library. Retries and what a reply means are in neither.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from caputchin_gate.effects import Call, NoReply
from caputchin_gate.messages import HttpReply

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from ssl import SSLContext

    from httpcore2 import AsyncConnectionPool

T = TypeVar("T")


class HttpClient:
    """Calls providers. It never raises for what the world does: every failure is a `NoReply`.

    ssl_context: replaces the system's certificate authorities, for a provider with a private one
    connections: how many calls there may be at once on each event loop
    """

    def __init__(self, *, ssl_context: SSLContext | None = None, connections: int = 256) -> None:
        self._ssl_context = ssl_context
        self._connections = connections
        self._pools: dict[AbstractEventLoop, AsyncConnectionPool] = {}

    async def acall(self, call: Call) -> HttpReply | NoReply:
        """Make the call on the running event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop) or await self._open(loop)
        from caputchin_gate.http_client.exchange import exchange

        return await exchange(pool, call)

    def call(self, call: Call) -> HttpReply | NoReply:
        """Make the call from code that has no event loop: a background thread runs one."""
        return _background.run(self.acall(call))

    async def aclose(self) -> None:
        """Close the connections of the running event loop. A later call opens new ones."""
        import asyncio

        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    def close(self) -> None:
        """Close the connections that `call` opened."""
        if _background.loop in self._pools:
            _background.run(self.aclose())

    async def _open(self, loop: AbstractEventLoop) -> AsyncConnectionPool:
        context = await loop.run_in_executor(None, self._prepare)  # imports and certificates take their time
        from caputchin_gate.http_client.exchange import connection_pool

        for ended in [other for other in list(self._pools) if other.is_closed()]:
            self._pools.pop(ended, None)
        return self._pools.setdefault(loop, connection_pool(context, self._connections))

    def _prepare(self) -> SSLContext:
        from caputchin_gate.http_client.exchange import system_authorities

        if self._ssl_context is None:
            self._ssl_context = system_authorities()
        return self._ssl_context


class _Background:
    """An event loop on a thread of its own, started at its first use."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self.loop: AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        import asyncio

        future = asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        try:
            return future.result()
        except BaseException:  # the waiting thread was interrupted
            future.cancel()
            raise

    def _running_loop(self) -> AbstractEventLoop:
        import asyncio

        with self._starting:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self.loop.run_forever, name="caputchin-gate-calls", daemon=True)
                thread.start()
                atexit.register(_stop, self.loop, thread)
            return self.loop


def _stop(loop: AbstractEventLoop, thread: threading.Thread) -> None:
    if thread.is_alive():  # it is not in a child of the process that started it
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=1)


_background = _Background()
_of_the_parent: list[_Background] = []


def _begin_again() -> None:
    """In a forked child the thread is gone. Its loop is kept unused: closing it would disturb the parent's sockets."""
    global _background
    _of_the_parent.append(_background)
    _background = _Background()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
