"""Checking solutions of ALTCHA challenges beside ALTCHA's own library, on the same payloads, and issuing challenges."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import altcha.v1
import altcha.v2

from benchmarks.harness import MICRO, Row, at_most, at_most_times, by_turns, cpu_seconds
from benchmarks.requests import PEER
from caputchin_gate.client_address import network_of
from caputchin_gate.effects import Counted
from caputchin_gate.engines import Solved, purpose_key
from caputchin_gate.engines.altcha import ALGORITHMS, version2
from caputchin_gate.engines.altcha.challenges import AltchaChallenges
from caputchin_gate.engines.altcha.solver import solve
from caputchin_gate.engines.altcha.terms import RANDOM_BYTES
from caputchin_gate.stores import open_store

KEY: Final = b"k" * 32
SITE: Final = "shop"
CLIENT: Final = network_of(PEER)
TIMES: Final = 1_000
WINDOW: Final = 60.0
NOTE: Final = (
    "The library compares two hashes and leaves clients, work and single use to its user; ours checks the client and "
    "the work, too, and makes the key to claim."
)


def rows() -> Iterator[Row]:
    for algorithm in ALGORITHMS:
        value = solve(issued(algorithm))
        variants = {"gate": lambda: check(value), "altcha": lambda: library_check(algorithm, value)}  # noqa: B023
        samples = by_turns(variants, rounds=9)
        yield Row(
            f"checking an ALTCHA solution, {algorithm}",
            samples.of("gate") * MICRO,
            "us",
            (("altcha", samples.of("altcha") * MICRO),),
            at_most_times(1),
            NOTE,
        )
    yield from issuing()


def issuing() -> Iterator[Row]:
    for algorithm, budget in (("v1/SHA-256", at_most(8)), ("PBKDF2/SHA-256", at_most_times(1))):
        variants = {"gate": lambda: issue(algorithm), "altcha": lambda: library_issue(algorithm)}  # noqa: B023
        samples = by_turns(variants, rounds=9)
        yield Row(
            f"issuing an ALTCHA challenge, {algorithm}, count in memory included",
            samples.of("gate") * MICRO,
            "us",
            (("altcha", samples.of("altcha") * MICRO),),
            budget,
        )


def engine(algorithm: str = ALGORITHMS[0]) -> AltchaChallenges:
    return AltchaChallenges((KEY,), site_key=SITE, algorithm=algorithm, lifetime=300)


def issued(algorithm: str) -> Mapping[str, Any]:
    return engine(algorithm).issue(now=time.time(), random=os.urandom(RANDOM_BYTES), step=1, client=CLIENT)


def check(value: str) -> float:
    challenges, now = engine(), time.time()
    return repeated(lambda: isinstance(challenges.check(value, now=now, client=CLIENT), Solved))


def library_check(algorithm: str, value: str) -> float:
    version = 1 if algorithm.startswith("v1/") else 2
    key = hmac.digest(purpose_key(KEY, f"altcha version {version}"), SITE.encode(), "sha256")
    if version == 1:
        return repeated(lambda: altcha.v1.verify_solution(value, key)[0])
    return repeated(lambda: altcha.v2.verify_solution(value, key).verified)


def repeated(verified: Callable[[], bool]) -> float:
    def all_of_them() -> None:
        for _ in range(TIMES):
            if not verified():
                raise RuntimeError("a right solution was refused")

    return cpu_seconds(all_of_them, TIMES)


def issue(algorithm: str) -> float:
    challenges, store, now = engine(algorithm), open_store("memory"), time.time()

    def all_of_them() -> None:
        for _ in range(TIMES):
            if not isinstance(store.count(b"0123456789abcdef", WINDOW, now), Counted):
                raise RuntimeError("the store did not count")
            challenges.issue(now=now, random=os.urandom(RANDOM_BYTES), step=1, client=CLIENT)

    return cpu_seconds(all_of_them, TIMES)


def library_issue(algorithm: str) -> float:
    if algorithm in version2.ALGORITHMS:
        expires_at = int(time.time()) + 300
        return repeated(
            lambda: bool(altcha.v2.create_challenge(algorithm, 160, expires_at=expires_at, hmac_secret=KEY).signature)
        )
    expires = datetime.fromtimestamp(time.time() + 300, UTC)
    options = altcha.v1.ChallengeOptions(hmac_key=KEY, max_number=8192, salt_length=16, expires=expires)
    return repeated(lambda: bool(altcha.v1.create_challenge(options).signature))
