"""The Redis store while threads and an event loop ask it all the time, and things happen to the servers: no token gets
in twice, every answer comes in time, nothing is raised, and it recovers by itself."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.stores.redis import RedisStore
from caputchin_gate.stores.redis_address import read_address
from tests.redis_servers import APPEND_ONLY, SYNCED_AT_ONCE, RedisCluster, RedisServer, until
from tests.stores.cut_connections import Cut, Relay

WON, LOST, STORE_DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
LIFE = 180.0
PATIENCE = 0.3
THREADS: Final = 6
TASKS: Final = 12


class Load:
    """Threads and an event loop that claim new keys and old ones, swap records and count, until it is over.

    Its clock is moved ahead after each thing that happens, so that what is fresh after a loss of memory need not be
    waited for. No call is under way over such a move: in earnest a claim waits for some seconds at most.
    """

    def __init__(self, *stores: RedisStore) -> None:
        self.won = Counter[bytes]()
        self.answers = Counter[object]()
        self.longest = 0.0
        self._stores = stores
        self._known: list[tuple[bytes, float]] = []
        self._ahead = 0.0
        self._rounds = [0] * (THREADS + TASKS)
        self._over = threading.Event()

    def now(self) -> float:
        return time.time() + self._ahead

    def __enter__(self) -> Load:
        self._threads = ThreadPoolExecutor(THREADS + 1)
        self._running: list[Future[None]] = [self._threads.submit(self._block, seed) for seed in range(THREADS)]
        self._running.append(self._threads.submit(lambda: asyncio.run(self._await())))
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._threads.shutdown()
        for running in self._running:
            running.result()
        for store in self._stores:
            store.close()

    def goes_on(self, happen: Callable[[], object] = lambda: None, *, answered: int = 300) -> None:
        """Let something happen, and wait for some more answers to everybody. What comes then is born later."""
        answers = self.answers.total()
        happen()
        until(lambda: self.answers.total() > answers + answered)
        self._everybody_asks_anew()
        self._ahead += 10.0
        self._everybody_asks_anew()

    def _everybody_asks_anew(self) -> None:
        begun = list(self._rounds)
        until(lambda: all(now > before for now, before in zip(self._rounds, begun, strict=True)))

    def wins_again(self) -> None:
        """Wait until claims are won at all stores."""
        for store in self._stores:
            until(lambda store=store: self._wins(store))

    def _wins(self, store: RedisStore) -> bool:
        now = self.now()
        return store.claim(random.randbytes(20), now + LIFE, now, now) is WON

    def _key(self, source: random.Random) -> tuple[bytes, float, float]:
        now = self.now()
        if source.random() < 0.3 or not self._known:
            self._known.append((source.randbytes(20), now))
        return *source.choice(self._known[-200:]), now

    def _note(self, key: bytes, result: ClaimResult, begun: float) -> None:
        if result is WON:
            self.won[key] += 1
        self.answers[result] += 1
        self.longest = max(self.longest, time.monotonic() - begun)

    def _block(self, seed: int) -> None:
        source, store = random.Random(seed), self._stores[seed % len(self._stores)]
        while not self._over.is_set():
            self._rounds[seed] += 1
            key, born, now = self._key(source)
            begun = time.monotonic()
            self._note(key, store.claim(key, now + LIFE, now, born), begun)
            if source.random() < 0.2:
                assert isinstance(store.count(key, 60.0, now, source.randrange(3)), Counted | StoreDown)
                assert isinstance(store.swap(key, None, b"a", now + LIFE, now), Held | StoreDown)

    async def _await(self) -> None:
        store = self._stores[-1]

        async def visit(seed: int) -> None:
            source = random.Random(THREADS + seed)
            while not self._over.is_set():
                self._rounds[THREADS + seed] += 1
                key, born, now = self._key(source)
                begun = time.monotonic()
                self._note(key, await store.aclaim(key, now + LIFE, now, born), begun)
                if source.random() < 0.2:
                    assert isinstance(await store.acount(key, 60.0, now, source.randrange(3)), Counted | StoreDown)
                    assert isinstance(await store.aswap(key, None, b"a", now + LIFE, now), Held | StoreDown)

        await asyncio.gather(*(visit(seed) for seed in range(TASKS)))
        await store.aclose()


def opened(url: str) -> RedisStore:
    return RedisStore(read_address(url), patience=PATIENCE)


@contextmanager
def under_load(url: str) -> Iterator[Load]:
    """What two processes do; at the end nobody got in twice, and nobody waited for long."""
    load = Load(opened(url), opened(url))
    with load:
        load.wins_again()
        yield load
        load.wins_again()
    assert len(load.won) > 100
    assert max(load.won.values()) == 1
    assert load.longest < 10 * PATIENCE + 3  # a few redirections, each answered in time, on a busy machine


@pytest.mark.parametrize("options", [APPEND_ONLY, ()], ids=["append-only file", "nothing kept"])
def test_a_server_that_is_stopped_started_and_cut_off(tmp_path: Path, options: tuple[str, ...]) -> None:
    with RedisServer(tmp_path, *options) as server, Relay((server.host, server.port)) as relay:
        with under_load(relay.url) as load:
            for _ in range(2):
                load.goes_on(server.restart)
                load.goes_on(server.kill, answered=100)
                load.goes_on(server.start)
                for cut in (Cut.REQUEST, Cut.REPLY, Cut.HALF_REPLY):
                    relay.cut = cut
                    load.goes_on(answered=50)
                relay.cut = Cut.NOWHERE
                load.goes_on(lambda: server.say("CLIENT KILL", "TYPE", "normal"))
        assert load.answers[STORE_DOWN] > 0


def test_a_replica_that_takes_over_without_the_last_claims(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "a", *SYNCED_AT_ONCE) as master,
        RedisServer(tmp_path / "b", *SYNCED_AT_ONCE) as replica,
    ):
        replica.say("REPLICAOF", master.host, master.port)
        until(lambda: replica.say("INFO", "replication")["master_link_status"] == "up")
        with Relay((master.host, master.port)) as relay, under_load(relay.url) as load:
            load.goes_on()
            replica.say("REPLICAOF", "NO", "ONE")  # from now on it learns nothing
            load.goes_on()
            relay.target = (replica.host, replica.port)
            master.kill()
            load.goes_on()


def test_a_cluster_that_loses_the_node_with_the_claims(redis_cluster_nodes: RedisCluster) -> None:
    cluster = redis_cluster_nodes
    cluster.empty()
    replicated = cluster.replicated
    with under_load(cluster.url) as load:
        load.goes_on()
        replicated.kill()
        until(
            lambda: len([server for server in cluster.servers if server is not replicated and is_master(server)]) == 3
        )
        load.goes_on(answered=1000)
        replicated.start()
        until(cluster.is_whole)
        load.goes_on()


def is_master(server: RedisServer) -> bool:
    return bool(server.say("ROLE")[0] == b"master")
