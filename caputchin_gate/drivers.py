"""Two tiny drivers: they send the answers of the world into the policy, one blocking, one on an event loop.

A driver knows how to wait and decides nothing. Reading the body is the door's, so it comes as an argument.
asyncio is imported where it is needed: a WSGI application does not pay for it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from caputchin_gate.effects import (
    AnyEffect,
    BodyEnd,
    Call,
    Claim,
    Claimed,
    ClaimResult,
    Count,
    Effect,
    LastPiece,
    ReadBody,
    Sleep,
    StoreDown,
    Swap,
)
from caputchin_gate.http_client import HttpClient
from caputchin_gate.stores import AwaitedStore, Store

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

THREADS: Final = 16
MOST_ASKING: Final = 256
_OF_STORE: Final = frozenset({Claim, Claimed, Count, Swap})
DOWN_FOR: Final = 1.0  # seconds in which a store that did not answer is not waited for again


def no_body(max_memory: int) -> BodyEnd:
    """The body of a verification that was asked for by hand."""
    return BodyEnd.COMPLETE


async def ano_body(max_memory: int) -> BodyEnd:
    return BodyEnd.COMPLETE


_STORE_DOWN: Final = ClaimResult.STORE_DOWN  # to ask the Enum for it takes longer than to compare


def _is_down(answer: object) -> bool:
    return answer is _STORE_DOWN or isinstance(answer, StoreDown)


def _no_answer(effect: AnyEffect) -> ClaimResult | StoreDown:
    return ClaimResult.STORE_DOWN if isinstance(effect, Claim) else StoreDown()


class World:
    """What the effects of one gate act upon."""

    def __init__(self, client: HttpClient, store: Store) -> None:
        self.client = client
        self.store = store
        self._awaited = store if isinstance(store, AwaitedStore) else None  # the same, where event loops can await it
        self.store_operations = 0  # asked from event loops
        self.store_failures = 0  # those of them that were not answered
        self._asking = 0
        self._down_until = -math.inf
        self._threads: tuple[int, ThreadPoolExecutor] | None = None

    def perform(self, effect: AnyEffect, read: Callable[[int], bytes | LastPiece | BodyEnd]) -> Any:
        match effect:
            case ReadBody(max_memory=max_memory):
                return read(max_memory)
            case Claim(key=key, until=until, now=now, born=born):
                return self.store.claim(key, until, now, born)
            case Count(key=key, window=window, now=now, times=times):
                return self.store.count(key, window, now, times)
            case Swap(key=key, old=old, new=new, until=until, now=now):
                return self.store.swap(key, old, new, until, now)
            case Claimed(key=key, now=now, born=born):
                return self.store.claimed(key, now, born)
            case Call():
                return self.client.call(effect)
            case Sleep(seconds=seconds):
                return time.sleep(seconds)

    def at_once(self, effect: AnyEffect) -> Any | None:
        """The answer to an effect that need not wait at this moment, else None."""
        match effect:
            case _ if self._awaited is not None:
                return None
            case Claim(key=key, until=until, now=now, born=born):
                return self.store.claim_now(key, until, now, born)
            case Count(key=key, window=window, now=now, times=times):
                return self.store.count_now(key, window, now, times)
            case Swap(key=key, old=old, new=new, until=until, now=now):
                return self.store.swap_now(key, old, new, until, now)
            case _:
                return None

    async def aperform(self, effect: AnyEffect) -> Any:
        """The answer to an effect that has to wait: a store that blocks is asked from a thread."""
        import asyncio

        match effect:
            case Call():
                return await self.client.acall(effect)
            case Sleep(seconds=seconds):
                return await asyncio.sleep(seconds)
            case _ if self._awaited is None:
                return await self._from_a_thread(effect)
            case Claim(key=key, until=until, now=now, born=born):
                return await self._awaited.aclaim(key, until, now, born)
            case Count(key=key, window=window, now=now, times=times):
                return await self._awaited.acount(key, window, now, times)
            case Swap(key=key, old=old, new=new, until=until, now=now):
                return await self._awaited.aswap(key, old, new, until, now)
            case Claimed(key=key, now=now, born=born):
                return await self._awaited.aclaimed(key, now, born)
            case ReadBody():
                raise AssertionError("the body is the door's to read")

    def count(self, answer: object) -> None:
        self.store_operations += 1
        if _is_down(answer):
            self.store_failures += 1

    async def store_answers(self) -> bool:
        """Ask it something that changes nothing. Nobody else's questions are in its way."""
        import asyncio

        key, now = b"does it answer", time.time()
        if self._awaited is not None:
            return not _is_down(await self._awaited.aclaimed(key, now, now))
        return not _is_down(await asyncio.to_thread(self.store.claimed, key, now, now))

    async def _from_a_thread(self, effect: AnyEffect) -> Any:
        """Ask a store that has to wait. The threads are our own, so that the application's are free; who finds too
        many waiting already, or a store that just failed, is told at once that it does not answer (threats.md R30).
        """
        import asyncio

        if self._asking >= MOST_ASKING:
            return _no_answer(effect)
        self._asking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor(), self._ask, effect)
        finally:
            self._asking -= 1

    def _ask(self, effect: AnyEffect) -> Any:
        if time.monotonic() < self._down_until:
            return _no_answer(effect)
        answer = self.perform(effect, no_body)
        if _is_down(answer):
            self._down_until = time.monotonic() + DOWN_FOR
        return answer

    def _executor(self) -> ThreadPoolExecutor:
        if self._threads is None or self._threads[0] != os.getpid():  # threads do not survive a fork
            from concurrent.futures import ThreadPoolExecutor

            self._threads = os.getpid(), ThreadPoolExecutor(THREADS, thread_name_prefix="caputchin-gate-store")
        return self._threads[1]


def run(
    policy: Coroutine[Effect[Any], Any, T], world: World, read: Callable[[int], bytes | LastPiece | BodyEnd] = no_body
) -> T:
    """Drive the policy to its end, blocking the calling thread."""
    answer: Any = None
    try:
        while True:
            try:
                effect = policy.send(answer)
            except StopIteration as done:
                result: T = done.value
                return result
            answer = world.perform(cast(AnyEffect, effect), read)
    finally:
        policy.close()


@dataclass(slots=True)
class Ended(Generic[T]):
    """The policy has come to its end."""

    result: T


def run_ahead(
    policy: Coroutine[Effect[Any], Any, T],
    world: World,
    read_now: Callable[[int], bytes | LastPiece | BodyEnd | None],
    answer: Any = None,
) -> Ended[T] | AnyEffect:
    """Drive the policy for as long as nothing has to be waited for: to its end, or to an effect that has to wait.

    answer: to the effect that it has stopped at before
    """
    while True:
        try:
            effect = cast(AnyEffect, policy.send(answer))
        except StopIteration as done:
            return Ended(done.value)
        answer = read_now(effect.max_memory) if isinstance(effect, ReadBody) else world.at_once(effect)
        if answer is None:
            return effect
        if type(effect) in _OF_STORE:
            world.count(answer)


async def arun(
    policy: Coroutine[Effect[Any], Any, T],
    world: World,
    read: Callable[[int], Awaitable[bytes | LastPiece | BodyEnd]] = ano_body,
    waits_for: AnyEffect | None = None,
) -> T:
    """Drive the policy to its end without blocking the event loop.

    waits_for: where `run_ahead` has left it
    """
    try:
        step = run_ahead(policy, world, _not_now) if waits_for is None else waits_for
        while not isinstance(step, Ended):
            step = run_ahead(policy, world, _not_now, await _awaited(step, world, read))
        return step.result
    finally:
        policy.close()


def _not_now(max_memory: int) -> None:
    """A body that has to be waited for."""


async def _awaited(
    effect: AnyEffect, world: World, read: Callable[[int], Awaitable[bytes | LastPiece | BodyEnd]]
) -> Any:
    if isinstance(effect, ReadBody):
        return await read(effect.max_memory)
    answer = await world.aperform(effect)
    if type(effect) in _OF_STORE:
        world.count(answer)
    return answer
