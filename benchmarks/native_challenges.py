"""Issuing a native challenge and checking its solution, beside the least that any such scheme has to compute."""

from __future__ import annotations

import hmac
import math
import os
import time
import tracemalloc
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from benchmarks.harness import MICRO, Row, at_most, by_turns, cpu_seconds
from benchmarks.requests import PEER
from benchmarks.solutions import challenges, solved
from caputchin_gate.client_address import network_of
from caputchin_gate.difficulty import Hardening
from caputchin_gate.drivers import World, run
from caputchin_gate.effects import ClaimResult, Counted
from caputchin_gate.engines import Solved
from caputchin_gate.hardening import Thresholds
from caputchin_gate.http_client import HttpClient
from caputchin_gate.stores import open_store
from caputchin_gate.traffic import Traffic, Watch

CLIENT = network_of(PEER)
SOLUTIONS = 2_000
WINDOW = 60.0


def rows() -> Iterator[Row]:
    tokens = solved(SOLUTIONS)
    checks = {"gate": lambda: check(tokens), "one MAC, one hash, one dict": lambda: least_check(tokens)}
    yield row("checking a native solution, claim in memory included", checks)
    yield row("issuing a native challenge, count in memory included", {"gate": issue, "one MAC": least_issue})
    yield Row(
        "what a native challenge leaves in memory",
        bytes_kept(10_000),
        "bytes",
        budget=at_most(1),
        note="Ten thousand challenges for one client: all that may stay is its counter.",
    )


def row(what: str, variants: dict[str, Callable[[], float]]) -> Row:
    samples = by_turns(variants, rounds=9)
    gate, least = variants
    return Row(what, samples.of(gate) * MICRO, "us", ((least, samples.of(least) * MICRO),), at_most(8))


def check(tokens: Sequence[str]) -> float:
    engine, store, now = challenges(), open_store("memory"), time.time()

    def all_of_them() -> None:
        for token in tokens:
            solution = engine.check(token, now=now, client=CLIENT)
            if not isinstance(solution, Solved):
                raise RuntimeError(f"a right solution was refused: {solution}")
            if store.claim(solution.claim_key, solution.until, now) is not ClaimResult.WON:
                raise RuntimeError("a fresh token was not ours to claim")

    return cpu_seconds(all_of_them, len(tokens))


def least_check(tokens: Sequence[str]) -> float:
    key, claimed = os.urandom(32), set()

    def all_of_them() -> None:
        for value in tokens:
            token, _, solution = value.partition(".")
            signed = urlsafe_b64decode(token)
            hmac.compare_digest(hmac.digest(key, signed[:14], "sha256")[:10], signed[14:])
            sha256(token.encode() + solution.encode()).digest()
            claimed.add(signed)

    return cpu_seconds(all_of_them, len(tokens))


def issue(how_many: int = 5_000) -> float:
    """Client and site are counted, a thousand a second, so that the site's record is swapped five times."""
    engine, world, started = challenges(), World(HttpClient(), open_store("memory")), time.time()
    calm = Thresholds(spike=(math.inf, math.inf, math.inf))  # nothing to log
    traffic = Traffic(("default",), os.urandom(32), Watch(thresholds=calm))

    def all_of_them() -> None:
        for number in range(how_many):
            now = started + number / 1000
            if not isinstance(world.store.count(b"0123456789abcdef", WINDOW, now), Counted):
                raise RuntimeError("the store did not count")
            state = run(traffic.asked("default", PEER, CLIENT, now), world)
            if not isinstance(state, Hardening):
                raise RuntimeError("the cap on all was reached")
            engine.issue(now=now, nonce=os.urandom(4), step=1, state=state, client=CLIENT)

    return cpu_seconds(all_of_them, how_many)


def least_issue(how_many: int = 5_000) -> float:
    key = os.urandom(32)

    def all_of_them() -> None:
        for _ in range(how_many):
            body = os.urandom(14)
            urlsafe_b64encode(body + hmac.digest(key, body, "sha256")[:10])

    return cpu_seconds(all_of_them, how_many)


def bytes_kept(how_many: int) -> float:
    engine, store, now = challenges(), open_store("memory"), time.time()
    store.count(b"0123456789abcdef", WINDOW, now)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(how_many):
        store.count(b"0123456789abcdef", WINDOW, now)
        engine.issue(now=now, nonce=os.urandom(4), step=1, client=CLIENT)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return max(0, after - before) / how_many
