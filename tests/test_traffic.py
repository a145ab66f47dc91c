"""What processes count of a site's traffic comes together in one record, and its state reaches all of them."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Coroutine
from itertools import groupby
from math import inf
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.difficulty import Hardening
from caputchin_gate.drivers import World, run
from caputchin_gate.effects import Count, Counted, Effect, Held, StoreDown, Swap
from caputchin_gate.hardening import Counts, Record, Thresholds, parse
from caputchin_gate.http_client import HttpClient
from caputchin_gate.stores import open_store
from caputchin_gate.traffic import (
    ATTEMPTS,
    COUNTED,
    KNOWN_BAD,
    LOOKS,
    REPUTATIONS,
    SILENCE,
    WRONG,
    Full,
    Traffic,
    Watch,
)
from caputchin_gate.verdict import Failed, Reason
from tests.conversation import Conversation

CALM, SUSPICIOUS, UNDER_ATTACK, CRITICAL = Hardening
NOON = 1_800_000_000.0
KEY = b"k" * 32
FORGED = Failed(Reason.TOKEN_REJECTED)
ADDRESS = "203.0.113.9"

T = TypeVar("T")


class Shop:
    """Processes that serve one site and share a store in memory. Each act is one request."""

    def __init__(self, processes: int = 1, watch: Watch | None = None, sites: tuple[str, ...] = ("shop",)) -> None:
        self.world = World(HttpClient(), open_store("memory"))
        self.processes = [Traffic(sites, KEY, watch) for _ in range(processes)]
        self.now = NOON

    def do(self, act: Coroutine[Effect[Any], Any, T]) -> T:
        return run(act, self.world)

    def asks(
        self, process: int = 0, *, site: str = "shop", address: str | None = ADDRESS, step: int = 1
    ) -> Hardening | Full:
        return self.do(self.processes[process].asked(site, address, address, step, self.now))

    def sends_wrong(self, process: int = 0, *, address: str | None = None) -> None:
        """A wrong token, of whom it is not known who brought it, and so each counts."""
        self.do(self.processes[process].failed(("shop",), FORGED, address, self.now))

    def sends_right(self, process: int = 0) -> None:
        self.do(self.processes[process].passed("shop", self.now))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds


def asked(traffic: Traffic, now: float) -> Conversation[Hardening | Full]:
    return Conversation(traffic.asked("shop", ADDRESS, ADDRESS, 1, now))


# Sharing


def test_challenges_are_counted_in_memory_and_told_once_a_second() -> None:
    traffic = Traffic(("shop",), KEY)
    conversation = asked(traffic, NOON)
    conversation.expect(Swap, Held(b"?", swapped=True))
    conversation.expect(Count, Counted(1, NOON + 60))
    for _ in range(20):
        assert asked(traffic, NOON + 0.9).end() is CALM
    conversation = asked(traffic, NOON + 1)
    swap = conversation.expect(Swap, Held(b"?", swapped=True))
    count = conversation.expect(Count, Counted(22, NOON + 60))
    record = parse(swap.new)
    assert record is not None
    assert [*record.minutes.values()] == [Counts(challenges=21)]
    assert count.times == 21


def test_the_record_of_others_is_merged_and_not_replaced() -> None:
    shop = Shop(processes=2)
    for process in (0, 1, 0, 1):
        shop.asks(process)
        shop.pass_time(1)
    shop.asks(0)
    record = record_of(shop)
    assert sum(counts.challenges for counts in record.minutes.values()) == 5


def record_of(shop: Shop) -> Record:
    """What the store has, as a newcomer would learn it."""
    newcomer = Traffic(("shop",), KEY)
    talk = newcomer.passed("shop", shop.now)
    swap = talk.send(None)
    assert isinstance(swap, Swap)
    held = shop.world.store.swap(swap.key, b"never", b"so", swap.until, swap.now)
    assert isinstance(held, Held)
    talk.close()
    record = parse(held.value)
    assert record is not None
    return record


def test_a_process_that_is_always_too_late_learns_the_state_and_tells_later() -> None:
    critical = Thresholds(failed=(0.0, 0.0, 0.0), least_verifications=1)
    other = Traffic(("shop",), KEY, Watch(thresholds=critical))
    talk = Conversation(other.failed(("shop",), FORGED, None, NOON))
    value = talk.expect(Swap, Held(b"?", swapped=True)).new
    traffic = Traffic(("shop",), KEY)
    conversation = asked(traffic, NOON)
    for _ in range(ATTEMPTS):
        conversation.expect(Swap, Held(value, swapped=False))
    conversation.expect(Count, Counted(1, NOON + 60))
    assert conversation.end() is CRITICAL
    record = parse(asked(traffic, NOON + 1).expect(Swap, Held(value, swapped=False)).new)
    assert record is not None
    assert [*record.minutes.values()] == [Counts(challenges=2, verifications=1, failed=1)]


@pytest.mark.parametrize("garbage", [b"\0", b"{}", b"\1" * 40, bytes(4000)])
def test_garbage_in_the_store_is_replaced(garbage: bytes) -> None:
    conversation = asked(Traffic(("shop",), KEY), NOON)
    conversation.expect(Swap, Held(garbage, swapped=False))
    swap = conversation.expect(Swap, Held(b"?", swapped=True))
    conversation.expect(Count, Counted(1, NOON + 60))
    assert (swap.old, conversation.end()) == (garbage, CALM)
    assert parse(swap.new) is not None


def test_a_store_that_does_not_answer_is_left_alone_for_a_while_and_loses_no_count() -> None:
    traffic = Traffic(("shop",), KEY)
    conversation = asked(traffic, NOON)
    conversation.expect(Swap, StoreDown())
    assert conversation.end() is CALM
    for second in range(1, int(SILENCE)):
        assert asked(traffic, NOON + second).end() is CALM
    record = parse(asked(traffic, NOON + SILENCE).expect(Swap, StoreDown()).new)
    assert record is not None
    assert [*record.minutes.values()] == [Counts(challenges=SILENCE + 1)]


def test_a_state_is_kept_while_the_store_does_not_answer_and_ends_by_itself() -> None:
    shop = Shop()
    for _ in range(60):
        shop.sends_wrong()
    shop.pass_time(1)
    assert shop.asks() is CRITICAL
    traffic = shop.processes[0]
    for second, expected in ((1, CRITICAL), (500, CRITICAL), (601, CALM)):
        conversation = asked(traffic, shop.now + second)
        conversation.expect(Swap, StoreDown())
        assert conversation.end() is expected


def test_a_long_silence_fills_no_memory() -> None:
    traffic = Traffic(("shop",), KEY)
    for minute in range(300):
        conversation = asked(traffic, NOON + 60 * minute)
        swap = conversation.expect(Swap, StoreDown())
    assert len(swap.new) < 2048


def test_a_request_that_is_cancelled_while_it_tells_loses_no_count() -> None:
    traffic = Traffic(("shop",), KEY)
    request = traffic.asked("shop", ADDRESS, ADDRESS, 1, NOON)
    assert isinstance(request.send(None), Swap)
    request.close()
    record = parse(asked(traffic, NOON + 1).expect(Swap, StoreDown()).new)
    assert record is not None
    assert [*record.minutes.values()] == [Counts(challenges=2)]


class Store:
    """Records without a clock, for acts that are interleaved."""

    def __init__(self) -> None:
        self.value: bytes | None = None

    def answer(self, effect: Effect[Any], *, fails: bool) -> Any:
        if isinstance(effect, Count):
            return StoreDown() if fails else Counted(effect.times, effect.now + 60)
        assert isinstance(effect, Swap)
        if fails:
            return StoreDown()
        if effect.old != self.value:
            return Held(self.value, swapped=False)
        self.value = effect.new
        return Held(self.value, swapped=True)


@given(st.integers(2, 5), st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5]))
def test_no_count_is_lost_in_any_interleaving_of_processes(processes: int, seed: int, failing: float) -> None:
    chance = random.Random(seed)
    traffics, store, now = [Traffic(("shop",), KEY) for _ in range(processes)], Store(), NOON
    waiting: list[tuple[Coroutine[Effect[Any], Any, Any], Effect[Any]]] = []
    events = 0

    def send(act: Coroutine[Effect[Any], Any, Any], answer: Any) -> None:
        try:
            waiting.append((act, act.send(answer)))
        except StopIteration:
            pass

    def go_on(fails: bool) -> None:
        act, effect = waiting.pop(chance.randrange(len(waiting)))
        send(act, store.answer(effect, fails=fails))

    for _ in range(60):
        if chance.random() < 0.6:
            events += 1
            send(chance.choice(traffics).passed("shop", now), None)
        elif waiting:
            go_on(chance.random() < failing)
        now += chance.choice((0, 0.3, 1))
    while waiting:
        go_on(False)
    for _ in range(2):  # each tells once more what it could not tell
        now += 2 * SILENCE
        for traffic in traffics:
            events += 1
            send(traffic.passed("shop", now), None)
            while waiting:
                go_on(False)
    record = parse(store.value)
    assert record is not None
    assert sum(counts.verifications for counts in record.minutes.values()) == events


def test_threads_lose_no_count() -> None:
    shop = Shop()
    traffic = shop.processes[0]

    def work() -> None:
        for number in range(500):
            run(traffic.passed("shop", NOON + number / 50), shop.world)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.pass_time(20)
    shop.sends_right()
    shop.pass_time(20)
    shop.sends_right()
    assert sum(counts.verifications for counts in record_of(shop).minutes.values()) == 8 * 500 + 2


# States


def test_a_flood_makes_challenges_harder_for_all_processes_within_a_second() -> None:
    shop = Shop(processes=3)
    for _ in range(300):  # ten minutes as usual
        shop.asks(random.randrange(3))
        shop.pass_time(2)
    for _ in range(50):
        shop.asks(0)
    shop.pass_time(1)
    assert [shop.asks(process) for process in (0, 1, 2)] == [CALM] * 3  # 80 in a minute after 30 in each
    for _ in range(200):
        assert shop.asks(0) is CALM  # within one second nobody has told anybody
    shop.pass_time(1)
    assert [shop.asks(process) for process in (0, 1, 2)] == [UNDER_ATTACK] * 3


def test_wrong_tokens_make_challenges_harder_and_the_state_ends_by_itself() -> None:
    shop = Shop()
    for _ in range(49):
        shop.sends_wrong()
    shop.pass_time(1)
    assert shop.asks() is CALM
    shop.sends_wrong()
    shop.pass_time(1)
    assert shop.asks() is CRITICAL
    shop.pass_time(58)  # the last minute is still the same
    shop.asks()
    last = shop.now
    shop.pass_time(2)
    shop.asks()
    shop.now = last + 599
    assert shop.asks() is CRITICAL
    shop.now = last + 601
    assert shop.asks() is CALM


def test_right_tokens_keep_a_site_calm() -> None:
    shop = Shop()
    for _ in range(40):
        for _ in range(3):
            shop.sends_right()
        shop.sends_wrong()
    shop.pass_time(1)
    assert shop.asks() is CALM


@pytest.mark.parametrize("reason", sorted(Reason))
def test_what_could_have_been_our_token_counts_as_failed_and_nothing_else(reason: Reason) -> None:
    shop = Shop(watch=Watch(thresholds=Thresholds(least_verifications=1)))
    shop.do(shop.processes[0].failed(("shop",), Failed(reason), ADDRESS, shop.now))
    assert shop.asks() is (CRITICAL if reason in WRONG else CALM)
    assert Reason.TOKEN_MALFORMED not in WRONG


@pytest.mark.parametrize("sites", [("shop",), ("shop", "blog"), ("shop", "blog", "wiki")])
def test_a_token_that_could_be_of_several_sites_counts_once(sites: tuple[str, ...]) -> None:
    shop = Shop(sites=("shop", "blog", "wiki"))
    for _ in range(60):
        shop.do(shop.processes[0].failed(sites, FORGED, None, shop.now))
    shop.pass_time(1)
    states = [shop.asks(site=site) for site in ("shop", "blog", "wiki")]
    assert states == ([CRITICAL, CALM, CALM] if len(sites) == 1 else [CALM] * 3)
    for _ in range(60 * (len(sites) - 1)):
        shop.do(shop.processes[0].failed(sites, FORGED, None, shop.now))
    shop.pass_time(1)
    assert {shop.asks(site=site) for site in sites} == {CRITICAL}


def test_wrong_tokens_of_one_network_do_not_raise_a_site() -> None:
    shop = Shop(processes=2)
    for number in range(1000):
        shop.sends_wrong(number % 2, address=ADDRESS)
        assert shop.asks(number % 2, step=50) is CALM
        shop.pass_time(0.1)
    assert sum(counts.failed for counts in record_of(shop).minutes.values()) <= Watch().bad_after


def test_wrong_tokens_of_a_few_networks_raise_a_site_once() -> None:
    shop = Shop()
    networks = [f"198.51.100.{number}" for number in range(3)]
    states = []
    for number in range(3600):
        shop.sends_wrong(address=networks[number % 3])
        shop.pass_time(1)
        states.append(shop.asks())
    assert CRITICAL in states[:60]
    assert {*states[12 * 60 :]} == {CALM}


def test_one_loud_network_does_not_keep_the_wrong_tokens_of_others_from_counting() -> None:
    shop = Shop()
    for number in range(100):
        for _ in range(2 * REPUTATIONS):
            shop.sends_wrong(address=ADDRESS)
        shop.sends_wrong(address=f"198.51.100.{number}")
        shop.pass_time(0.5)
    assert shop.asks() is CRITICAL


def test_as_many_networks_are_known_to_be_bad_as_there_is_room_for() -> None:
    traffic = Traffic(("shop",), KEY, Watch(bad_after=1))
    for number in range(2 * KNOWN_BAD):
        drive(traffic.failed(("shop",), FORGED, f"network {number}", NOON + number), lambda _: False)
    assert len(traffic._known_bad) == KNOWN_BAD


def test_while_the_store_does_not_answer_wrong_tokens_of_known_networks_count_as_little() -> None:
    traffic = Traffic(("shop",), KEY)
    Conversation(traffic.failed(("shop",), FORGED, ADDRESS, NOON)).expect(Count, StoreDown())
    for _ in range(100):
        Conversation(traffic.failed(("shop",), FORGED, ADDRESS, NOON + 1)).end()
    record = parse(asked(traffic, NOON + SILENCE).expect(Swap, StoreDown()).new)
    assert record is not None
    assert [*record.minutes.values()] == [Counts(challenges=1)]


def test_one_loud_client_does_not_make_the_site_harder_for_others() -> None:
    shop = Shop(processes=2)
    for minute in range(20):
        for step in range(1, 100):
            assert shop.asks(step % 2, step=step) is CALM
            shop.pass_time(0.6)
        shop.now = NOON + 60 * (minute + 1)
    assert record_of(shop).usual <= COUNTED


def test_clients_that_cannot_be_told_apart_count_all() -> None:
    shop = Shop()
    for step in range(1, 100):
        shop.asks(address=None, step=step)
    shop.pass_time(1)
    assert shop.asks(address=None) is SUSPICIOUS  # nobody knows yet what is usual


def test_a_process_that_only_serves_a_loud_client_learns_the_state_too() -> None:
    shop = Shop(processes=2)
    for _ in range(60):
        shop.sends_wrong(0)
    shop.pass_time(1)
    assert shop.asks(0) is CRITICAL
    assert shop.asks(1, step=50) is CRITICAL


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_between_two_states_of_an_attack_no_challenge_is_a_normal_one(fraction: float) -> None:
    """Critical by wrong tokens, and then suspicious because some go on."""
    shop = Shop()
    shop.pass_time(fraction)
    for _ in range(100):
        shop.sends_wrong()
    shop.pass_time(1)
    assert shop.asks() is CRITICAL
    states = []
    for number in range(7000):
        shop.pass_time(0.1)
        states.append(shop.asks(step=50))
        if number % 5 == 0:
            shop.sends_right()
        if number % 10 == 0:
            shop.sends_wrong()
    ordered = [state for state, _ in groupby(states)]
    assert ordered == [CRITICAL, SUSPICIOUS]


def test_a_request_beside_the_one_that_learns_what_follows_is_not_let_off() -> None:
    shop = Shop()
    for _ in range(60):
        shop.sends_wrong()
    shop.pass_time(1)
    assert shop.asks() is CRITICAL
    traffic, ends = shop.processes[0], NOON + 1 + 600
    learning = traffic.asked("shop", None, None, 1, ends)
    assert isinstance(learning.send(None), Swap)  # and waits for the store
    beside = asked(traffic, ends)
    beside.expect(Count, Counted(2, ends + 60))
    assert beside.end() is CRITICAL
    assert [asked(traffic, ends + later).end() for later in (0.5, 0.9)] == [CRITICAL] * 2
    learning.close()


def test_a_gate_that_does_not_harden_stays_normal_and_keeps_nothing() -> None:
    traffic = Traffic(("shop",), KEY, Watch(hardens=False))
    for _ in range(3):
        Conversation(traffic.failed(("shop",), FORGED, ADDRESS, NOON)).end()
    conversation = asked(traffic, NOON)
    conversation.expect(Count, Counted(1, NOON + 60))
    assert conversation.end() is CALM


def test_a_site_that_nobody_watches_is_normal() -> None:
    assert Conversation(Traffic().asked("shop", ADDRESS, ADDRESS, 1, NOON)).end() is CALM
    assert Traffic().states(NOON) == {}


# Who asks

QUIET = Thresholds(spike=(inf, inf, inf))


def test_challenges_for_machines_in_datacenters_raise_the_state() -> None:
    watch = Watch(thresholds=QUIET, is_datacenter=lambda address: address.startswith("192.0.2."))
    shop = Shop(watch=watch)
    for number in range(400):  # half of them
        shop.asks(address=("198.51.100.1", "192.0.2.7")[number % 2])
        shop.pass_time(0.05)
    assert shop.asks() is SUSPICIOUS
    for _ in range(800):
        shop.asks(address="192.0.2.7")
        shop.pass_time(0.05)
    assert shop.asks() is UNDER_ATTACK


def test_while_few_ask_nobody_looks_who_and_while_many_ask_a_sample_is_looked_at() -> None:
    looked: list[str] = []
    watch = Watch(thresholds=QUIET, is_datacenter=lambda address: looked.append(address) is not None)
    shop = Shop(watch=watch)
    for _ in range(59):
        shop.asks()
    assert looked == []
    for _ in range(2):
        shop.pass_time(1)
        for _ in range(1000):
            shop.asks()
    assert len(looked) == 2 * LOOKS


@pytest.mark.parametrize("bad_after", [20, 0])
def test_challenges_for_networks_that_sent_wrong_tokens_raise_the_state(bad_after: int) -> None:
    watch = Watch(thresholds=Thresholds(spike=QUIET.spike, failed=(1, 1, 1)), bad_after=bad_after)
    shop = Shop(processes=2, watch=watch)
    for _ in range(20):
        shop.sends_wrong(0, address=ADDRESS)
        shop.pass_time(0.2)
    for number in range(400):
        shop.asks(1, address=(ADDRESS, ADDRESS, ADDRESS, "198.51.100.1")[number % 4])
        shop.pass_time(0.05)
    assert shop.asks(1) is (UNDER_ATTACK if bad_after else CALM)


def test_a_reputation_is_forgotten_after_its_window() -> None:
    shop = Shop(watch=Watch(thresholds=QUIET, remembered=3600))
    traffic = shop.processes[0]
    for _ in range(25):
        shop.sends_wrong(address=ADDRESS)
        shop.pass_time(0.2)
    assert shop.do(traffic._is_bad(ADDRESS, shop.now))
    assert not shop.do(traffic._is_bad("198.51.100.1", shop.now))
    shop.pass_time(3600)
    assert not shop.do(traffic._is_bad(ADDRESS, shop.now))


def test_a_flood_of_wrong_tokens_from_everywhere_keeps_few_networks_in_the_store() -> None:
    shop = Shop()
    counted = 0
    for number in range(1000):
        request = shop.processes[0].failed(("shop",), FORGED, f"network {number}", NOON)
        counted += drive(request, lambda effect: isinstance(effect, Count))
    assert counted == REPUTATIONS


def drive(act: Coroutine[Effect[Any], Any, Any], counts: Callable[[Effect[Any]], bool]) -> int:
    """Answer everything as a store would that remembers nothing; how many effects counted."""
    found, answer = 0, None
    while True:
        try:
            effect = act.send(answer)
        except StopIteration:
            return found
        found += counts(effect)
        answer = Held(effect.new, swapped=True) if isinstance(effect, Swap) else Counted(1, NOON + 60)


def test_no_address_and_no_name_of_a_site_reaches_the_store() -> None:
    keys: set[bytes] = set()
    traffic = Traffic(("shop", "blog"), KEY)
    for act in (
        traffic.failed(("shop",), FORGED, ADDRESS, NOON),
        traffic.failed(("blog",), FORGED, ADDRESS, NOON),
        traffic.asked("shop", ADDRESS, ADDRESS, 1, NOON + 1),
    ):
        drive(act, lambda effect: keys.add(effect.key) is None if isinstance(effect, Swap | Count) else False)
    assert len(keys) == 4
    assert all(len(key) == 16 for key in keys)


# The cap on all


def test_all_clients_and_sites_together_get_so_many_challenges_a_minute() -> None:
    shop = Shop(processes=2, watch=Watch(most_in_all=100), sites=("shop", "blog"))
    for number in range(100):
        assert shop.asks(number % 2, site=("shop", "blog")[number % 2], address=None) is CALM
        shop.pass_time(0.1)
    for _ in range(2):  # each tells what it has, and then knows what the other has
        shop.pass_time(1)
        answers = [shop.asks(0), shop.asks(1, site="blog")]
    assert answers == [Full(NOON + 60)] * 2
    shop.now = NOON + 60
    assert shop.asks(0) is CALM


def test_within_a_second_a_process_refuses_what_it_knows_to_be_too_many() -> None:
    shop = Shop(watch=Watch(most_in_all=10))
    answers = [shop.asks() for _ in range(12)]
    assert [isinstance(answer, Full) for answer in answers] == [False] * 10 + [True] * 2


def test_a_cap_that_ends_too_far_ahead_is_of_a_clock_that_was_set() -> None:
    shop = Shop(watch=Watch(most_in_all=10))
    for _ in range(12):
        shop.asks()
    shop.now -= 86_400
    assert not isinstance(asked_without_store(shop), Full)


def asked_without_store(shop: Shop) -> Hardening | Full:
    conversation = asked(shop.processes[0], shop.now)
    conversation.expect(Swap, StoreDown())
    return conversation.end()


# The log


def test_each_change_of_state_is_logged_once_by_each_process(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="caputchin_gate")
    shop = Shop(processes=2)
    for _ in range(60):
        shop.sends_wrong()
    for second in (1, 2, 3, 700, 701):
        shop.now = NOON + second
        shop.asks(0)
        shop.asks(1)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        ("WARNING", "hardening site_key=shop state=critical signal=failed"),
        ("WARNING", "hardening site_key=shop state=critical signal=failed"),
        ("INFO", "hardening site_key=shop state=normal"),
        ("INFO", "hardening site_key=shop state=normal"),
    ]
    assert caplog.records[0].__dict__["state"] == "critical"
    assert ADDRESS not in caplog.text
