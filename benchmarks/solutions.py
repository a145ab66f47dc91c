"""Challenges that are solved before anything is measured: checking takes one hash, however hard the solving was."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from time import time
from typing import Any

from benchmarks.requests import PEER
from caputchin_gate import Gate
from caputchin_gate.client_address import network_of
from caputchin_gate.engines.native import NONCE_BYTES, NativeChallenges
from caputchin_gate.engines.solver import solve

SIGNING_KEY = "the signing key of the benchmarks, never used elsewhere"
LIFETIME = 300


def challenges() -> NativeChallenges:
    """The same challenges as those of `gate`."""
    return NativeChallenges((sha256(SIGNING_KEY.encode()).digest(),), site_key="default", lifetime=LIFETIME)


def gate(store: str = "memory", **options: Any) -> Gate:
    """A gate that accepts what `solved` returns, each once."""
    options = {"protect": ["POST /contact"], **options}
    return Gate(
        provider="caputchin",
        verification="in-process",
        store=store,
        in_process={"signing_key": SIGNING_KEY, "lifetime": LIFETIME},
        **options,
    )


def solved(how_many: int, client: str = PEER) -> list[str]:
    """Different field values, valid for five minutes when they come from this client."""
    issuer, now = challenges(), time()
    issued = [
        issuer.issue(now=now, nonce=number.to_bytes(NONCE_BYTES), step=1, client=network_of(client))
        for number in range(how_many)
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        solutions = pool.map(solve, *zip(*((one.token, one.target) for one in issued), strict=True), chunksize=50)
        return [f"{one.token}.{solution}" for one, solution in zip(issued, solutions, strict=True)]
