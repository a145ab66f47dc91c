"""Verifying upstream, 64 at once on one event loop, beside the bare call of the HTTP client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import httpx2

from benchmarks.harness import MICRO, Row, at_most_times, by_turns
from benchmarks.serving import server
from caputchin_gate import Gate, Passed

CALLS = 1_500
AT_ONCE = 64

_serial = count()


def rows() -> Iterator[Row]:
    with server("provider") as port:
        url = f"http://127.0.0.1:{port}/siteverify"
        samples = by_turns({"gate": lambda: asyncio.run(ours(url)), "httpx2": lambda: asyncio.run(bare(url))}, rounds=5)
    yield Row(
        "upstream verification, 64 at once",
        samples.of("gate") * MICRO,
        "us",
        (("httpx2", samples.of("httpx2") * MICRO),),
        at_most_times(1.2),
        note="CPU time of the calling process for one call over kept connections, to a provider that says yes.",
    )


async def ours(url: str) -> float:
    gate = Gate(provider="caputchin", secret="cpt_sec_benchmark", endpoint=url, protect=["POST /contact"])

    async def verify(token: str) -> None:
        verdict = await gate.averify(token, remote_ip="203.0.113.9")
        if not isinstance(verdict, Passed):
            raise RuntimeError(f"the provider said yes, we say {verdict}")

    seconds = await cpu_seconds_of_a_call(verify)
    await gate.aclose()
    return seconds


async def bare(url: str) -> float:
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx2.AsyncClient(limits=limits, trust_env=False) as client:

        async def verify(token: str) -> None:
            answer = await client.post(url, json={"secret": "cpt_sec_benchmark", "response": token})
            if answer.json()["success"] is not True:
                raise RuntimeError("the provider said yes")

        return await cpu_seconds_of_a_call(verify)


async def cpu_seconds_of_a_call(verify: Callable[[str], Awaitable[None]]) -> float:
    async def several(calls: int) -> None:
        for _ in range(calls):
            await verify(f"cpt_tok_{next(_serial):032}")

    await asyncio.gather(*(several(1) for _ in range(AT_ONCE)))  # connections
    started = time.process_time()
    await asyncio.gather(*(several(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
    return (time.process_time() - started) / (CALLS // AT_ONCE * AT_ONCE)
