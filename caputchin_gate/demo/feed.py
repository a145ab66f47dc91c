"""The gate's decisions as a stream of Server-Sent Events, for any number of open pages up to a bound.

A page that connects gets the latest decisions at once, then each as it is made. Nothing here grows: what is kept,
how many pages may listen and how far one may fall behind are all bounded.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from time import time
from typing import Any, Final

from caputchin_gate.verdict import Decision

KEPT: Final = 100
READERS: Final = 32

_RECONNECT_AFTER: Final = "retry: 2000\n\n"


class Feed:
    """Collects what happens and tells every page that listens. Used from one event loop."""

    def __init__(self) -> None:
        self._lines: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._readers: set[asyncio.Queue[str | None]] = set()
        self._closed = False
        self.admitted = 0
        self.refused = 0
        self.runs = 0

    def decided(self, decision: Decision) -> None:
        """The gate has decided about a request."""
        if decision.admitted:
            self.admitted += 1
        else:
            self.refused += 1
        line = {
            "at": time(),
            "admitted": decision.admitted,
            "reason": decision.reason,
            "status": decision.status,
            "route": decision.route,
            "token": decision.token_digest,
            "elapsed": round(decision.elapsed * 1000, 2),
        }
        self._lines.append(line)
        self._publish("news", [line])

    def application_ran(self) -> None:
        """Called by the application itself, first thing in its handler."""
        self.runs += 1
        self._publish("news", [])

    async def listen(self) -> AsyncGenerator[str, None]:
        """The stream for one page. It ends when the page falls too far behind: the browser then connects again."""
        yield _RECONNECT_AFTER
        if self._closed or len(self._readers) >= READERS:
            return
        reader: asyncio.Queue[str | None] = asyncio.Queue(KEPT)
        self._readers.add(reader)
        try:
            yield self._event("snapshot", list(self._lines))
            while (event := await reader.get()) is not None:
                yield event
        finally:
            self._readers.discard(reader)

    def close(self) -> None:
        """End all streams, so that the server need not wait for them."""
        self._closed = True
        for reader in tuple(self._readers):
            self._dismiss(reader)

    def _publish(self, name: str, lines: list[dict[str, Any]]) -> None:
        event = self._event(name, lines)
        for reader in tuple(self._readers):
            try:
                reader.put_nowait(event)
            except asyncio.QueueFull:
                self._dismiss(reader)

    def _dismiss(self, reader: asyncio.Queue[str | None]) -> None:
        self._readers.discard(reader)
        while not reader.empty():
            reader.get_nowait()
        reader.put_nowait(None)

    def _event(self, name: str, lines: list[dict[str, Any]]) -> str:
        data = {"lines": lines, "admitted": self.admitted, "refused": self.refused, "runs": self.runs}
        return f"event: {name}\ndata: {json.dumps(data)}\n\n"
