"""Answers that are asked for at most so often, however many want to know: nobody makes work here by asking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Fresh(Generic[T]):
    """`await fresh()` is the answer of `ask`, at most `seconds` old. While a question is open, all wait for it."""

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._task: asyncio.Task[T] | None = None
        self._stale_at = 0.0

    async def __call__(self) -> T:
        loop = asyncio.get_running_loop()
        if self._task is None or (self._task.done() and loop.time() >= self._stale_at):
            self._task = loop.create_task(self._answer())
        return await asyncio.shield(self._task)

    async def _answer(self) -> T:
        try:
            return await self._ask()
        finally:
            self._stale_at = asyncio.get_running_loop().time() + self._seconds
