"""Turnstile's idempotency keys (siteverify-server.md 7): one decision, told as often as it is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Claim, ClaimResult, Count, Counted, Held, ReadBody, Sleep, StoreDown, Swap
from caputchin_gate.endpoints.paths import respond
from caputchin_gate.endpoints.sites import Endpoints
from caputchin_gate.endpoints.sites import Site as GateSite
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.secret import Secret
from tests.conversation import Conversation
from tests.siteverify_calls import BACK_END, SECRETS, START, Site

SHOP = SECRETS["shop"]
KEY = "6b0f1f0e-0a53-4d2e-9a3d-6b3f5a6f1f2c"
OTHER_KEY = "7B0F1F0E-0A53-4D2E-9A3D-6B3F5A6F1F2C"
USED = ["timeout-or-duplicate"]


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.gate.close()


def call(site: Site, token: str, key: Any = None, secret: str = SHOP) -> Any:
    named = {"idempotency_key": key} if key is not None else {}
    return site.ask("turnstile", secret, token, **named)


def test_the_same_question_gets_the_same_answer_byte_for_byte(site: Site) -> None:
    token = site.native()
    first = call(site, token, KEY)
    assert first.members["success"] is True
    for later in (0.0, 120.0, 290.0):  # the token itself has ended by then
        site.now = START + later
        again = call(site, f" {token}\n", KEY.upper())
        assert (again.status, again.raw, again.headers) == (first.status, first.raw, first.headers)
    site.now = START + 301
    assert call(site, token, KEY).codes == USED


@pytest.mark.parametrize("other", [OTHER_KEY, None, ""])
def test_another_key_or_none_finds_the_token_used(site: Site, other: str | None) -> None:
    token = site.native()
    assert call(site, token, KEY).members["success"] is True
    assert call(site, token, other).codes == USED
    assert call(site, token, KEY).members["success"] is True


def test_a_key_is_of_one_token(site: Site) -> None:
    tokens = [site.native() for _ in range(3)]
    assert [call(site, token, KEY).members["success"] for token in tokens] == [True] * 3
    assert [call(site, token).codes for token in tokens] == [USED] * 3


def test_a_failure_is_repeated_too_and_a_token_used_without_a_key_stays_used(site: Site) -> None:
    token = site.native()
    assert call(site, token).members["success"] is True
    assert [call(site, token, KEY).codes for _ in range(3)] == [USED] * 3


@pytest.mark.parametrize("key", ["x", KEY[:-1], KEY + "0", KEY.replace("-", ""), "{" + KEY + "}", 7, [KEY], "0" * 2000])
def test_a_key_that_is_no_uuid_costs_nobody_the_token(site: Site, key: Any) -> None:
    token = site.native()
    assert call(site, token, key).codes == ["invalid-idempotency-key"]
    assert call(site, token, KEY).members["success"] is True


def test_the_secret_has_to_be_right_each_time(site: Site) -> None:
    token = site.native()
    assert call(site, token, KEY).members["success"] is True
    assert call(site, token, KEY, secret="wrong").codes == ["invalid-input-secret"]
    assert call(site, token, KEY, secret=SECRETS["blog"]).codes == ["invalid-input-response"]


def test_wrong_tokens_leave_nothing_in_the_store() -> None:
    site = Site(in_process={"hardening": {"enabled": False}})
    for number in range(50):
        assert call(site, "A" * 32 + f".{number}", KEY).codes == ["invalid-input-response"]
    assert len(site.gate._store._records._held) == 0  # type: ignore[attr-defined]
    site.gate.close()


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_of_many_first_calls_at_once_one_decides_and_the_others_say_the_same(store: str, tmp_path: Any) -> None:
    """Over two gates that share a file, as two workers do; a store in memory has one gate only."""
    settings = {"store": f"sqlite://{tmp_path}/gate.db"} if store == "sqlite" else {}
    site = Site(**settings)
    workers = (site, Site(**settings) if settings else site)
    for _ in range(5):
        token, start = site.native(), threading.Barrier(12)

        def ask(number: int, token: str = token, start: threading.Barrier = start) -> tuple[str, Any]:
            start.wait(10)
            told = call(workers[number % 2], token, KEY)
            return told.raw, told.codes

        with ThreadPoolExecutor(12) as pool:
            answers = set(map(str, pool.map(ask, range(12))))
        assert len(answers) == 1
        assert 'success":true' in answers.pop()
    for worker in set(workers):
        worker.gate.close()


# What a call asks of the world, step by step


class Talk(Conversation[Response]):
    """One call of the turnstile dialect with a key, up to its first look at the record."""

    now = START

    def __init__(self, response: str = "", *, own_clock: list[float] | None = None) -> None:
        self.clock = own_clock if own_clock is not None else [START]
        engine = NativeChallenges([b"k" * 32], site_key="shop")
        challenge = engine.issue(now=START, nonce=b"1234", step=1, client=None)
        token = response or f"{challenge.token}.{solve(challenge.token, challenge.target)}"
        clock = Clock(lambda: START, lambda: self.clock[0], lambda count: b"r" * count)
        site = GateSite(engine, (Secret(SHOP),))
        own = Endpoints("/.caputchin", {"shop": site}, clock, TrustedProxies(), b"c" * 32)
        head = RequestHead("POST", "/.caputchin/turnstile/v0/siteverify", peer=BACK_END)
        super().__init__(respond(head, own))
        self.expect(Count, Counted(1, START + 60))
        self.expect(ReadBody, json.dumps({"secret": SHOP, "response": token, "idempotency_key": KEY}).encode())
        self.expect(ReadBody, BodyEnd.COMPLETE)

    def told(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.end().body)
        return members


MARK = b"72" * 12


def test_the_answer_is_kept_before_it_is_given() -> None:
    talk = Talk()
    look = talk.expect(Swap, Held(None, swapped=False))
    assert look.old == look.new
    begun = talk.expect(Swap, Held(MARK, swapped=True))
    assert (begun.key, begun.old, begun.new, begun.until) == (look.key, None, MARK, START + 10)
    talk.expect(Claim, ClaimResult.WON)
    kept = talk.expect(Swap, Held(b"=", swapped=True))
    assert (kept.key, kept.old, kept.until) == (look.key, MARK, START + 300)
    assert kept.new == b"=" + talk.end().body
    assert SHOP.encode() not in kept.new


def test_who_finds_a_call_that_decides_waits_for_its_answer() -> None:
    talk = Talk()
    talk.expect(Swap, Held(b"another call", swapped=False))
    talk.expect(Sleep, None)
    talk.expect(Swap, Held(b'={"success":true}', swapped=False))
    assert talk.told() == {"success": True}


def test_who_was_a_moment_too_late_waits_too() -> None:
    talk = Talk()
    talk.expect(Swap, Held(None, swapped=False))
    talk.expect(Swap, Held(b"another call", swapped=False))
    talk.expect(Sleep, None)
    talk.expect(Swap, Held(b'={"success":true}', swapped=False))
    assert talk.told() == {"success": True}


def test_nobody_waits_longer_than_two_seconds() -> None:
    clock = [START]
    talk = Talk(own_clock=clock)
    slept = 0.0
    while True:
        talk.expect(Swap, Held(b"another call", swapped=False))
        if talk.asks is None:
            break
        clock[0] += talk.expect(Sleep, None).seconds
        slept = clock[0] - START
    assert 1.9 <= slept <= 2.1
    assert talk.told()["error-codes"] == ["internal-error"]


def test_an_answer_that_is_none_is_not_kept_and_the_next_call_decides() -> None:
    talk = Talk()
    talk.expect(Swap, Held(None, swapped=False))
    talk.expect(Swap, Held(MARK, swapped=True))
    talk.expect(Claim, ClaimResult.STORE_DOWN)
    freed = talk.expect(Swap, Held(b"-", swapped=True))
    assert talk.told()["error-codes"] == ["internal-error"]
    later = Talk()
    later.expect(Swap, Held(freed.new, swapped=False))
    assert later.expect(Swap, Held(MARK, swapped=True)).old == freed.new
    later.expect(Claim, ClaimResult.WON)
    later.expect(Swap, Held(b"=", swapped=True))
    assert later.told()["success"] is True


@pytest.mark.parametrize("step", ["look", "mark", "answer"])
def test_a_store_that_does_not_answer_is_never_a_success_by_itself(step: str) -> None:
    talk = Talk()
    talk.expect(Swap, StoreDown() if step == "look" else Held(None, swapped=False))
    if step == "mark":
        talk.expect(Swap, StoreDown())
    if step == "answer":  # the token was claimed, so the verdict is known
        talk.expect(Swap, Held(MARK, swapped=True))
        talk.expect(Claim, ClaimResult.WON)
        talk.expect(Swap, StoreDown())
    assert talk.told()["success"] is (step == "answer")


class Crash(BaseException):
    """The process ends here."""


def crash(*_: object) -> None:
    raise Crash


@pytest.mark.parametrize("claimed", [False, True], ids=["before the claim", "after the claim"])
def test_a_call_that_breaks_off_blocks_the_others_for_ten_seconds_at_most(site: Site, claimed: bool) -> None:
    """Nobody knows then for whom the token was claimed, so a claimed one counts as used."""
    token, store = site.native(), type(site.gate._store)
    swap = store.swap

    def swap_unless_answer(self: Any, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Any:
        return swap(self, key, old, new, until, now) if not new.startswith(b"=") else crash()

    with pytest.MonkeyPatch.context() as process:
        process.setattr(store, "claim", store.claim if claimed else crash)
        process.setattr(store, "swap", swap_unless_answer)
        with pytest.raises(Crash):
            call(site, token, KEY)
    site.now += 10.1
    again = [call(site, token, KEY) for _ in range(2)]
    assert [told.codes for told in again] == ([USED] * 2 if claimed else [[], []])
    assert again[0].raw == again[1].raw
