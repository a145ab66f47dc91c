"""A store that is awaited, seen as one that blocks: so both run through the same tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.stores import AwaitedStore, Store

T = TypeVar("T")


class FromThreads:
    """Asks on an event loop of its own."""

    def __init__(self, store: Store) -> None:
        assert isinstance(store, AwaitedStore)
        self._store: AwaitedStore = store
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def claim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult:
        return self._wait(self._store.aclaim(key, until, now, born))

    def claimed(self, key: bytes, now: float, born: float = 0.0) -> bool | StoreDown:
        return self._wait(self._store.aclaimed(key, now, born))

    def count(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown:
        return self._wait(self._store.acount(key, window, now, times))

    def swap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        return self._wait(self._store.aswap(key, old, new, until, now))

    claim_now = claim
    count_now = count
    swap_now = swap

    def signing_key(self) -> bytes:
        return self._store.signing_key()

    def close(self) -> None:
        if self._thread.is_alive():
            self._wait(self._store.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
