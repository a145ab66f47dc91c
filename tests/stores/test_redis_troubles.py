"""The Redis store when the server, the network or the operator fails it: nobody gets in twice, nothing hangs, and it
recovers by itself. All of it blocking and awaited, over real servers."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from caputchin_gate.effects import ClaimResult, Counted, StoreDown
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.stores import Store
from caputchin_gate.stores.redis import RedisStore
from caputchin_gate.stores.redis_address import read_address
from tests.redis_servers import APPEND_ONLY, SYNCED_AT_ONCE, RedisServer, free_port, until
from tests.stores.awaited import FromThreads
from tests.stores.cut_connections import Cut, Relay, talker

WON, LOST, STORE_DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
NOW = 1_800_000_000.0
LIFE = 180.0
KEY = b"a key that nobody claims"
AFTER = NOW + 4  # seconds: when a token was born that can't have been claimed before NOW
PATIENCE = 0.3
BOUND = 2 * PATIENCE + 1.0  # what a call may take, and what a busy machine adds
SNAPSHOTS: Final = ("--save", "3600 1", "--appendonly", "no")

Opener = Callable[[str], Store]


def blocking(url: str) -> Store:
    return RedisStore(read_address(url), patience=PATIENCE)


def awaited(url: str) -> Store:
    return FromThreads(blocking(url))


@pytest.fixture(params=[blocking, awaited])
def opened(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Opens stores, each as a process of its own has it."""
    stores: list[Store] = []

    def opener(url: str) -> Store:
        stores.append(request.param(url))
        return stores[-1]

    yield opener
    for store in stores:
        store.close()


def keys(amount: int, seed: int = 0) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(20) for _ in range(amount)]


def claims(store: Store, wanted: list[bytes], now: float = NOW, born: float = 0.0) -> set[ClaimResult]:
    return {store.claim(key, now + LIFE, now, born) for key in wanted}


# The server loses its memory


def nothing_kept(server: RedisServer) -> None:
    server.restart()


def an_append_only_file(server: RedisServer) -> None:
    """It may lack the last seconds, though here it does not."""
    server.restart()


def an_older_snapshot(server: RedisServer) -> None:
    """Of before the claims that are asked for again."""
    server.restart()


def emptied(server: RedisServer) -> None:
    server.say("FLUSHALL")


def claims_deleted(server: RedisServer) -> None:
    for key in server.say("KEYS", "caputchin-gate:*claims*"):
        assert server.say("DEL", key) == 1


@pytest.mark.parametrize("happen", [nothing_kept, an_append_only_file, an_older_snapshot, emptied, claims_deleted])
def test_a_server_that_forgot_gives_no_spent_token_back_and_takes_fresh_ones_at_once(
    tmp_path: Path, opened: Opener, happen: Callable[[RedisServer], None]
) -> None:
    spent, unspent, fresh = keys(20), keys(20, seed=1), keys(20, seed=2)
    options = {an_older_snapshot: SNAPSHOTS, an_append_only_file: APPEND_ONLY}.get(happen, ())
    with RedisServer(tmp_path, *options) as server:
        stores = [opened(server.url), opened(server.url)]
        assert [store.claim(key, NOW + LIFE, NOW) for store, key in zip(stores, keys(2, seed=9), strict=True)] == [
            WON,
            WON,
        ]
        if happen is an_older_snapshot:
            server.say("SAVE")
        assert claims(stores[0], spent) == {WON}
        happen(server)
        for store in reversed(stores):
            assert claims(store, spent) == {LOST}
            assert store.claimed(spent[0], NOW) is True
            assert claims(store, unspent, born=NOW - 5) == {LOST}  # they can't be told apart
        assert claims(stores[0], fresh, born=AFTER) == {WON}
        assert claims(stores[1], fresh, born=AFTER) == {LOST}
        assert claims(stores[1], spent, NOW + 7000, born=NOW - 5) == {LOST}  # Cap's tokens may live for two hours
        assert stores[1].claimed(fresh[0], NOW, AFTER) is True
        assert stores[1].claimed(KEY, NOW, AFTER) is False
        assert claims(stores[0], unspent, NOW + 7000) == {LOST}  # nobody knows since when they are out
        assert claims(stores[1], unspent, NOW + 7300) == {WON}


def test_a_process_that_comes_after_the_loss_of_a_part_finds_it_too(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path, *SNAPSHOTS) as server:
        assert claims(opened(server.url), keys(1, seed=9)) == {WON}
        server.say("SAVE")
        assert claims(opened(server.url), keys(5)) == {WON}
        server.restart()
        assert claims(opened(server.url), keys(5)) == {LOST}


def test_a_process_that_knew_the_claims_tells_those_that_came_later(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path) as server:
        knowing = opened(server.url)
        assert claims(knowing, keys(5)) == {WON}
        server.restart()
        newcomer = opened(server.url)
        assert claims(newcomer, keys(5, seed=1)) == {WON}  # to it the store is a new one
        assert claims(knowing, keys(5, seed=2)) == {LOST}
        assert claims(newcomer, keys(5)) == {LOST}


def test_a_claim_with_the_clock_of_before_that_is_the_first_to_see_the_loss_spoils_nothing(
    tmp_path: Path, opened: Opener
) -> None:
    with RedisServer(tmp_path) as server:
        store = opened(server.url)
        assert claims(store, keys(5), NOW + 2, born=NOW + 1) == {WON}
        server.restart()
        assert claims(store, keys(1, seed=1), NOW) == {LOST}  # it has waited for its turn
        assert claims(store, keys(5), NOW + 2, born=NOW + 1) == {LOST}


def test_a_longer_claim_of_before_is_blind_for_longer(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path) as server:
        store = opened(server.url)
        assert store.claim(keys(1)[0], NOW + 7200, NOW) is WON
        server.restart()
        assert [store.claim(keys(1)[0], now + 7200, now) for now in (NOW, NOW + 400, NOW + 7100)] == [LOST] * 3
        assert store.claim(keys(1)[0], NOW + 15000, NOW + 7300) is WON


def test_the_replica_that_takes_over_knows_the_claims(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path / "master", *SYNCED_AT_ONCE) as master, RedisServer(tmp_path / "replica") as replica:
        replica.say("REPLICAOF", master.host, master.port)
        until(lambda: replica.say("INFO", "replication")["master_link_status"] == "up")
        with Relay((master.host, master.port)) as relay:
            store = opened(relay.url)
            assert claims(store, keys(20)) == {WON}
            until(lambda: master.say("WAIT", 1, 100) == 1)
            master.kill()
            relay.target = (replica.host, replica.port)
            assert claims(store, keys(5, seed=1)) == {STORE_DOWN}  # a replica may not be written to
            replica.say("REPLICAOF", "NO", "ONE")
            assert claims(store, keys(20)) == {LOST}
            assert claims(store, keys(20, seed=2), born=AFTER) == {WON}


def test_the_replica_that_takes_over_without_the_last_claims_gives_no_spent_token_back(
    tmp_path: Path, opened: Opener
) -> None:
    with RedisServer(tmp_path / "master", *SYNCED_AT_ONCE) as master, RedisServer(tmp_path / "replica") as replica:
        replica.say("REPLICAOF", master.host, master.port)
        until(lambda: replica.say("INFO", "replication")["master_link_status"] == "up")
        until(lambda: replica.say("INFO", "server")["uptime_in_seconds"] > 5)  # it was there long before the claims
        with Relay((master.host, master.port)) as relay:
            store, other = opened(relay.url), opened(relay.url)
            assert claims(store, keys(1, seed=9)) | claims(other, keys(1, seed=8)) == {WON}
            replica.say("REPLICAOF", "NO", "ONE")  # what the master gets from now on is not sent to it
            assert claims(store, keys(20), born=NOW) == {WON}
            master.kill()
            relay.target = (replica.host, replica.port)
            for asked in (other, store, opened(relay.url)):
                assert claims(asked, keys(20), born=NOW) <= {LOST, STORE_DOWN}
            assert claims(store, keys(20), born=NOW) == {LOST}
            assert claims(store, keys(20, seed=2), born=AFTER) == {WON}


def test_the_signing_key_outlives_the_server_with_those_who_know_it(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path) as server:
        store = opened(server.url)
        key = store.signing_key()
        assert claims(store, keys(1)) == {WON}
        server.restart()
        assert claims(store, keys(1)) == {LOST}
        assert opened(server.url).signing_key() == key


# The server is gone, hangs, or answers something else


def takes_no_longer(act: Callable[[], object], bound: float = BOUND) -> object:
    begun = time.monotonic()
    answer = act()
    assert time.monotonic() - begun < bound
    return answer


def test_without_a_server_every_answer_is_an_outage_and_it_recovers_by_itself(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path, *APPEND_ONLY) as server:
        store = opened(server.url)
        assert claims(store, keys(3)) == {WON}
        server.kill()
        assert takes_no_longer(lambda: claims(store, keys(3))) == {STORE_DOWN}
        assert takes_no_longer(lambda: store.count(b"client", 60.0, NOW)) == StoreDown()
        assert takes_no_longer(lambda: store.claimed(keys(1)[0], NOW)) == StoreDown()
        server.start()
        assert claims(store, keys(3)) == {LOST}
        assert claims(store, keys(3, seed=1), born=AFTER) == {WON}


def test_a_server_that_hangs_holds_nobody_longer_than_the_bound(tmp_path: Path, opened: Opener) -> None:
    wanted = keys(40)
    with RedisServer(tmp_path) as server, ThreadPoolExecutor(40) as threads:
        store = opened(server.url)
        assert claims(store, keys(1, seed=1)) == {WON}
        with server.hanging():
            for _ in range(2):  # over connections of before, and over new ones
                act = lambda: set(threads.map(lambda key: store.claim(key, NOW + LIFE, NOW), wanted))  # noqa: E731
                assert takes_no_longer(act, BOUND + 1) == {STORE_DOWN}
            with pytest.raises(ConfigurationError, match="does not answer"):
                takes_no_longer(opened(server.url).signing_key)
        until(lambda: claims(store, [random.randbytes(20)]) == {WON})
        again = Counter(store.claim(key, NOW + LIFE, NOW) for key in wanted * 2)
        assert again[WON] <= len(wanted)
        assert again[STORE_DOWN] == 0


@pytest.mark.parametrize(
    ("cut", "then"), [(Cut.REQUEST, WON), (Cut.REPLY, LOST), (Cut.HALF_REPLY, LOST)], ids=lambda value: value.value
)
def test_a_connection_that_breaks_in_a_claim_is_an_outage_and_never_a_second_entry(
    tmp_path: Path, opened: Opener, cut: Cut, then: ClaimResult
) -> None:
    with RedisServer(tmp_path) as server, Relay((server.host, server.port)) as relay:
        store = opened(relay.url)
        assert claims(store, keys(1, seed=1)) == {WON}
        relay.cut = cut
        assert takes_no_longer(lambda: claims(store, keys(1))) == {STORE_DOWN}
        relay.cut = Cut.NOWHERE
        assert [store.claim(keys(1)[0], NOW + LIFE, NOW) for _ in range(2)] == [then, LOST]


def test_a_reply_to_somebody_else_wins_nothing_and_its_connection_is_given_up(tmp_path: Path, opened: Opener) -> None:
    mine, next_one = keys(2)
    with RedisServer(tmp_path) as server, Relay((server.host, server.port)) as relay:
        store = opened(relay.url)
        assert claims(store, keys(1, seed=1)) == {WON}
        relay.cut = Cut.STEP
        assert claims(store, [mine]) == {STORE_DOWN}
        relay.cut = Cut.NOWHERE
        assert claims(store, [mine]) == {LOST}
        assert claims(store, [next_one]) == {WON}


def test_a_store_that_is_closed_by_another_thread_in_the_middle_of_a_claim_raises_nothing(
    tmp_path: Path, opened: Opener
) -> None:
    over = threading.Event()
    with RedisServer(tmp_path) as server, ThreadPoolExecutor(8) as threads:
        store = opened(server.url)
        closed = store._store if isinstance(store, FromThreads) else store
        visits = [threads.submit(claims_until, over, store, seed) for seed in range(8)]
        for _ in range(200):
            closed.close()
            time.sleep(0.001)
        over.set()
        for visit in visits:
            assert visit.result() <= {WON, STORE_DOWN}


def claims_until(over: threading.Event, store: Store, seed: int) -> set[ClaimResult]:
    source, results = random.Random(seed), set[ClaimResult]()
    while not over.is_set():
        results.add(store.claim(source.randbytes(20), NOW + LIFE, NOW))
    return results


def test_connections_that_the_server_closed_in_the_meantime_cost_nobody_anything(
    tmp_path: Path, opened: Opener
) -> None:
    with RedisServer(tmp_path) as server, ThreadPoolExecutor(8) as threads:
        store = opened(server.url)
        for seed in range(5):
            claimed = threads.map(lambda key: store.claim(key, NOW + LIFE, NOW), keys(50, seed))
            assert set(claimed) == {WON}
            server.say("CLIENT", "KILL", "TYPE", "normal")


@pytest.mark.parametrize("options", [APPEND_ONLY, ()], ids=["append-only file", "nothing kept"])
def test_under_load_no_token_gets_in_twice_whatever_happens_to_the_server(
    tmp_path: Path, opened: Opener, options: tuple[str, ...]
) -> None:
    over, passed = threading.Event(), 0.0
    known: list[tuple[bytes, float]] = []

    def clock() -> float:
        return time.time() + passed

    def visit(store: Store, seed: int) -> Counter[bytes]:
        """Claims new keys and old ones, until it is over."""
        source, won = random.Random(seed), Counter[bytes]()
        while not over.is_set():
            now = clock()
            if source.random() < 0.3 or not known:
                known.append((source.randbytes(20), now))
            key, born = source.choice(known[-200:])
            if store.claim(key, now + LIFE, now, born) is WON:
                won[key] += 1
        return won

    with RedisServer(tmp_path, *options) as server, ThreadPoolExecutor(8) as threads:
        stores = [opened(server.url) for _ in range(2)]
        assert [claims(store, keys(1, seed), clock()) for seed, store in enumerate(stores)] == [{WON}] * 2
        visits = [threads.submit(visit, stores[number % 2], number) for number in range(8)]
        for _ in range(2):
            for happen in (
                server.restart,
                server.hang,
                server.go_on,
                lambda: server.say("CLIENT KILL", "TYPE", "normal"),
            ):
                mark = len(known) + 100
                happen()
                passed += 10.0  # what is fresh after a loss of memory may come in
                if happen != server.hang:
                    until(lambda mark=mark: len(known) > mark)
                else:
                    over.wait(2 * PATIENCE)
        until(lambda: stores[0].claim(random.randbytes(20), clock() + LIFE, clock(), clock() + 30) is WON)
        over.set()
        won = sum((visit.result() for visit in visits), Counter[bytes]())
    assert len(won) > 100
    assert max(won.values()) == 1


def test_what_is_not_redis_is_an_outage(opened: Opener, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        occupied = server.port
    urls = [f"redis://127.0.0.1:{occupied}", "redis://no-such-host.invalid:6379", f"unix://{tmp_path}/none.sock"]
    for url in urls:
        store = opened(url)
        assert takes_no_longer(lambda store=store: claims(store, keys(1)), 10.0) == {STORE_DOWN}
        with pytest.raises(ConfigurationError, match="does not answer"):
            store.signing_key()


@pytest.mark.parametrize(
    "said",
    [
        b"*4\r\n$3\r\nwon\r\n$20\r\nthe key of another..\r\n$3\r\nrun\r\n:0\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"*3\r\n$3\r\nwon\r\n:1\r\n:2\r\n",
        b":1\r\n",
        b"$-1\r\n",
    ],
)
def test_words_that_are_no_answer_win_nothing(opened: Opener, said: bytes) -> None:
    with talker(said) as port:
        store = opened(f"redis://127.0.0.1:{port}")
        assert takes_no_longer(lambda: claims(store, keys(1))) == {STORE_DOWN}
        assert takes_no_longer(lambda: store.count(b"client", 60.0, NOW)) == StoreDown()


def test_a_server_that_is_loading_is_an_outage_until_it_is_done(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(
        tmp_path, *SNAPSHOTS, "--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"
    ) as server:
        store = opened(server.url)
        assert claims(store, keys(1)) == {WON}
        server.say("EVAL", "for n = 1, 2000 do redis.call('SET', 'other' .. n, n) end", 0)
        server.say("SAVE")
        server.restart(loads=False)
        assert takes_no_longer(lambda: claims(store, keys(1))) == {STORE_DOWN}
        until(lambda: claims(store, keys(1)) == {LOST})
        assert claims(store, keys(3, seed=1), born=AFTER) == {WON}


# The operator


def test_a_full_server_refuses_and_serves_again_when_there_is_room(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path) as server:
        store = opened(server.url)
        assert claims(store, keys(3)) == {WON}
        server.say("CONFIG SET", "maxmemory", 1024)
        assert claims(store, keys(3, seed=1)) == {STORE_DOWN}
        assert store.count(b"client", 60.0, NOW) == StoreDown()
        assert claims(store, keys(3)) == {LOST}
        server.say("CONFIG SET", "maxmemory", 0)
        assert claims(store, keys(3, seed=1)) == {WON}
        assert isinstance(store.count(b"client", 60.0, NOW), Counted)


def test_a_server_that_evicts_any_key_is_refused_and_says_what_to_set(
    tmp_path: Path, opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--save", "")
    with RedisServer(tmp_path, *options) as server:
        store = opened(server.url)
        with pytest.raises(ConfigurationError, match=r"^store: .*set noeviction or volatile-ttl"):
            store.signing_key()
        assert claims(store, keys(3)) == {STORE_DOWN}
        assert caplog.text.count("set noeviction") == 1
        server.say("CONFIG SET", "maxmemory-policy", "noeviction")
        assert claims(store, keys(3)) == {WON}


def test_a_server_that_evicts_what_has_an_expiry_evicts_no_claim(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path, "--maxmemory", "8mb", "--maxmemory-policy", "volatile-lru", "--save", "") as server:
        store = opened(server.url)
        assert claims(store, keys(100)) == {WON}
        server.say("EVAL", "for n = 1, 20000 do redis.call('SET', n, string.rep('x', 1000), 'EX', 600) end", 0)
        assert server.say("INFO", "stats")["evicted_keys"] > 0
        assert claims(store, keys(100)) == {LOST}


ODD: Final = "p@ss/w:ö#?&%"


def test_a_wrong_password_is_told_at_the_start_and_never_shown(
    tmp_path: Path, opened: Opener, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with RedisServer(tmp_path, "--requirepass", ODD) as server:
        right = opened(f"redis://:p%40ss%2Fw%3A%C3%B6%23%3F%26%25@{server.host}:{server.port}/0")
        assert claims(right, keys(3)) == {WON}
        for wrong in (f"redis://:canary@{server.host}:{server.port}/0", server.url):
            store = opened(wrong)
            assert claims(store, keys(3)) == {STORE_DOWN}
            with pytest.raises(ConfigurationError, match="it refuses the user or the password") as raised:
                store.signing_key()
            assert "canary" not in str(raised.value) + repr(store) + repr(vars(store))
    printed = capfd.readouterr()
    assert "canary" not in caplog.text + printed.out + printed.err
    assert "refuses the user or the password" in caplog.text


def test_a_user_who_may_not_run_scripts_is_told_at_the_start(tmp_path: Path, opened: Opener) -> None:
    with RedisServer(tmp_path) as server:
        server.say("ACL", "SETUSER", "gate", "on", ">word", "~caputchin-gate:*", "+@all", "-@scripting")
        store = opened(f"redis://gate:word@{server.host}:{server.port}/0")
        with pytest.raises(ConfigurationError, match="may not run the gate's scripts"):
            store.signing_key()
        server.say("ACL", "SETUSER", "gate", "+@scripting")
        assert claims(store, keys(3)) == {WON}


def test_a_trouble_that_lasts_is_logged_once(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(f"redis://127.0.0.1:{free_port()}")
    assert claims(store, keys(30)) == {STORE_DOWN}
    assert caplog.text.count("the store, Redis at 127.0.0.1:") == 1
