"""No interleaving of claims and no path of the clock lets a token in twice (threats.md R8, R33)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caputchin_gate.effects import ClaimResult
from caputchin_gate.engines import Solved
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from caputchin_gate.stores import Store, open_store
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.stores.sqlite import SqliteStore
from tests.redis_servers import RedisServer

NOW = 1_800_000_000.0
TOKENS = 2


@contextmanager
def one_memory() -> Iterator[list[Store]]:
    yield [MemoryStore()]


@contextmanager
def two_on_one_file() -> Iterator[list[Store]]:
    """As two processes have it: nothing in common but the file."""
    with tempfile.TemporaryDirectory() as folder:
        stores: list[Store] = [SqliteStore(Path(folder) / "gate.db", upkeep_every=every) for every in (2, 7)]
        yield stores
        for store in stores:
            store.close()


servers: list[RedisServer] = []


@pytest.fixture(scope="module", autouse=True)
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        servers.append(server)
        yield


@contextmanager
def two_on_one_redis() -> Iterator[list[Store]]:
    servers[-1].empty()
    stores = [open_store(servers[-1].url) for _ in range(2)]
    yield stores
    for store in stores:
        store.close()


STORES = pytest.mark.parametrize("stores", [one_memory, two_on_one_file, two_on_one_redis])
StoresMaker = Callable[[], "contextmanager[list[Store]]"]

# Which token is claimed at which store, whether enough others came before to clean up, and how the clock moved.
STEPS = st.lists(
    st.tuples(
        st.integers(0, TOKENS - 1),
        st.integers(0, 1),
        st.booleans(),
        st.one_of(st.sampled_from([0.0, 0.0, 1000.0, -1000.0, 300.0, -300.0, 1e6, -1e6]), st.floats(-400, 400)),
    ),
    max_size=12,
)


def claim(store: Store, key: bytes, until: float, now: float) -> ClaimResult:
    result = store.claim_now(key, until, now)
    return result if result is not None else store.claim(key, until, now)


def traffic(store: Store, cleans: bool, now: float, at: int) -> None:
    """Claims of others; enough of them make a store forget what is over."""
    enough = 300 if isinstance(store, MemoryStore) else 8
    for number in range(enough if cleans else 1):
        claim(store, b"other" + at.to_bytes(4) + number.to_bytes(4), now + 180, now)


@STORES
@settings(max_examples=50, deadline=None)
@given(steps=STEPS)
def test_a_token_is_admitted_at_most_once_whatever_the_clock_does(stores: StoresMaker, steps: list[tuple]) -> None:
    """The end of a token is its own: 180 seconds after it was issued."""
    with stores() as shared:
        now, won = NOW, []
        for at, (token, store, cleans, change) in enumerate(steps):
            now += change
            chosen = shared[store % len(shared)]
            traffic(chosen, cleans, now, at)
            if claim(chosen, bytes([token]) * 16, NOW + 180 + token * 60, now) is ClaimResult.WON:
                won.append(token)
        assert len(won) == len(set(won))


@STORES
@settings(max_examples=50, deadline=None)
@given(steps=STEPS)
def test_a_key_that_was_won_is_won_again_only_when_its_time_is_over(stores: StoresMaker, steps: list[tuple]) -> None:
    """Tokens of other makers have no end that we know: each claim of one comes with an end of its own."""
    with stores() as shared:
        now, over = NOW, [float("-inf")] * TOKENS
        for at, (token, store, cleans, change) in enumerate(steps):
            now += change
            chosen = shared[store % len(shared)]
            traffic(chosen, cleans, now, at)
            if claim(chosen, bytes([token]) * 16, now + 300, now) is ClaimResult.WON:
                assert now >= over[token]
                over[token] = now + 300


# The setting may change: workers with the old one and the new one run side by side.
LIFETIMES = (10, 120, 300)
ENGINES = [NativeChallenges([b"k" * 32], site_key="site", lifetime=lifetime) for lifetime in LIFETIMES]
ENGINE = ENGINES[1]
CHALLENGES = [ENGINE.issue(now=NOW, nonce=bytes([0, 0, 0, n]), step=1, client=None) for n in range(TOKENS)]
VALUES = [f"{challenge.token}.{solve(challenge.token, challenge.target)}" for challenge in CHALLENGES]


@STORES
@settings(max_examples=50, deadline=None)
@given(steps=STEPS, workers=st.lists(st.sampled_from(ENGINES), min_size=12, max_size=12))
@example(steps=[(0, 0, False, 0.0), (1, 0, True, 240.0), (0, 0, False, 0.0)], workers=[ENGINE, *ENGINES[2:] * 11])
def test_a_solved_challenge_passes_at_most_once_and_only_in_its_time(
    stores: StoresMaker, steps: list[tuple], workers: list[NativeChallenges]
) -> None:
    with stores() as shared:
        now, passed = NOW, []
        for at, (token, store, cleans, change) in enumerate(steps):
            now = max(0.0, now + change)
            chosen = shared[store % len(shared)]
            traffic(chosen, cleans, now, at)
            match workers[at].check(VALUES[token], now=now, client=None):
                case Solved(claim_key=key, until=until):
                    assert NOW - 30 <= now <= NOW + workers[at].lifetime
                    assert until > now
                    if claim(chosen, key, until, now) is ClaimResult.WON:
                        passed.append(token)
        assert len(passed) == len(set(passed))


@STORES
def test_a_challenge_passes_once_when_the_clock_stands_still(stores: StoresMaker) -> None:
    with stores() as shared:
        solved = [ENGINE.check(value, now=NOW, client=None) for value in VALUES]
        keys = [each.claim_key for each in solved if isinstance(each, Solved)]
        results = [claim(store, key, NOW + 180, NOW) for store in shared for key in keys]
    assert results.count(ClaimResult.WON) == TOKENS
