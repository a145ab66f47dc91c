"""A sqlite store on a disk without room, as a process of its own: `test_sqlite_troubles.py`.

python -m tests.stores.no_room limit|disk FOLDER
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.stores.sqlite import SqliteStore

WON, LOST, STORE_DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
NOW = 1_800_000_000.0
LIFE = 180.0
LATER = NOW + 400
KIB = 1024


def limited(folder: Path) -> Callable[[], None]:
    """No file grows above a limit; returned is how to lift it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * KIB, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def shared_with_others(folder: Path) -> Callable[[], None]:
    """Somebody else uses nearly all of the disk; returned is how to remove that."""
    free = os.statvfs(folder)
    filling = folder / "of somebody else"
    filling.write_bytes(bytes(free.f_bavail * free.f_frsize - 100 * KIB))
    return filling.unlink


def claim(store: SqliteStore, key: bytes, now: float) -> ClaimResult:
    result = store.claim_now(key, now + LIFE, now)
    return result if result is not None else store.claim(key, now + LIFE, now)


def fill(store: SqliteStore, now: float) -> list[bytes]:
    """What is won until there is no room."""
    won = []
    while (result := claim(store, key := os.urandom(16), now)) is WON:
        won.append(key)
        assert len(won) < 20_000, "there is room without end"
    assert result is STORE_DOWN
    return won


def refuses_and_goes_on(store: SqliteStore, make_room: Callable[[], None]) -> None:
    won = fill(store, NOW)
    assert len(won) > 10
    assert WON not in {claim(store, key, NOW) for key in won}
    for number in range(20):  # a record or a counter may still find its place
        assert isinstance(store.swap(number.to_bytes(16), None, bytes(4 * KIB), NOW + LIFE, NOW), StoreDown | Held)
        assert isinstance(store.count(number.to_bytes(16), 60.0, NOW, 5), StoreDown | Counted)
    make_room()
    assert claim(store, b"fresh", NOW) is WON
    assert {claim(store, key, NOW) for key in won} == {LOST}
    assert store.swap(b"new", None, b"a", NOW + LIFE, NOW) == Held(b"a", True)


def uses_the_room_of_its_file(store: SqliteStore, make_room: Callable[[], None]) -> None:
    """It has grown before, so all that it lacks is room for its log: that can be moved into the file and begun anew."""
    assert len(fill(store, LATER)) > 500
    make_room()
    assert claim(store, b"fresh", LATER) is WON


def main(room: str, folder: Path) -> None:
    store = SqliteStore(folder / "gate.db", patience=0.1, upkeep_every=300)
    if room == "limit":
        refuses_and_goes_on(store, limited(folder))
    else:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True)
        refuses_and_goes_on(store, shared_with_others(folder))
        assert {claim(store, os.urandom(16), NOW) for _ in range(2000)} == {WON}
        assert {claim(store, os.urandom(16), LATER) for _ in range(600)} == {WON}
        store.close()
        uses_the_room_of_its_file(store, shared_with_others(folder))
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
