"""Claims a second of the Redis store, beside the bare command. Only the scale: client and server share the machine."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from benchmarks.harness import Row, by_turns
from caputchin_gate.stores import AwaitedStore, open_store
from tests.redis_servers import RedisServer

CLAIMS = 10_000
AT_ONCE = 64
LIFETIME = 180.0


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        for name, ours, bare in (("one thread", blocking, bare_blocking), (f"{AT_ONCE} tasks", awaited, bare_awaited)):
            samples = by_turns(
                {"gate": lambda ours=ours: ours(server), "SET NX PX": lambda bare=bare: bare(server)}, rounds=3
            )
            figures = {one: 1 / samples.of(one) for one in ("gate", "SET NX PX")}
            peers = (("SET NX PX", figures["SET NX PX"]),)
            yield Row(f"claims in Redis, {name}", figures["gate"], "a second", peers, note="Wall time, redis-py.")


def keys() -> list[bytes]:
    return [os.urandom(16) for _ in range(CLAIMS)]


def blocking(server: RedisServer) -> float:
    store = open_store(server.url)
    mine, now, started = keys(), time.time(), time.perf_counter()
    for key in mine:
        store.claim(key, now + LIFETIME, now)
    seconds = time.perf_counter() - started
    store.close()
    return seconds / CLAIMS


def bare_blocking(server: RedisServer) -> float:
    client = redis.Redis(server.host, server.port, protocol=2)
    mine, started = keys(), time.perf_counter()
    for key in mine:
        client.set(key, 1, nx=True, px=int(LIFETIME * 1000))
    seconds = time.perf_counter() - started
    client.close()
    return seconds / CLAIMS


def awaited(server: RedisServer) -> float:
    async def claims() -> float:
        store = open_store(server.url)
        assert isinstance(store, AwaitedStore)
        now = time.time()
        seconds = await at_once(lambda key: store.aclaim(key, now + LIFETIME, now))
        await store.aclose()
        return seconds

    return asyncio.run(claims())


def bare_awaited(server: RedisServer) -> float:
    async def claims() -> float:
        client = redis.asyncio.Redis(host=server.host, port=server.port, protocol=2)
        seconds = await at_once(lambda key: client.set(key, 1, nx=True, px=int(LIFETIME * 1000)))
        await client.aclose()
        return seconds

    return asyncio.run(claims())


async def at_once(claim: Callable[[bytes], Awaitable[Any]]) -> float:
    mine = iter(keys())

    async def visit() -> None:
        for key in mine:
            await claim(key)

    started = time.perf_counter()
    await asyncio.gather(*(visit() for _ in range(AT_ONCE)))
    return (time.perf_counter() - started) / CLAIMS
