"""The stores that share one contract. A new store joins the list and has to pass all of `test_store_contract.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from caputchin_gate.stores import Store, open_store
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.stores.sqlite import SqliteStore
from tests.redis_servers import RedisCluster, RedisServer
from tests.stores.awaited import FromThreads

StoreFactory = Callable[[pytest.FixtureRequest], Store]


def memory(request: pytest.FixtureRequest, **options: Any) -> Store:
    return MemoryStore(**options)


def sqlite(request: pytest.FixtureRequest, **options: Any) -> Store:
    folder: Path = request.getfixturevalue("tmp_path")
    return SqliteStore(folder / "gate.db", **options)


def redis(request: pytest.FixtureRequest) -> Store:
    server: RedisServer = request.getfixturevalue("redis_server")
    server.empty()
    return open_store(server.url)


def redis_awaited(request: pytest.FixtureRequest) -> Store:
    return FromThreads(redis(request))


def redis_cluster(request: pytest.FixtureRequest) -> Store:
    cluster: RedisCluster = request.getfixturevalue("redis_cluster_nodes")
    cluster.empty()
    return open_store(cluster.url)


def redis_cluster_awaited(request: pytest.FixtureRequest) -> Store:
    return FromThreads(redis_cluster(request))


def small_redis(request: pytest.FixtureRequest) -> Store:
    """Little room above what the server needs for itself, which it takes when it is first used."""
    server: RedisServer = request.getfixturevalue("redis_server_of_its_own")
    store = open_store(server.url)
    store.claim(b"long over", 2.0, 1.0)
    server.say("CONFIG SET", "maxmemory", server.say("INFO", "memory")["used_memory"] + 32 * 1024)
    return store


STORE_FACTORIES: Final[dict[str, StoreFactory]] = {
    "memory": memory,
    "sqlite": sqlite,
    "sqlite-in-frequent-upkeep": partial(sqlite, upkeep_every=25),
    "redis": redis,
    "redis-awaited": redis_awaited,
    "redis-cluster": redis_cluster,
    "redis-cluster-awaited": redis_cluster_awaited,
}
SMALL_STORE_FACTORIES: Final[dict[str, StoreFactory]] = {
    "memory": partial(memory, most_claims=500),
    "sqlite": partial(sqlite, most_bytes=32 * 1024),
    "redis": small_redis,
}


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def redis_server_of_its_own(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(params=STORE_FACTORIES.values(), ids=STORE_FACTORIES.keys())
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    made: Store = request.param(request)
    yield made
    made.close()


@pytest.fixture(params=SMALL_STORE_FACTORIES.values(), ids=SMALL_STORE_FACTORIES.keys())
def small_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store that some hundred claims fill."""
    made: Store = request.param(request)
    yield made
    made.close()
