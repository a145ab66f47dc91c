"""The store in memory with a million live entries: what a claim costs, what an entry takes, and the worst call while
all of them expire. Each candidate fills a process of its own, because memory that was freed is seldom given back."""

from __future__ import annotations

import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import MICRO, Row, at_most
from caputchin_gate.effects import ClaimResult

ENTRIES = 1_000_000
BATCH = 20_000
LIFETIME = 180.0  # seconds a native token can be redeemed in, leeway included
ROUNDS = 3

Claim = Callable[[bytes, float, float], object]


@dataclass(frozen=True, slots=True)
class Measured:
    claim: float
    bytes_per_entry: float
    worst_call: float | None


def rows() -> Iterator[Row]:
    candidates = {"gate": our_store, "dict": plain_dict, "TTLCache": ttl_cache}
    measured: dict[str, list[Measured]] = {name: [] for name in candidates}
    for number in range(ROUNDS):
        for name, candidate in candidates.items():
            expiring = name == "gate" or (name == "TTLCache" and number == 0)
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
                measured[name].append(fresh.submit(measure, candidate, expiring=expiring).result())

    def row(what: str, unit: str, scale: float, limit: float, of: str, peers: tuple[str, ...], note: str = "") -> Row:
        taken = {
            name: [value for one in rounds if (value := getattr(one, of)) is not None]
            for name, rounds in measured.items()
        }
        typical = max if of == "worst_call" else statistics.median
        figures = {name: typical(values) * scale for name, values in taken.items() if values}
        beside = tuple((peer, figures[peer]) for peer in peers)
        return Row(what, figures["gate"], unit, beside, at_most(limit), note)

    yield row("claim in memory", "us", MICRO, 1, "claim", ("dict", "TTLCache"))
    yield row(
        "memory of an entry, at a million",
        "bytes",
        1,
        130,
        "bytes_per_entry",
        ("dict", "TTLCache"),
        "Resident memory, keys of 16 bytes included. The dict keeps one time for each key and expires nothing.",
    )
    yield row(
        "worst claim while a million entries expire",
        "ms",
        1000,
        10,
        "worst_call",
        ("TTLCache",),
        "CPU time of the call, the worst of all rounds (one round for TTLCache). The entries expire as they came, while"
        " a million new ones arrive; then those expire all at once, after an idle hour.",
    )


def our_store() -> Claim:
    from caputchin_gate.stores import open_store

    return open_store("memory").claim


def plain_dict() -> Claim:
    held: dict[bytes, float] = {}

    def claim(key: bytes, until: float, now: float) -> bool:
        if key in held:
            return False
        held[key] = until
        return True

    return claim


def ttl_cache() -> Claim:
    from cachetools import TTLCache

    clock = [0.0]
    held: TTLCache[bytes, None] = TTLCache(maxsize=10 * ENTRIES, ttl=LIFETIME, timer=lambda: clock[0])

    def claim(key: bytes, until: float, now: float) -> bool:
        clock[0] = now
        if key in held:
            return False
        held[key] = None
        return True

    return claim


def measure(candidate: Callable[[], Claim], *, expiring: bool) -> Measured:
    chance, now, pace = random.Random(1), 1_700_000_000.0, LIFETIME / ENTRIES
    claim = candidate()
    before = resident_bytes()
    seconds = 0.0
    for _ in range(ENTRIES // BATCH):
        keys = [chance.randbytes(16) for _ in range(BATCH)]
        started = time.thread_time()
        for key in keys:
            now += pace
            outcome = claim(key, now + LIFETIME, now)
        seconds += time.thread_time() - started
        if outcome not in (True, ClaimResult.WON):
            raise RuntimeError("a fresh key was refused")
    bytes_per_entry = (resident_bytes() - before) / ENTRIES
    worst = worst_call(claim, chance, now, pace) / 1e9 if expiring else None
    return Measured(seconds / ENTRIES, bytes_per_entry, worst)


def worst_call(claim: Claim, chance: random.Random, now: float, pace: float) -> int:
    """CPU nanoseconds."""
    worst = 0
    for number in range(ENTRIES + 1000):
        now += pace if number != ENTRIES else 3600
        key = chance.randbytes(16)
        started = time.thread_time_ns()
        claim(key, now + LIFETIME, now)
        worst = max(worst, time.thread_time_ns() - started)
    return worst


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
