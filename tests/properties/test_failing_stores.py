"""Whatever a store does at each call, no token gets in twice, and none while the store fails (threats.md R5, R8).

The whole gate is asked, through both drivers, and with `on_outage = "admit"`: that never means the store (D13).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import Any, TypeVar

import pytest

from caputchin_gate import Gate
from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.drivers import World
from caputchin_gate.effects import BodyEnd, Call, Claim, Claimed, ClaimResult, Counted, Effect, Held, StoreDown
from caputchin_gate.engines.altcha.solver import solve as solve_altcha
from caputchin_gate.engines.solver import solve, solve_cap
from caputchin_gate.messages import HttpReply, RequestHead
from caputchin_gate.policy import Admit, Answer, Ruling, Settings, Terms, decide
from caputchin_gate.providers.gotcha import GotCHA
from caputchin_gate.routes import RouteTable
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.tokens import Places
from caputchin_gate.verdict import Decision, Reason
from caputchin_gate.verification import InFlight, Verification

T = TypeVar("T")

NOW = 1_800_000_000.0
CLOCK = Clock(now=lambda: NOW, monotonic=lambda: NOW, random_bytes=lambda count: b"r" * count)


class Outcome(Enum):
    """What becomes of one call of a store."""

    WORKS = "works"
    DOWN = "does nothing, and says so"
    SILENT = "does it, and the answer is lost"
    BREAKS = "breaks before it is done"
    BREAKS_AFTERWARDS = "breaks after it is done"
    WAITS = "can't be done without waiting"


class Broken(Exception):
    """A bug in a store, or an exception of a library that nobody expected."""


class FailingStore:
    """A store whose calls come out as they are told, and work after that."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._store = MemoryStore()
        self._outcomes = iter(outcomes)
        self.failed = False

    def _outcome(self) -> Outcome:
        return next(self._outcomes, Outcome.WORKS)

    def _come_out(self, outcome: Outcome, act: Callable[[], T], down: T) -> T:
        if outcome in (Outcome.WORKS, Outcome.WAITS):
            return act()
        self.failed = True
        if outcome in (Outcome.SILENT, Outcome.BREAKS_AFTERWARDS):
            act()
        if outcome in (Outcome.BREAKS, Outcome.BREAKS_AFTERWARDS):
            raise Broken
        return down

    def _wait(self, act: Callable[[], T], down: T) -> T:
        return self._come_out(self._outcome(), act, down)

    def _at_once(self, act: Callable[[], T], down: T) -> T | None:
        outcome = self._outcome()
        return None if outcome is Outcome.WAITS else self._come_out(outcome, act, down)

    def claim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult:
        return self._wait(lambda: self._store.claim(key, until, now, born), ClaimResult.STORE_DOWN)

    def claim_now(self, key: bytes, until: float, now: float) -> ClaimResult | None:
        return self._at_once(lambda: self._store.claim(key, until, now), ClaimResult.STORE_DOWN)

    def claimed(self, key: bytes, now: float) -> bool | StoreDown:
        return self._wait(lambda: self._store.claimed(key, now), StoreDown())

    def count(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown:
        return self._wait(lambda: self._store.count(key, window, now, times), StoreDown())

    def count_now(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown | None:
        return self._at_once(lambda: self._store.count(key, window, now, times), StoreDown())

    def swap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        return self._wait(lambda: self._store.swap(key, old, new, until, now), StoreDown())

    def swap_now(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown | None:
        return self._at_once(lambda: self._store.swap(key, old, new, until, now), StoreDown())

    def signing_key(self) -> bytes:
        return self._store.signing_key()

    def close(self) -> None:
        self._store.close()


def gate_of(provider: str) -> Gate:
    return Gate(
        provider=provider,
        verification="in-process",
        store="memory",
        protect=["POST /contact"],
        on_outage="admit",
        in_process={
            "signing_key": "a signing key that only these tests use",
            "cap": {"puzzles": 2, "difficulty": 1},
            "sites": [{"site_key": "shop"}],
        },
        clock=CLOCK,
    )


@dataclass
class Asked:
    """A gate over a store that fails, asked through both drivers by turns."""

    gate: Gate
    store: FailingStore

    def __post_init__(self) -> None:
        self.gate._world = self.world = World(self.gate._world.client, self.store)
        self._asynchronously = False

    def ask(self, path: str, body: bytes = b"", **headers: str) -> Ruling:
        """Nothing but an outage answers while the store fails."""
        self._asynchronously = not self._asynchronously
        self.store.failed = False
        head = RequestHead(
            "GET" if "altcha" in path else "POST",
            path,
            headers={name.replace("_", "-"): (value,) for name, value in headers.items()},
            peer="203.0.113.9",
        )
        pieces: Iterator[bytes | BodyEnd] = iter([*([body] if body else []), BodyEnd.COMPLETE])
        if self._asynchronously:

            async def read(max_memory: int) -> bytes | BodyEnd:
                return next(pieces)

            ruling = asyncio.run(self.gate.ahandle(head, read))
        else:
            ruling = self.gate.handle(head, lambda max_memory: next(pieces))
        if self.store.failed:
            assert isinstance(ruling, Answer)
            assert ruling.response.status in (403, 500, 503)
        return ruling

    def get(self, path: str, body: object = None) -> dict[str, Any]:
        """What an endpoint says, as far as it says anything."""
        ruling = self.ask(f"/.caputchin/{path}", json.dumps(body or {}).encode(), content_type="application/json")
        assert isinstance(ruling, Answer)
        said: dict[str, Any] = json.loads(ruling.response.body)
        return said if ruling.response.status == 200 else {}

    def admits(self, token: str) -> bool:
        return isinstance(self.ask("/contact", x_caputchin_token=token), Admit)

    def close(self) -> None:
        if self.world._threads is not None:
            self.world._threads[1].shutdown()


# One solved challenge of each protocol: how to get it, and all tokens that can be had for it. Each asks as often as a
# client would that does not take no for an answer.


def native_tokens(asked: Asked) -> Iterator[str]:
    while not (issued := asked.get("api/v1/captcha/challenge", {"site_key": "shop"})):
        pass
    value = f"{issued['token']}.{solve(issued['token'], issued['target'])}"
    yield from [value] * 3


def altcha_tokens(asked: Asked) -> Iterator[str]:
    while not (issued := asked.get("altcha/shop/challenge")):
        pass
    yield from [solve_altcha(issued)] * 3


def cap_tokens(asked: Asked) -> Iterator[str]:
    while not (issued := asked.get("cap/shop/challenge")):
        pass
    solved = {"token": issued["token"], "solutions": solve_cap(issued)}
    for _ in range(3):
        if redeemed := asked.get("cap/shop/redeem", solved):
            yield from [redeemed["token"]] * 2


TOKENS = {"caputchin": native_tokens, "altcha": altcha_tokens, "cap": cap_tokens}


@pytest.mark.parametrize("provider", TOKENS)
def test_however_the_calls_of_a_store_come_out_one_solution_lets_at_most_one_request_in(provider: str) -> None:
    gate, admitted_at_all = gate_of(provider), 0
    for outcomes in product(Outcome, repeat=3):
        asked = Asked(gate, FailingStore(outcomes))
        admitted = sum(asked.admits(token) for token in TOKENS[provider](asked))
        asked.close()
        assert admitted <= 1, outcomes
        admitted_at_all += admitted
        if set(outcomes) <= {Outcome.WORKS, Outcome.WAITS}:
            assert admitted == 1, outcomes
    assert admitted_at_all > 50


# Two processes that ask a provider without single use, and claim by themselves


PASSES = HttpReply(200, {"content-type": "application/json"}, b'{"success": true}')
GOTCHA = GotCHA(secret="c2VjcmV0LWV4YW1wbGU=")
HEAD = RequestHead("POST", "/contact", headers={"x-caputchin-token": ("a-token-of-gotcha",)})
TERMS = Terms((GOTCHA,), Places((GOTCHA.token_field,)), admit_outages=True)


class Process:
    """One request in a process of its own, one effect at a time."""

    def __init__(self, store: FailingStore) -> None:
        settings = Settings(RouteTable([]), Verification(CLOCK, InFlight(10)), TrustedProxies((), "x-forwarded-for"))
        self._policy: Coroutine[Effect[Any], Any, Decision] = decide(HEAD, TERMS, settings)
        self._store = store
        self._failed = False
        self.decision: Decision | None = None
        self._go_on(None)

    def _go_on(self, answer: object) -> None:
        try:
            self._asked = self._policy.send(answer)
        except StopIteration as done:
            self.decision = done.value
        except Broken:
            self.decision = Decision(Reason.UNAVAILABLE)

    def step(self) -> None:
        """Perform what is asked for, if the request has not come to its end."""
        if self.decision is not None:
            return
        self._store.failed = False
        try:
            match self._asked:
                case Claimed(key=key, now=now):
                    answer: object = self._store.claimed(key, now)
                case Claim(key=key, until=until, now=now, born=born):
                    answer = self._store.claim(key, until, now, born)
                case Call():
                    answer = PASSES
                case other:
                    raise AssertionError(other)
        except Broken:
            self.decision = Decision(Reason.UNAVAILABLE)
            self._policy.close()
        else:
            self._go_on(answer)
        self._failed |= self._store.failed
        if self.decision is not None and self.decision.admitted:
            assert not self._failed


SCHEDULES = sorted({"".join(order) for order in product("ab", repeat=6) if order.count("a") == 3})


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_in_every_order_of_two_processes_at_most_one_lets_the_token_in(schedule: str) -> None:
    for outcomes in product(set(Outcome) - {Outcome.WAITS}, repeat=4):
        store = FailingStore(outcomes)
        processes = {"a": Process(store), "b": Process(store)}
        for name in schedule:
            processes[name].step()
        decisions = [process.decision for process in processes.values()]
        admitted = [decision for decision in decisions if decision is not None and decision.admitted]
        assert None not in decisions
        assert len(admitted) <= 1, outcomes
        if set(outcomes) == {Outcome.WORKS}:
            assert len(admitted) == 1
