"""Records and counters of a store in trouble: an outage is an answer, never an exception, and nothing grows for ever.

Claims in trouble: `test_sqlite_troubles.py`, `test_redis_troubles.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from caputchin_gate.effects import Counted, Held, StoreDown
from caputchin_gate.stores import Store
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.stores.redis import RedisStore
from caputchin_gate.stores.redis_address import read_address
from caputchin_gate.stores.sqlite import SqliteStore
from tests.redis_servers import APPEND_ONLY, RedisServer
from tests.stores.awaited import FromThreads
from tests.stores.cut_connections import Cut, Relay
from tests.stores.test_sqlite import locked

NOW = 1_800_000_000.0
LIFE = 120.0
PATIENCE = 0.2


def blocking(url: str) -> Store:
    return RedisStore(read_address(url), patience=PATIENCE)


def awaited(url: str) -> Store:
    return FromThreads(blocking(url))


# A store in use, and a trouble to be in for a while

InTrouble = tuple[Store, Callable[[], AbstractContextManager[object]]]


@contextmanager
def locked_file(folder: Path) -> Iterator[InTrouble]:
    with closing(SqliteStore(folder / "gate.db", patience=PATIENCE)) as store:
        yield store, lambda: locked(folder / "gate.db")


@contextmanager
def missing_folder(folder: Path) -> Iterator[InTrouble]:
    here, elsewhere = folder / "here", folder / "elsewhere"
    here.mkdir()

    @contextmanager
    def away() -> Iterator[None]:
        here.rename(elsewhere)
        yield
        elsewhere.rename(here)

    with closing(SqliteStore(here / "gate.db", patience=PATIENCE)) as store:
        yield store, away


@contextmanager
def dead_redis(folder: Path, opened: Callable[[str], Store]) -> Iterator[InTrouble]:
    with RedisServer(folder, *APPEND_ONLY) as server, closing(opened(server.url)) as store:
        yield store, server.killed


@contextmanager
def hanging_redis(folder: Path, opened: Callable[[str], Store]) -> Iterator[InTrouble]:
    with RedisServer(folder) as server, closing(opened(server.url)) as store:
        yield store, server.hanging


@contextmanager
def full_redis(folder: Path, opened: Callable[[str], Store]) -> Iterator[InTrouble]:
    with RedisServer(folder) as server, closing(opened(server.url)) as store:

        @contextmanager
        def full() -> Iterator[None]:
            server.say("CONFIG SET", "maxmemory", 1024)
            yield
            server.say("CONFIG SET", "maxmemory", 0)

        yield store, full


REDIS = [
    pytest.param(partial(trouble, opened=opened), id=f"{trouble.__name__}-{opened.__name__}")
    for trouble in (dead_redis, hanging_redis, full_redis)
    for opened in (blocking, awaited)
]


@pytest.mark.parametrize("trouble", [locked_file, missing_folder, *REDIS])
def test_a_store_in_trouble_swaps_and_counts_nothing_in_time_and_goes_on_afterwards(
    tmp_path: Path, trouble: Callable[[Path], AbstractContextManager[InTrouble]]
) -> None:
    with trouble(tmp_path) as (store, happening):
        assert store.swap(b"record", None, b"a", NOW + LIFE, NOW) == Held(b"a", True)
        assert store.count(b"client", 60.0, NOW, 3) == Counted(3, NOW + 60)
        with happening():
            for act in (
                lambda: store.swap(b"record", b"a", b"b", NOW + LIFE, NOW),
                lambda: store.swap(b"other", None, b"b", NOW + LIFE, NOW),
                lambda: store.count(b"client", 60.0, NOW, 2),
                lambda: store.count(b"other", 60.0, NOW, 2),
            ):
                begun = time.monotonic()
                assert act() == StoreDown()
                assert time.monotonic() - begun < 3 * PATIENCE + 1
            assert isinstance(store.count(b"client", 60.0, NOW, 0), Counted | StoreDown)  # a look may be possible
        # What was under way when a server hung may have been done, once it goes on.
        held = store.swap(b"record", None, b"c", NOW + LIFE, NOW)
        assert held in (Held(b"a", False), Held(b"b", False))
        assert store.swap(b"record", held.value, b"d", NOW + LIFE, NOW) == Held(b"d", True)
        counted = store.count(b"client", 60.0, NOW, 1)
        assert isinstance(counted, Counted)
        assert 4 <= counted.count <= 6


@pytest.fixture(params=[blocking, awaited])
def opened(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Store]]:
    with ExitStack() as stores:
        yield lambda url: stores.enter_context(closing(request.param(url)))


@pytest.mark.parametrize(("cut", "made"), [(Cut.REQUEST, False), (Cut.REPLY, True), (Cut.HALF_REPLY, True)])
def test_a_change_whose_reply_is_lost_is_an_outage_and_is_seen_at_the_next_try(
    redis_server: RedisServer, opened: Callable[[str], Store], cut: Cut, made: bool
) -> None:
    redis_server.empty()
    with Relay((redis_server.host, redis_server.port)) as relay:
        store = opened(relay.url)
        assert store.swap(b"record", None, b"a", NOW + LIFE, NOW) == Held(b"a", True)
        relay.cut = cut
        assert store.swap(b"record", b"a", b"b", NOW + LIFE, NOW) == StoreDown()
        relay.cut = Cut.NOWHERE
        assert store.swap(b"record", b"a", b"b", NOW + LIFE, NOW) == Held(b"b", not made)
        assert store.count(b"client", 60.0, NOW, 1) == Counted(1, NOW + 60)
        relay.cut = cut
        assert store.count(b"client", 60.0, NOW, 5) == StoreDown()
        relay.cut = Cut.NOWHERE
        assert store.count(b"client", 60.0, NOW, 0) == Counted(6 if made else 1, NOW + 60)


def test_a_reply_to_somebody_else_is_no_record_of_ours(
    redis_server: RedisServer, opened: Callable[[str], Store]
) -> None:
    redis_server.empty()
    with Relay((redis_server.host, redis_server.port)) as relay:
        store = opened(relay.url)
        assert store.swap(b"other", None, b"theirs", NOW + LIFE, NOW) == Held(b"theirs", True)
        relay.cut = Cut.STEP
        assert store.swap(b"record", None, b"ours", NOW + LIFE, NOW) == StoreDown()
        relay.cut = Cut.NOWHERE
        assert store.swap(b"record", None, b"ours", NOW + LIFE, NOW) == Held(b"ours", False)


# Room


def test_records_in_memory_are_bounded_and_those_that_are_over_make_room() -> None:
    store = MemoryStore(most_records=1000)
    kept = [store.swap(number.to_bytes(16), None, b"a", NOW + LIFE, NOW) for number in range(2000)]
    assert kept == [Held(b"a", True)] * 1000 + [StoreDown()] * 1000
    assert store.swap((5).to_bytes(16), b"a", b"b", NOW + LIFE, NOW) == Held(b"b", True)  # who has one may go on
    assert store.swap((1500).to_bytes(16), None, b"a", NOW + 3 * LIFE, NOW + LIFE) == Held(b"a", True)
    # One that comes later and ends earlier makes room when it ends.
    for number in range(3000, 3999):
        assert store.swap(number.to_bytes(16), None, b"a", NOW + 1.5 * LIFE, NOW + LIFE) == Held(b"a", True)
    assert store.swap(b"new", None, b"a", NOW + 3 * LIFE, NOW + 1.4 * LIFE) == StoreDown()
    assert store.swap(b"new", None, b"a", NOW + 3 * LIFE, NOW + 1.5 * LIFE) == Held(b"a", True)


def test_a_full_table_of_records_costs_those_who_find_it_full_no_search() -> None:
    def swaps(store: MemoryStore) -> float:
        begun = time.thread_time()
        for number in range(20_000):
            store.swap((10**9 + number).to_bytes(16), None, b"a", NOW + LIFE, NOW + 1)
        return time.thread_time() - begun

    full, roomy = MemoryStore(most_records=10_000), MemoryStore(most_records=100_000)
    for number in range(10_000):
        full.swap(number.to_bytes(16), None, b"a", NOW + LIFE, NOW)
    assert swaps(full) < 5 * swaps(roomy)


def test_records_that_came_and_went_leave_a_memory_store_no_larger() -> None:
    store = MemoryStore(most_records=1000)
    for number in range(200_000):
        now = NOW + number / 10
        assert isinstance(store.swap(number.to_bytes(16), None, b"a", now + 50, now), Held)
    assert len(store._records._held) <= 1000


@pytest.mark.parametrize("back", [0.0, 30.0, 1e6])
def test_a_clock_that_steps_never_leaves_a_table_full_for_good(back: float) -> None:
    store = MemoryStore(most_records=10)
    for number in range(10):
        store.swap(number.to_bytes(16), None, b"a", NOW + LIFE, NOW)
    assert store.swap(b"early", None, b"a", NOW - back + LIFE, NOW - back) == StoreDown()
    assert store.swap(b"late", None, b"a", NOW + 2 * LIFE, NOW + LIFE) == Held(b"a", True)
