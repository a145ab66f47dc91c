"""Waiting for the next piece of a body: with a limit where it has to be waited for, and never longer."""

from __future__ import annotations

import asyncio

import pytest

from caputchin_gate.awaited_body import in_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Source:
    """Awaited once; what happened to it is noted."""

    def __init__(self, *, gives_in: bool = True) -> None:
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.cancelled = False
        self._gives_in = gives_in

    async def receive(self) -> str:
        self.asked.set()
        await asyncio.sleep(0)  # waiting twice, and for different things
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.cancelled = True
            if self._gives_in:
                raise
            return "all the same"


async def test_what_is_there_at_once_is_given_though_no_time_is_left() -> None:
    async def receive() -> str:
        return "there"

    assert await in_time(receive(), lambda: 0.0) == "there"


async def test_what_comes_in_time_is_given() -> None:
    source = Source()
    waiting = asyncio.create_task(in_time(source.receive(), lambda: 30.0))
    await source.asked.wait()
    source.answer.set_result("late")
    assert await waiting == "late"


async def test_what_does_not_come_is_cancelled_and_a_timeout() -> None:
    source = Source()
    with pytest.raises(TimeoutError):
        await in_time(source.receive(), lambda: 0.01)
    assert source.cancelled


@pytest.mark.parametrize("gives_in", [True, False])
async def test_a_cancellation_is_for_what_is_awaited_to_handle(gives_in: bool) -> None:
    source = Source(gives_in=gives_in)
    waiting = asyncio.create_task(in_time(source.receive(), lambda: 30.0))
    await source.asked.wait()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    if gives_in:
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert await waiting == "all the same"
    assert source.cancelled


async def test_a_cancellation_at_the_first_step_reaches_it_too() -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(in_time(answer, lambda: 30.0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_exception_of_what_is_awaited_is_its_own() -> None:
    source = Source()
    waiting = asyncio.create_task(in_time(source.receive(), lambda: 30.0))
    await source.asked.wait()
    source.answer.set_exception(ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await waiting
