"""Where single use is remembered and clients are counted: one contract, one file a store.

The keys of claims and counters are digests made by the caller; a store never sees a token or an address. Every
store keeps these promises, and `tests/stores/` runs one suite over all of them:

- Of any number of claims of one key, by threads or processes that share the store, at most one wins. That holds for
  any path of the clock: a store that has forgotten records since tells a clock that was set back, and lets nobody win
  until the clock has passed what was forgotten (threats.md R33).
- A record lives at least until its `until`. A full store refuses new claims; it never forgets a live one (R31).
- Troubles of the world are answers, and end by themselves when the trouble does.
"""

from __future__ import annotations

from typing import Final, Protocol

from caputchin_gate.effects import ClaimResult, Counted, StoreDown
from caputchin_gate.errors import ConfigurationError, Problem, nearest

GRACE: Final = 10.0  # seconds a record outlives its end: a claim that had to wait comes with the clock of before


class Store(Protocol):
    """The `_now` variants never wait: None says that the other variant, which may wait, has to be asked."""

    def claim(self, key: bytes, until: float, now: float) -> ClaimResult:
        """Make `key` ours, once. Remembered until `until`; times are Unix seconds."""
        ...

    def claim_now(self, key: bytes, until: float, now: float) -> ClaimResult | None: ...

    def claimed(self, key: bytes, now: float) -> bool | StoreDown:
        """Whether a claim of `key` would be lost by now."""
        ...

    def count(self, key: bytes, window: float, now: float) -> Counted | StoreDown:
        """Count one more event of `key`. Its window begins with its first event and lasts `window` seconds."""
        ...

    def count_now(self, key: bytes, window: float, now: float) -> Counted | StoreDown | None: ...

    def signing_key(self) -> bytes:
        """32 random bytes, the same for all who share the store. Raises ConfigurationError for an unusable store."""
        ...

    def close(self) -> None: ...


def open_store(setting: str) -> Store:
    """The store a setting names. Nothing is opened yet: `signing_key` is the first use, and says what is wrong."""
    scheme, separator, location = setting.partition("://")
    match scheme:
        case "memory" if not separator:
            from caputchin_gate.stores.memory import MemoryStore

            return MemoryStore()
        case "sqlite" if not separator or location.startswith("/"):
            from caputchin_gate.stores.sqlite import SqliteStore, default_path

            return SqliteStore(location or default_path(), makes_folder=not location)
        case "sqlite":
            what, fix = f"{setting!r} is not an absolute path", 'write it like "sqlite:///var/lib/gate.db"'
        case "redis" | "rediss":
            what, fix = "Redis is not available in this version", 'use "sqlite" for all processes of one machine'
        case _:
            what, fix = f"{setting!r} is not known", nearest(scheme, ("sqlite", "memory"))
    raise ConfigurationError([Problem("store", what, fix)])
