"""Challenges that nobody redeems leave the store and the process no larger, however many there are (threats.md R31)."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable
from itertools import count, islice
from pathlib import Path

import pytest

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import Counted
from caputchin_gate.endpoints.sites import COUNT_WINDOW, Endpoints, Site, count_key
from caputchin_gate.engines.altcha.challenges import AltchaChallenges
from caputchin_gate.engines.altcha.terms import RANDOM_BYTES
from caputchin_gate.engines.cap import NONCE_BYTES as CAP_NONCE_BYTES
from caputchin_gate.engines.cap import CapChallenges
from caputchin_gate.engines.native import NONCE_BYTES, NativeChallenges
from caputchin_gate.stores import Store
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.stores.sqlite import SqliteStore

NOW = 1_800_000_000.0
KEY = b"k" * 32
MIB = 2**20
RATE = 20_000  # challenges a second: more than one machine can issue

native = NativeChallenges([KEY], site_key="shop")
cap = CapChallenges([KEY], site_key="shop")
altcha = AltchaChallenges([KEY], site_key="shop")
site = Site(native, cap=cap, altcha=altcha)
own = Endpoints("/.caputchin", {"shop": site}, Clock(lambda: NOW, lambda: NOW, os.urandom), TrustedProxies(), KEY)


def issue_native(now: float, network: str, step: int) -> object:
    return native.issue(now=now, nonce=os.urandom(NONCE_BYTES), step=step, client=network)


def issue_cap(now: float, network: str, step: int) -> object:
    return cap.issue(now=now, nonce=os.urandom(CAP_NONCE_BYTES), client=network)


def issue_altcha(now: float, network: str, step: int) -> object:
    return altcha.issue(now=now, random=os.urandom(RANDOM_BYTES), step=step, client=network)


Issuer = Callable[[float, str, int], object]


def flood(store: Store, networks: Iterable[str], issue: Issuer | None, start: float) -> float:
    """What the endpoints do for each request: count the client, and issue below its cap. When the last one came."""
    now = start
    for number, network in enumerate(networks):
        now = start + number / RATE
        counted = store.count(count_key(own, site, network), COUNT_WINDOW, now)
        assert isinstance(counted, Counted)
        if issue is not None:
            issue(now, network, 1 + counted.count % 90)
    return now


def few() -> Iterable[str]:
    return (f"198.51.{number % 256}.0/24" for number in count())


def all_different() -> Iterable[str]:
    return (f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64" for number in count())


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("issue", "amount"), [(issue_native, 500_000), (issue_cap, 250_000), (issue_altcha, 250_000)])
def test_a_million_challenges_of_all_protocols_leave_nothing_but_the_counters(issue: Issuer, amount: int) -> None:
    store = MemoryStore()
    start = flood(store, islice(few(), 10_000), issue, NOW)
    before = resident()
    flood(store, islice(few(), amount), issue, start)
    assert resident() - before < 2 * MIB
    assert len(store) == 0
    assert sum(map(len, store._counters._parts)) == 256


def test_networks_without_end_fill_a_memory_store_to_its_bound_and_no_further() -> None:
    store = MemoryStore(most_counters=20_000)
    networks = iter(all_different())
    start = flood(store, islice(networks, 40_000), None, NOW)
    before = resident()
    flood(store, islice(networks, 360_000), None, start)
    assert resident() - before < 4 * MIB
    assert sum(map(len, store._counters._parts)) <= 20_000
    assert len(store) == 0


def test_networks_without_end_fill_a_sqlite_file_with_those_of_the_last_minutes_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "gate.db"
    store = SqliteStore(path)
    networks, now, sizes = iter(all_different()), NOW, []
    before = resident()
    for _ in range(10):
        flood(store, islice(networks, 5_000), None, now)
        now += 2 * COUNT_WINDOW
        sizes.append(sum(file.stat().st_size for file in path.parent.iterdir()))
    store.close()
    assert max(sizes[5:]) < 1.2 * max(sizes[:5])
    assert max(sizes) < 8 * MIB  # the log included
    assert resident() - before < 8 * MIB
