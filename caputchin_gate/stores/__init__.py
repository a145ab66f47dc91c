"""Where single use is remembered and clients are counted: one contract, one file a store.

The keys of claims and counters are digests made by the caller; a store never sees a token or an address. Every
store keeps these promises, and `tests/stores/` runs one suite over all of them:

- Of any number of claims of one key, by threads or processes that share the store, at most one wins. That holds for
  any path of the clock: a store that has forgotten records since tells a clock that was set back, and lets nobody win
  until the clock has passed what was forgotten (threats.md R33).
- A record lives at least until its `until`. A full store refuses new claims; it never forgets a live one (R31).
- A store that finds that it lost its memory tells nobody apart who may have claimed before: it refuses the tokens that
  were born before, and those alone.
- Troubles of the world are answers, and end by themselves when the trouble does.
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.engines import LEEWAY, LONGEST_REDEEMED
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.secret import Secret

LONGEST_CLAIM: Final = LONGEST_REDEEMED + 2.0 * LEEWAY  # seconds: no token of ours is remembered for longer
WAITED: Final = 3.0  # seconds: the clock of a claim is that of before it waited for a lock, a connection, a reply
GRACE: Final = 10.0  # seconds a record outlives its end: a claim that had to wait comes with the clock of before


class Store(Protocol):
    """The `_now` variants never wait: None says that the other variant, which may wait, has to be asked."""

    def claim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult:
        """Make `key` ours, once. Remembered until `until`; times are Unix seconds.

        born: before this time nobody can have claimed the key; 0 where that is not known, and then a store that lost
            its memory refuses until no token of before is alive.
        """
        ...

    def claim_now(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult | None: ...

    def claimed(self, key: bytes, now: float, born: float = 0.0) -> bool | StoreDown:
        """Whether a claim of `key` would be lost by now."""
        ...

    def count(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown:
        """Count more events of `key`; none with 0 `times`, which only looks and keeps nothing.

        A window begins with its first event and lasts `window` seconds.
        """
        ...

    def count_now(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown | None: ...

    def swap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        """Put `new` where `old` stands (None: no record), atomically; else change nothing. Kept until `until`."""
        ...

    def swap_now(
        self, key: bytes, old: bytes | None, new: bytes, until: float, now: float
    ) -> Held | StoreDown | None: ...

    def signing_key(self) -> bytes:
        """32 random bytes, the same for all who share the store. Raises ConfigurationError for an unusable store."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class AwaitedStore(Store, Protocol):
    """A store that event loops ask by awaiting, and never by a thread."""

    async def aclaim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult: ...

    async def aclaimed(self, key: bytes, now: float, born: float = 0.0) -> bool | StoreDown: ...

    async def acount(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown: ...

    async def aswap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown: ...

    async def aclose(self) -> None: ...


def open_store(setting: str | Secret) -> Store:
    """The store a setting names. Nothing is opened yet: `signing_key` is the first use, and says what is wrong.

    A URL can hold a password, so no message repeats one.
    """
    setting = setting.reveal() if isinstance(setting, Secret) else setting
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
        case "redis" | "rediss" | "redis+cluster" | "rediss+cluster" | "unix" if separator:
            from importlib.util import find_spec

            from caputchin_gate.stores.redis_address import read_address

            address = read_address(setting)
            if find_spec("redis") is not None:
                from caputchin_gate.stores.redis import RedisStore

                return RedisStore(address)
            what, fix = "the package redis is not installed", "pip install 'caputchin-gate[redis]'"
        case _:
            name = scheme.partition(":")[0]
            what, fix = f"{name!r} is not known", nearest(name, ("sqlite", "memory", "redis"))
    raise ConfigurationError([Problem("store", what, fix)])
