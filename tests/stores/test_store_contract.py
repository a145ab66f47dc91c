"""What every store promises (`caputchin_gate/stores/__init__.py`)."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path

import pytest

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.stores import Store, open_store
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.stores.redis import RedisStore
from caputchin_gate.stores.sqlite import SqliteStore

WON, LOST, STORE_DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
NOW = 1_800_000_000.0
LIFE = 180.0


def keys(amount: int, seed: int = 0) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(16) for _ in range(amount)]


KEY, OTHER = keys(2, seed=1)


def claim_like_the_async_driver(store: Store, key: bytes, until: float, now: float) -> ClaimResult:
    result = store.claim_now(key, until, now)
    return result if result is not None else store.claim(key, until, now)


def count_like_the_async_driver(store: Store, key: bytes, window: float, now: float) -> object:
    counted = store.count_now(key, window, now)
    return counted if counted is not None else store.count(key, window, now)


def traffic(store: Store, now: float, amount: int = 300) -> None:
    """Claims of others, which make a store clean up."""
    for key in keys(amount, seed=int(now)):
        assert store.claim(key, now + LIFE, now) is WON


# Single use


def test_a_key_is_won_once(store: Store) -> None:
    assert [store.claim(KEY, NOW + LIFE, NOW) for _ in range(3)] == [WON, LOST, LOST]
    assert store.claim(OTHER, NOW + LIFE, NOW) is WON


def test_the_variant_that_never_waits_gives_the_same_answers(store: Store) -> None:
    claims = [claim_like_the_async_driver(store, key, NOW + LIFE, NOW) for key in keys(50) * 2]
    assert claims == [WON] * 50 + [LOST] * 50


def test_a_key_lost_to_one_variant_is_lost_to_the_other(store: Store) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    assert claim_like_the_async_driver(store, KEY, NOW + LIFE, NOW) is LOST
    assert claim_like_the_async_driver(store, OTHER, NOW + LIFE, NOW) is WON
    assert store.claim(OTHER, NOW + LIFE, NOW) is LOST


def test_a_later_end_does_not_make_a_key_another_one(store: Store) -> None:
    ends = [NOW + LIFE, NOW + LIFE + 0.001, NOW + 31, NOW + 10 * LIFE]
    assert [store.claim(KEY, until, NOW) for until in ends] == [WON, LOST, LOST, LOST]


def test_whether_a_key_is_claimed_can_be_asked_without_claiming_it(store: Store) -> None:
    assert [store.claimed(KEY, NOW), store.claimed(KEY, NOW)] == [False, False]
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    assert [store.claimed(KEY, NOW), store.claimed(OTHER, NOW)] == [True, False]


@pytest.fixture
def threads_that_switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("claim", [Store.claim, claim_like_the_async_driver], ids=["waiting", "now"])
def test_of_32_threads_one_wins_each_key(
    store: Store, claim: Callable[[Store, bytes, float, float], ClaimResult], threads_that_switch_often: None
) -> None:
    wanted = keys(1500 if isinstance(store, MemoryStore) else 150)  # the window is smaller where nothing waits
    start = threading.Barrier(32)

    def contend(_: int) -> list[bytes]:
        act = claim if claim is claim_like_the_async_driver else type(store).claim
        start.wait()
        return [key for key in wanted if act(store, key, NOW + LIFE, NOW) is WON]

    with ThreadPoolExecutor(32) as threads:
        won = Counter(key for winners in threads.map(contend, range(32)) for key in winners)
    assert won == Counter(wanted)


# Time


@pytest.mark.parametrize("until", [NOW, NOW - 0.001, NOW - LIFE, 0.0])
def test_what_is_over_is_lost_and_not_remembered(store: Store, until: float) -> None:
    assert store.claim(KEY, until, NOW) is LOST
    assert claim_like_the_async_driver(store, KEY, until, NOW) is LOST
    assert store.claimed(KEY, NOW) is False


@pytest.mark.parametrize("passed", [0.0, 1.0, LIFE / 2, LIFE - 0.001])
def test_a_key_is_remembered_to_its_end(store: Store, passed: float) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    traffic(store, NOW + passed)
    assert store.claim(KEY, NOW + LIFE, NOW + passed) is LOST
    assert store.claim(KEY, NOW + 10 * LIFE, NOW + passed) is LOST


@pytest.mark.parametrize("back", [0.0, LIFE / 2, LIFE, 300.0, 999.0, 10_000.0])
def test_a_clock_that_runs_ahead_and_is_set_back_makes_no_key_claimable_again(store: Store, back: float) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    traffic(store, NOW + 1000)
    for later in (1050, 1100):
        assert store.claim(KEY, NOW + LIFE, NOW + 1000 - back) is LOST
        traffic(store, NOW + later)


def test_a_key_that_comes_with_a_new_end_is_lost_too_where_the_clock_was_set_back(store: Store) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    traffic(store, NOW + 1000)
    traffic(store, NOW + 1031)
    assert store.claim(KEY, NOW + 10 + LIFE, NOW + 10) is LOST
    assert store.claimed(KEY, NOW + 10) is True


def test_a_clock_that_was_far_ahead_stops_the_store_for_the_life_of_a_token_and_no_longer(store: Store) -> None:
    century = 100 * 365 * 86400.0
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    traffic(store, NOW + century)
    assert store.claim(KEY, NOW + LIFE, NOW) is LOST
    assert store.claim(OTHER, NOW + 3 * LIFE, NOW + 2 * LIFE) is WON


def test_a_claim_that_had_to_wait_is_won_with_the_clock_of_before(store: Store) -> None:
    traffic(store, NOW)
    traffic(store, NOW + 1000)
    assert store.claim(KEY, NOW + 999 + LIFE, NOW + 999) is WON


# Room


def test_a_full_store_refuses_new_claims_and_never_forgets_a_live_one(small_store: Store) -> None:
    won = []
    for key in keys(5000):
        result = small_store.claim(key, NOW + LIFE, NOW)
        if result is not WON:
            assert result is STORE_DOWN
            break
        won.append(key)
    assert 100 < len(won) < 5000
    assert {small_store.claim(key, NOW + LIFE, NOW + 1) for key in keys(300, seed=7)} <= {STORE_DOWN, WON}
    assert [key for key in won if small_store.claim(key, NOW + LIFE, NOW + LIFE - 1) is not LOST] == []


def test_a_full_store_has_room_again_when_its_claims_are_over(small_store: Store) -> None:
    for round_ in range(3):
        now = NOW + round_ * 1000
        results = Counter(small_store.claim(key, now + LIFE, now) for key in keys(1500, seed=round_))
        assert results[WON] > 100
        assert results[STORE_DOWN] > 0


# Counting


@pytest.mark.parametrize("count_one", [Store.count, count_like_the_async_driver], ids=["waiting", "now"])
def test_events_are_counted_in_a_window_that_begins_with_the_first(
    store: Store, count_one: Callable[[Store, bytes, float, float], object]
) -> None:
    act = count_one if count_one is count_like_the_async_driver else type(store).count
    seconds = [0, 0, 30, 59.9, 60, 61, 119.9, 130]
    counted = [act(store, KEY, 60.0, NOW + second) for second in seconds]
    first, second, third = NOW + 60, NOW + 120, NOW + 190
    assert counted == [
        *(Counted(number, first) for number in (1, 2, 3, 4)),
        *(Counted(number, second) for number in (1, 2, 3)),
        Counted(1, third),
    ]


def test_each_key_has_its_own_count_and_claims_have_nothing_to_do_with_it(store: Store) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    assert [store.count(key, 60.0, NOW) for key in (KEY, OTHER, KEY)] == [
        Counted(1, NOW + 60),
        Counted(1, NOW + 60),
        Counted(2, NOW + 60),
    ]
    assert store.claim(OTHER, NOW + LIFE, NOW) is WON


def test_a_clock_that_is_set_back_keeps_the_count_and_never_lengthens_the_wait(store: Store) -> None:
    store.count(KEY, 60.0, NOW)
    assert store.count(KEY, 60.0, NOW - 3600) == Counted(2, NOW - 3600 + 60)
    assert store.count(KEY, 60.0, NOW - 3600 + 59) == Counted(3, NOW - 3600 + 60)


def test_the_counts_of_many_threads_add_up(store: Store) -> None:
    start = threading.Barrier(8)

    def add(_: int) -> None:
        start.wait()
        for _ in range(25):
            assert isinstance(count_like_the_async_driver(store, KEY, 60.0, NOW), Counted)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))
    assert store.count(KEY, 60.0, NOW) == Counted(201, NOW + 60)


def test_a_count_lives_through_the_cleaning_up(store: Store) -> None:
    for second in range(40):
        assert store.count(KEY, 600.0, NOW + second * 10) == Counted(second + 1, NOW + 600)
        store.count(keys(1, seed=1000 + second)[0], 5.0, NOW + second * 10)


def test_several_events_count_at_once_and_none_only_looks(store: Store) -> None:
    assert store.count(KEY, 60.0, NOW, 0) == Counted(0, NOW + 60)
    assert store.count(KEY, 60.0, NOW + 7, 5) == Counted(5, NOW + 67)  # the look began no window
    assert [store.count(KEY, 60.0, NOW + 8, times) for times in (0, 3, 0)] == [
        Counted(5, NOW + 67),
        Counted(8, NOW + 67),
        Counted(8, NOW + 67),
    ]
    assert store.count(KEY, 60.0, NOW + 67, 0) == Counted(0, NOW + 127)


# Records


def swap_like_the_async_driver(
    store: Store, key: bytes, old: bytes | None, new: bytes, until: float, now: float
) -> object:
    held = store.swap_now(key, old, new, until, now)
    return held if held is not None else store.swap(key, old, new, until, now)


@pytest.mark.parametrize("swap", [Store.swap, swap_like_the_async_driver], ids=["waiting", "now"])
def test_a_record_changes_only_where_the_old_one_stands(store: Store, swap: Callable[..., object]) -> None:
    act = swap if swap is swap_like_the_async_driver else type(store).swap
    steps = [
        (b"a", b"b", Held(None, False)),
        (None, b"a\0\xff", Held(b"a\0\xff", True)),
        (None, b"b", Held(b"a\0\xff", False)),
        (b"a", b"b", Held(b"a\0\xff", False)),
        (b"a\0\xff", b"b", Held(b"b", True)),
        (b"b", b"b", Held(b"b", True)),
    ]
    assert [act(store, KEY, old, new, NOW + 60, NOW) for old, new, _ in steps] == [held for *_, held in steps]
    assert act(store, OTHER, b"b", b"c", NOW + 60, NOW) == Held(None, False)


def test_a_record_lives_to_its_end_and_is_none_from_then_on(store: Store) -> None:
    assert store.swap(KEY, None, b"a", NOW + 60, NOW) == Held(b"a", True)
    assert store.swap(KEY, b"a", b"b", NOW + 100, NOW + 59) == Held(b"b", True)
    assert store.swap(KEY, None, b"c", NOW + 200, NOW + 99) == Held(b"b", False)
    assert store.swap(KEY, b"b", b"c", NOW + 200, NOW + 100) == Held(None, False)
    assert store.swap(KEY, None, b"c", NOW + 200, NOW + 100) == Held(b"c", True)


def test_of_many_threads_each_change_of_a_record_is_made_by_one(store: Store) -> None:
    start = threading.Barrier(8)

    def contend(_: int) -> int:
        start.wait()
        won, old = 0, None
        while (number := int(old or b"0")) < 50:
            match swap_like_the_async_driver(store, KEY, old, b"%d" % (number + 1), NOW + 60, NOW):
                case Held(value=value, swapped=swapped):
                    won, old = won + swapped, value
                case StoreDown():
                    raise AssertionError("the store is there")
        return won

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(contend, range(8))) == 50


# The signing key, and the end


def test_a_store_has_one_signing_key_of_its_own(store: Store, tmp_path: Path) -> None:
    key = store.signing_key()
    assert (len(key), store.signing_key()) == (32, key)
    others = MemoryStore(), SqliteStore(tmp_path / "other.db")
    assert key not in {other.signing_key() for other in others}


def test_a_store_can_be_closed_twice(store: Store) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    store.close()
    store.close()


# The setting


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("memory", MemoryStore),
        ("sqlite", SqliteStore),
        ("sqlite:///var/lib/gate.db", SqliteStore),
        ("redis://cache:6379/0", RedisStore),
        ("redis+cluster://cache:7000,cache:7001", RedisStore),
    ],
)
def test_a_setting_names_a_store_and_touches_nothing(setting: str, kind: type[Store]) -> None:
    assert type(open_store(setting)) is kind


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("sqllite", "did you mean 'sqlite'"),
        ("Memory", "did you mean 'memory'"),
        ("memory://", "did you mean 'memory'"),
        ("", "known: memory, redis, sqlite"),
        ("postgres://db/gate", "known: memory, redis, sqlite"),
        ("redis", "did you mean 'redis'"),
        ("reddis://cache", "did you mean 'redis'"),
        ("sqlite://gate.db", "is not an absolute path"),
        ("sqlite://", "is not an absolute path"),
    ],
)
def test_a_setting_that_names_no_store_says_what_to_write(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^store: ") as raised:
        open_store(setting)
    assert sentence in str(raised.value)


# The stores of one process


def test_a_sweep_of_the_memory_store_is_spread_over_many_calls() -> None:
    store = MemoryStore()
    traffic(store, NOW, 50_000)
    held = [len(store)]
    for number, key in zip(range(300), keys(300, seed=5), strict=True):
        store.claim(key, NOW + 1000 + LIFE, NOW + 1000 + number / 100)
        held.append(len(store))
    steps = [before - after for before, after in pairwise(held)]
    assert max(steps) < 50_000 / 100
    assert held[-1] == 300


def test_a_flood_of_clients_neither_fills_the_memory_nor_resets_a_client_that_goes_on() -> None:
    store = MemoryStore(most_counters=10_000)
    flood = iter(keys(100_000))
    for expected in count(1):
        assert store.count(KEY, 60.0, NOW) == Counted(expected, NOW + 60)
        others = [next(flood, None) for _ in range(1000)]
        if None in others:
            break
        assert {store.count(other, 60.0, NOW) for other in others if other} == {Counted(1, NOW + 60)}
    assert sum(map(len, store._counters._parts)) <= 10_000
