"""The Redis store: where it is, who shares it, and how event loops await it. Its troubles: `test_redis_troubles.py`."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import trustme

from caputchin_gate import Gate
from caputchin_gate.drivers import World, arun
from caputchin_gate.effects import Claim, Claimed, ClaimResult, Count, Counted
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.http_client import HttpClient
from caputchin_gate.secret import Secret
from caputchin_gate.stores import AwaitedStore, open_store
from caputchin_gate.stores.redis import RedisStore
from caputchin_gate.stores.redis_address import Address, read_address
from caputchin_gate.stores.redis_claims import Command
from caputchin_gate.stores.redis_nodes import Elsewhere, Lost, Nodes, Sending, directed
from tests.redis_servers import RedisCluster, RedisServer, free_port, until
from tests.stores.awaited import FromThreads
from tests.stores.cut_connections import Relay

WON, LOST, STORE_DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
NOW = 1_800_000_000.0
LIFE = 180.0
FRESH = NOW + 4  # born after any loss of memory that a young server may have had
KEYS = [random.Random(seed).randbytes(20) for seed in range(200)]
KEY, OTHER, THIRD = KEYS[:3]


# The address


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("redis://cache", Address((("cache", 6379),))),
        ("redis://cache:7000/3", Address((("cache", 7000),), database=3)),
        ("redis://[::1]:7000/", Address((("::1", 7000),))),
        ("redis://:word@cache", Address((("cache", 6379),), password=Secret("word"))),
        ("redis://jo:p%40%2F%23@cache/0", Address((("cache", 6379),), user="jo", password=Secret("p@/#"))),
        ("rediss://cache", Address((("cache", 6379),), tls=True)),
        ("rediss://c?ssl_ca_certs=/ca.pem", Address((("c", 6379),), tls=True, tls_files={"ssl_ca_certs": "/ca.pem"})),
        ("unix:///run/redis.sock", Address((("/run/redis.sock", 0),))),
        ("unix://:word@/run/a b.sock?db=2", Address((("/run/a b.sock", 0),), database=2, password=Secret("word"))),
        ("redis+cluster://a,b:7001", Address((("a", 6379), ("b", 7001)), cluster=True)),
        ("rediss+cluster://:word@a", Address((("a", 6379),), cluster=True, tls=True, password=Secret("word"))),
    ],
)
def test_a_url_says_where_the_store_is(setting: str, address: Address) -> None:
    assert read_address(setting) == address


@pytest.mark.parametrize(
    "setting",
    [
        "redis://",
        "redis:///0",
        "redis://:canary",
        "redis://:can/ary@cache:6379/0",
        "redis://:can#ary@cache:6379/0",
        "redis://:can?ary@cache:6379/0",
        "redis://canary@cache:6379/0",
        "redis://:word@cache:canary/0",
        "redis://:word@cache:6379/canary",
        "redis://:word@cache:6379/0/canary",
        "redis://:word@cache:6379/-1",
        "redis://:word@cache:99999/0",
        "redis://:word@[cache:6379/0",
        "redis://:word@cache:6379/0?canary=1",
        "redis://:word@cache:6379/0?ssl_ca_certs=canary",
        "redis://:word@a,b",
        "redis+cluster://:canary@a,/0",
        "redis+cluster://:canary@a,b/1",
        "unix://:canary@run/redis.sock",
        "unix://",
        "unix:///run/redis.sock?canary=1",
        "reddis://:canary@cache",
        "redis:canary",
    ],
)
def test_a_url_that_can_not_be_used_is_told_without_showing_any_of_it(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^store: ") as raised:
        Gate(provider="caputchin", verification="in-process", protect=["POST /contact"], store=setting)
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_password_is_in_no_setting_that_is_shown() -> None:
    gate = Gate(
        provider="caputchin",
        secret="cpt_secret_0123456789",
        protect=["POST /contact"],
        store="redis://:canary@127.0.0.1/0",
    )
    assert "canary" not in repr(vars(gate)) + repr(vars(gate._store)) + repr(gate._store._address)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


def over_tcp(folder: Path, certificates: Path) -> tuple[list[str], Callable[[RedisServer], str]]:
    return [], lambda server: f"redis://{server.host}:{server.port}/3"


def over_a_socket(folder: Path, certificates: Path) -> tuple[list[str], Callable[[RedisServer], str]]:
    return [], lambda server: f"unix://{server.socket}?db=3"


def over_tls(folder: Path, certificates: Path) -> tuple[list[str], Callable[[RedisServer], str]]:
    port, pem = free_port(), str(certificates / "server.pem")
    options = ["--tls-port", str(port), "--tls-cert-file", pem, "--tls-key-file", pem, "--tls-auth-clients", "no"]
    options += ["--tls-ca-cert-file", str(certificates / "ca.pem"), "--save", ""]
    return options, lambda server: f"rediss://127.0.0.1:{port}/3?ssl_ca_certs={certificates}/ca.pem"


@pytest.mark.parametrize("way", [over_tcp, over_a_socket, over_tls])
def test_the_store_is_reached_where_the_url_says(tmp_path: Path, certificates: Path, way: Callable[..., Any]) -> None:
    options, url = way(tmp_path, certificates)
    with RedisServer(tmp_path, *options) as server:
        store = open_store(url(server))
        awaited = FromThreads(open_store(url(server)))
        assert [store.claim(KEY, NOW + LIFE, NOW), awaited.claim(KEY, NOW + LIFE, NOW)] == [WON, LOST]
        assert "keys=1" in str(server.say("INFO", "keyspace")["db3"]).replace("'keys': 1", "keys=1")
        awaited.close()
        store.close()


def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path, certificates: Path) -> None:
    options, url = over_tls(tmp_path, certificates)
    with RedisServer(tmp_path, *options) as server:
        store = open_store(url(server).partition("?")[0])
        with pytest.raises(ConfigurationError, match="does not answer"):
            store.signing_key()


# Who shares it


def at_once(barrier: Barrier) -> None:
    global start
    start = barrier


def contend(url: str, seed: int) -> tuple[list[bytes], bytes]:
    """What one process wins of all keys, blocking and awaiting by turns, and the signing key it finds."""
    store = RedisStore(read_address(url), patience=30.0)  # so many at once take a while on a busy machine
    start.wait(timeout=30)
    signing_key = store.signing_key()
    mine = random.Random(seed).sample(KEYS, len(KEYS))

    async def awaiting() -> list[ClaimResult]:
        results = await asyncio.gather(*(store.aclaim(key, NOW + LIFE, NOW) for key in mine[::2]))
        await store.aclose()
        return results

    results = [*asyncio.run(awaiting()), *(store.claim(key, NOW + LIFE, NOW) for key in mine[1::2])]
    assert set(results) <= {WON, LOST}
    return [key for key, result in zip(mine[::2] + mine[1::2], results, strict=True) if result is WON], signing_key


@pytest.mark.parametrize("place", ["redis_server", "redis_cluster_nodes"])
def test_of_four_processes_one_wins_each_key(request: pytest.FixtureRequest, place: str) -> None:
    server: RedisServer | RedisCluster = request.getfixturevalue(place)
    server.empty()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(4, context, at_once, (context.Barrier(4),)) as processes:
        results = list(processes.map(contend, [server.url] * 4, range(4), timeout=60))
    assert Counter(key for won, _ in results for key in won) == Counter(KEYS)
    assert len({signing_key for _, signing_key in results}) == 1


def test_a_forked_child_has_connections_of_its_own(redis_server: RedisServer) -> None:
    redis_server.empty()
    store = open_store(redis_server.url)
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    child = os.fork()
    if child == 0:
        results = [store.claim(key, NOW + LIFE, NOW) for key in (KEY, OTHER)]
        os._exit(0 if results == [LOST, WON] else 1)
    results = [store.claim(key, NOW + LIFE, NOW) for key in KEYS[2:100]]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert set(results) == {WON}
    assert store.claim(OTHER, NOW + LIFE, NOW) is LOST
    store.close()


# Event loops


@pytest.mark.filterwarnings("error")
def test_each_event_loop_has_connections_of_its_own(redis_server: RedisServer) -> None:
    redis_server.empty()
    store = open_store(redis_server.url)
    assert isinstance(store, AwaitedStore)

    async def claim(key: bytes) -> list[ClaimResult]:
        results = await asyncio.gather(*(store.aclaim(key, NOW + LIFE, NOW) for _ in range(100)))
        await store.aclose()
        return results

    for key in KEYS[:3]:
        assert Counter(asyncio.run(claim(key))) == {WON: 1, LOST: 99}


def test_the_async_driver_awaits_the_store_and_starts_no_thread(redis_server: RedisServer) -> None:
    redis_server.empty()
    store = open_store(redis_server.url)
    assert isinstance(store, RedisStore)

    async def policy() -> list[object]:
        won = await Claim(KEY, NOW + LIFE, NOW)
        return [won, await Claimed(KEY, NOW), await Claimed(OTHER, NOW), await Count(KEY, 60.0, NOW)]

    async def drive() -> list[object]:
        before = threading.active_count()
        answers = await arun(policy(), World(HttpClient(), store))
        assert threading.active_count() == before
        await store.aclose()
        return answers

    assert asyncio.run(drive()) == [WON, True, False, Counted(1, NOW + 60.0)]


def test_visitors_that_go_away_in_the_middle_leave_no_reply_to_others(redis_server: RedisServer) -> None:
    """A cancelled command must not hand its reply to the next claim on its connection (threats.md R8)."""
    redis_server.empty()
    source = random.Random(1)

    async def visit(store: AwaitedStore) -> Counter[bytes]:
        won = Counter[bytes]()

        async def claim(key: bytes) -> None:
            if await store.aclaim(key, NOW + LIFE, NOW) is WON:
                won[key] += 1

        for _ in range(10):
            visits = [asyncio.ensure_future(claim(source.choice(KEYS))) for _ in range(100)]
            for visit in source.sample(visits, 60):
                for _ in range(source.randrange(4)):
                    await asyncio.sleep(0)
                visit.cancel()
            await asyncio.gather(*visits, return_exceptions=True)
        await store.aclose()
        return won

    with Relay((redis_server.host, redis_server.port)) as relay:
        store = open_store(relay.url)
        assert isinstance(store, AwaitedStore)
        won = asyncio.run(visit(store))
    assert len(won) > 10
    assert max(won.values()) == 1
    after = open_store(redis_server.url)
    assert [key for key in won if after.claim(key, NOW + LIFE, NOW) is not LOST] == []
    after.close()


# The nodes of a cluster


def conversation(*parts: int) -> Generator[Command, object, list[object]]:
    replies = []
    for part in parts:
        replies.append((yield Command(part, ("GET", f"{part}"))))
    return replies


A, B, C = ("a", 1), ("b", 2), ("c", 3)


def test_a_command_goes_where_the_nodes_say_and_the_next_one_at_once() -> None:
    nodes = Nodes([A, B])
    talk = directed(conversation(7, 7), nodes)
    assert next(talk) == Sending(A, ("GET", "7"))
    assert talk.send(Elsewhere(C, once=False)) == Sending(C, ("GET", "7"))
    assert talk.send(b"x") == Sending(C, ("GET", "7"))
    with pytest.raises(StopIteration) as done:
        talk.send(None)
    assert done.value.value == [b"x", None]


def test_who_is_sent_elsewhere_once_says_so_and_comes_back() -> None:
    talk = directed(conversation(7, 7), Nodes([A, B]))
    next(talk)
    assert talk.send(Elsewhere(B, once=True)) == Sending(B, ("GET", "7"), asking=True)
    assert talk.send(b"x") == Sending(A, ("GET", "7"))


def test_nodes_that_name_each_other_are_asked_a_few_times() -> None:
    talk = directed(conversation(7), Nodes([A, B]))
    next(talk)
    for node in (B, A, B):
        assert talk.send(Elsewhere(node, once=False)) == Sending(node, ("GET", "7"))
    with pytest.raises(Lost):
        talk.send(Elsewhere(A, once=False))


def test_a_node_without_an_answer_is_asked_last() -> None:
    nodes = Nodes([A, B])
    nodes.learn(7, A)
    nodes.doubt(A)
    assert [nodes.owner(7), nodes.owner(8)] == [B, B]
    nodes.doubt(B)
    assert nodes.owner(7) == A


def test_claims_follow_a_slot_that_moves_to_another_node(redis_cluster_nodes: RedisCluster) -> None:
    cluster = redis_cluster_nodes
    cluster.empty()
    stores = [open_store(cluster.url), FromThreads(open_store(cluster.url))]
    assert {store.claim(key, NOW + LIFE, NOW) for store in stores[:1] for key in KEYS[:100]} == {WON}
    [name, *_] = [name for master in cluster.masters for name in master.say("KEYS", "*claims*")]
    slot = cluster.masters[0].say("CLUSTER KEYSLOT", name)
    [source] = [master for master in cluster.masters if master.say("CLUSTER COUNTKEYSINSLOT", slot)]
    target = next(master for master in cluster.masters if master is not source)
    ids = [node.say("CLUSTER MYID") for node in (source, target)]
    target.say("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
    source.say("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
    source.say("MIGRATE", target.host, target.port, name, 0, 5000)
    for moved in (False, True):
        if moved:
            for node in (target, source):
                node.say("CLUSTER SETSLOT", slot, "NODE", ids[1])
        results = [store.claim(key, NOW + LIFE, NOW) for store in stores for key in KEYS[:100]]
        assert set(results) == {LOST}
        fresh = KEYS[100:150] if moved else KEYS[150:]
        results = [store.claim(key, NOW + LIFE, NOW, FRESH) for store, key in zip(stores * 25, fresh, strict=True)]
        assert set(results) == {WON}
    for store in stores:
        store.close()


def test_a_cluster_that_loses_a_node_refuses_and_recovers_with_all_its_claims(
    redis_cluster_nodes: RedisCluster,
) -> None:
    cluster = redis_cluster_nodes
    cluster.empty()
    stores = [open_store(cluster.url), FromThreads(open_store(cluster.url))]
    assert {store.claim(key, NOW + LIFE, NOW) for store, key in zip(stores * 50, KEYS[:100], strict=True)} == {WON}
    replicated = cluster.replicated
    assert replicated.say("WAIT", 1, 1000) == 1
    with replicated.killed():
        until(lambda: {store.claim(key, NOW + LIFE, NOW) for store in stores for key in KEYS[:100]} == {LOST})
        results = {store.claim(key, NOW + LIFE, NOW, FRESH) for store, key in zip(stores * 50, KEYS[100:], strict=True)}
        assert results == {WON}
    until(cluster.is_whole)
    for store in stores:
        store.close()
