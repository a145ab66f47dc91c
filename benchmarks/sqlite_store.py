"""Claims a second of the sqlite store, beside the bare statement. Only the scale: disks differ more than programs."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.harness import Row, by_turns
from caputchin_gate.stores import open_store

CLAIMS = 10_000
LIFETIME = 180.0


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder, f"{number}.db") for number in count())
        variants: dict[str, Callable[[], float]] = {"gate": lambda: ours(next(files))}
        bare = {f"bare insert, synchronous {mode}": mode for mode in ("NORMAL", "OFF")}
        variants |= {name: partial(lambda mode: insert(next(files), mode), mode) for name, mode in bare.items()}
        samples = by_turns(variants, rounds=3)
        peers = tuple((name, 1 / samples.of(name)) for name in bare)
        yield Row("claims in sqlite, one process", 1 / samples.of("gate"), "a second", peers, note="Wall time, WAL.")


def ours(file: Path) -> float:
    store = open_store(f"sqlite://{file}")
    seconds = wall_seconds(lambda key, now: store.claim(key, now + LIFETIME, now))
    store.close()
    return seconds


def insert(file: Path, synchronous: str) -> float:
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute("CREATE TABLE claims (key BLOB PRIMARY KEY, until REAL) WITHOUT ROWID")
    statement = "INSERT INTO claims VALUES (?, ?) ON CONFLICT DO NOTHING"
    seconds = wall_seconds(lambda key, now: database.execute(statement, (key, now + LIFETIME)))
    database.close()
    return seconds


def wall_seconds(claim: Callable[[bytes, float], object]) -> float:
    keys = [os.urandom(16) for _ in range(CLAIMS)]
    now = time.time()
    started = time.perf_counter()
    for key in keys:
        claim(key, now)
    return (time.perf_counter() - started) / CLAIMS
