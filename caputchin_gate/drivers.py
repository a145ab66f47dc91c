"""Two tiny drivers: they send the answers of the world into the policy, one blocking, one on an event loop.

A driver knows how to wait and decides nothing. Reading the body is the door's, so it comes as an argument.
asyncio is imported where it is needed: a WSGI application does not pay for it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from caputchin_gate.effects import AnyEffect, BodyEnd, Call, Claim, Claimed, Count, Effect, ReadBody, Sleep
from caputchin_gate.http_client import HttpClient
from caputchin_gate.stores import AwaitedStore, Store

T = TypeVar("T")


def no_body(max_memory: int) -> BodyEnd:
    """The body of a verification that was asked for by hand."""
    return BodyEnd.COMPLETE


async def ano_body(max_memory: int) -> BodyEnd:
    return BodyEnd.COMPLETE


@dataclass(frozen=True, slots=True)
class World:
    """What the effects of one gate act upon."""

    client: HttpClient
    store: Store
    awaited: AwaitedStore | None = field(init=False)  # the same store, where event loops can await it

    def __post_init__(self) -> None:
        object.__setattr__(self, "awaited", self.store if isinstance(self.store, AwaitedStore) else None)

    def perform(self, effect: AnyEffect, read: Callable[[int], bytes | BodyEnd]) -> Any:
        match effect:
            case ReadBody(max_memory=max_memory):
                return read(max_memory)
            case Claim(key=key, until=until, now=now, born=born):
                return self.store.claim(key, until, now, born)
            case Count(key=key, window=window, now=now):
                return self.store.count(key, window, now)
            case Claimed(key=key, now=now):
                return self.store.claimed(key, now)
            case Call():
                return self.client.call(effect)
            case Sleep(seconds=seconds):
                return time.sleep(seconds)

    async def aperform(self, effect: AnyEffect, read: Callable[[int], Awaitable[bytes | BodyEnd]]) -> Any:
        """The same on an event loop: a store is awaited if it can be.

        Any other is asked in place, and from a thread only if it would have to wait.
        """
        match effect:
            case ReadBody(max_memory=max_memory):
                return await read(max_memory)
            case Claim(key=key, until=until, now=now, born=born):
                if self.awaited is not None:
                    return await self.awaited.aclaim(key, until, now, born)
                at_once: Any = self.store.claim_now(key, until, now)
            case Count(key=key, window=window, now=now):
                if self.awaited is not None:
                    return await self.awaited.acount(key, window, now)
                at_once = self.store.count_now(key, window, now)
            case Claimed(key=key, now=now) if self.awaited is not None:
                return await self.awaited.aclaimed(key, now)
            case Call():
                return await self.client.acall(effect)
            case _:
                at_once = None
        if at_once is not None:
            return at_once
        import asyncio

        if isinstance(effect, Sleep):
            return await asyncio.sleep(effect.seconds)
        return await asyncio.to_thread(self.perform, effect, no_body)


def run(policy: Coroutine[Effect[Any], Any, T], world: World, read: Callable[[int], bytes | BodyEnd] = no_body) -> T:
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


async def arun(
    policy: Coroutine[Effect[Any], Any, T], world: World, read: Callable[[int], Awaitable[bytes | BodyEnd]] = ano_body
) -> T:
    """Drive the policy to its end without blocking the event loop."""
    answer: Any = None
    try:
        while True:
            try:
                effect = policy.send(answer)
            except StopIteration as done:
                result: T = done.value
                return result
            answer = await world.aperform(cast(AnyEffect, effect), read)
    finally:
        policy.close()
