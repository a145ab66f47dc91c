"""A store of one process. Workers that fork or run beside it have their own: a token is good once in each of them.

Claims are spread over many small dicts, because the work on a large one (growing it, or dropping a million records
at once) would stop the process for as long as half a second.
"""

from __future__ import annotations

import os
import threading
from math import inf
from typing import Final
from weakref import WeakSet

from cachetools import LRUCache

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.stores import GRACE

_PARTS: Final = 256  # a power of two
# Looking up the member of an enum takes longer than storing a claim.
_WON: Final = ClaimResult.WON
_LOST: Final = ClaimResult.LOST
_STORE_DOWN: Final = ClaimResult.STORE_DOWN

_SLOT: Final = 30.0  # records are forgotten in slots of so many seconds


class MemoryStore:
    """most_claims: live claims at once, about 110 bytes each; more are refused.
    most_counters: about how many clients are counted at once; the one that was counted longest ago makes room.
    most_records: live records at once; more are refused.
    """

    def __init__(
        self, *, most_claims: int = 2_000_000, most_counters: int = 100_000, most_records: int = 10_000
    ) -> None:
        self._claims = _Claims(most_claims)
        self._counters = _Counters(most_counters)
        self._records = _Records(most_records)
        self._signing_key = os.urandom(32)
        self._lock = threading.Lock()
        _STORES.add(self)

    def claim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult:
        with self._lock:
            return self._claims.claim(key, until, now)

    def claimed(self, key: bytes, now: float, born: float = 0.0) -> bool | StoreDown:
        with self._lock:
            return self._claims.lost(key, now)

    def count(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown:
        with self._lock:
            return self._counters.count(key, window, now, times)

    def swap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        with self._lock:
            return self._records.swap(key, old, new, until, now)

    # Nothing here waits for anything but another thread's microsecond.
    claim_now = claim
    count_now = count
    swap_now = swap

    def signing_key(self) -> bytes:
        return self._signing_key

    def close(self) -> None:
        """Nothing is open."""

    def __len__(self) -> int:
        """How many claims are remembered."""
        return self._claims.held

    def __bool__(self) -> bool:
        return True

    def renew_lock(self) -> None:
        """In a forked child: the lock may be held by a thread that the child does not have."""
        self._lock = threading.Lock()


_STORES: Final[WeakSet[MemoryStore]] = WeakSet()


def _renew_locks() -> None:
    for store in _STORES:
        store.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class _Claims:
    """Key by key the slot after which it may be forgotten.

    When a slot is over, a sweep begins: each later claim cleans one part, or more while the store is full. `_horizon`
    is the end of the last slot that was forgotten: before it nobody can tell whether a key was claimed.
    """

    def __init__(self, most: int) -> None:
        self.held = 0
        self._most = most
        self._parts: list[dict[bytes, int]] = [{} for _ in range(_PARTS)]
        self._slots: dict[int, int] = {}  # one object for each slot, shared by all its records
        self._horizon = -inf
        self._looked = -inf  # when it was last looked whether a slot is over
        self._over = 0  # the latest slot that the sweep forgets
        self._unswept = 0  # how many parts the sweep has still to clean

    def lost(self, key: bytes, now: float) -> bool:
        return now < self._horizon or key in self._parts[hash(key) % _PARTS]

    def claim(self, key: bytes, until: float, now: float) -> ClaimResult:
        number = hash(key) % _PARTS
        if now < self._horizon or until <= now or key in self._parts[number]:
            return _LOST
        if not 0 <= now - self._looked < _SLOT:
            self._begin_sweep(now)
        if self._unswept:
            self._sweep()
        if self.held >= self._most:
            return _STORE_DOWN
        slot = int(until // _SLOT) + 1
        self._parts[number][key] = self._slots.setdefault(slot, slot)
        self.held += 1
        return _WON

    def _begin_sweep(self, now: float) -> None:
        self._looked = now
        over = [slot for slot in self._slots if slot * _SLOT <= now - GRACE]
        if over:
            self._over = max(over)
            self._horizon = max(self._horizon, self._over * _SLOT)
            self._unswept = _PARTS
            for slot in over:
                del self._slots[slot]

    def _sweep(self) -> None:
        while self._unswept:
            self._unswept -= 1
            self._clean(self._unswept)
            if self.held < self._most:
                return

    def _clean(self, number: int) -> None:
        part = self._parts[number]
        kept = {key: slot for key, slot in part.items() if slot > self._over}
        self.held -= len(part) - len(kept)
        self._parts[number] = kept


class _Counters:
    """The most recent counters, spread like the claims.

    Only about `most` other clients since its last event push one out. Who has so many networks gains nothing by it:
    each of them is served at the easy end anyway.
    """

    def __init__(self, most: int) -> None:
        # Count and end, as tuples: the garbage collector stops looking at them.
        self._parts: list[LRUCache[bytes, tuple[int, float]]] = [
            LRUCache(max(1, most // _PARTS)) for _ in range(_PARTS)
        ]

    def count(self, key: bytes, window: float, now: float, times: int) -> Counted:
        part = self._parts[hash(key) % _PARTS]
        count, ends_at = part.get(key, (0, now))
        if ends_at <= now:
            count, ends_at = 0, now + window
        # A clock that was set back shortens the wait, and keeps the count.
        counted = (count + times, min(ends_at, now + window))
        if times:
            part[key] = counted
        return Counted(*counted)


class _Records:
    """Few and small, so what is over is looked for only when there is no room, and not before some end has passed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[bytes, tuple[bytes, float]] = {}
        self._first_end = inf  # no record is over before

    def swap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        value, ends_at = self._held.get(key, (None, now))
        if ends_at <= now:
            value = None
        if value != old:
            return Held(value, swapped=False)
        if len(self._held) >= self._most and key not in self._held and not self._make_room(now):
            return StoreDown()
        self._held[key] = new, until
        self._first_end = min(self._first_end, until)
        return Held(new, swapped=True)

    def _make_room(self, now: float) -> bool:
        if now >= self._first_end:
            self._held = {key: record for key, record in self._held.items() if record[1] > now}
            self._first_end = min((ends_at for _, ends_at in self._held.values()), default=inf)
        return len(self._held) < self._most
