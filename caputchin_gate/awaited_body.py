"""A kept body on an event loop: files are written and read in threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final, Generic, TypeAlias, TypeVar

from caputchin_gate.effects import BodyEnd, LastPiece
from caputchin_gate.kept_body import KeptBody

T = TypeVar("T")
Read: TypeAlias = bytes | LastPiece | BodyEnd

THREADS: Final = 4


class AwaitedBody:
    """Read piece by piece until the decision, then handed over from its start.

    receive: the next piece of the body, never empty, or why none will come
    """

    __slots__ = ("_kept", "_receive", "_unkept", "_unwritten", "_working")

    def __init__(self, kept: KeptBody, receive: Callable[[], Awaitable[Read]]) -> None:
        self._kept = kept
        self._receive = receive
        self._unwritten: bytes | LastPiece | None = None  # was received, and belongs into a file
        self._unkept = b""  # the piece for which there was no room; in report mode the application gets it all the same
        self._working: asyncio.Future[Any] | None = None  # a thread, which may outlast a request that was cancelled

    async def read(self, max_memory: int) -> Read:
        """The next piece, kept for the application, or why none will come."""
        read, self._unwritten = self._unwritten or await self._receive(), None
        if isinstance(read, BodyEnd):
            return read
        piece = read.content if isinstance(read, LastPiece) else read
        if self._kept.keep_in_memory(piece, max_memory) or await self._in_a_thread(self._kept.keep_in_file, piece):
            return read
        self._unkept = piece
        return BodyEnd.NO_ROOM

    def take(self, read: Read | None, max_memory: int) -> Read | None:
        """The same with what was received already. None where nothing was, or where it belongs into a file: then
        `read` gives it.
        """
        if read is None or isinstance(read, BodyEnd):
            return read
        piece = read.content if isinstance(read, LastPiece) else read
        if self._kept.keep_in_memory(piece, max_memory):
            return read
        self._unwritten = read
        return None

    @property
    def in_one_piece(self) -> bool:
        return self._kept.in_one_piece and not self._unkept

    def only_piece(self) -> bytes | None:
        """Everything that was read, once; None where it is not in one piece."""
        return self._kept.only_piece() if not self._unkept else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """What was read, once, in its order."""
        pieces = self._kept.pieces()
        while piece := await self._in_a_thread(next, pieces, b"") if self._kept.spilled else next(pieces, b""):
            yield piece
        if self._unkept:
            yield self._unkept

    def close(self) -> None:
        """Forget it, as soon as no thread is at it."""
        if self._working is not None and not self._working.done():
            self._working.add_done_callback(lambda _: self._kept.close())
        else:
            self._kept.close()

    async def _in_a_thread(self, work: Callable[..., T], *arguments: object) -> T:
        threads = _threads(os.getpid())
        self._working = working = asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
        return await asyncio.shield(working)


async def in_time(awaitable: Awaitable[T], patience: Callable[[], float]) -> T:
    """The result of an awaitable; TimeoutError when it takes too many seconds. What is there at once needs no timer."""
    steps = awaitable.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(patience()):
        return await _Begun(steps, waits_for)


class _Begun(Generic[T]):
    """The rest of an awaitable whose first step was made by hand."""

    def __init__(self, steps: Generator[Any, Any, T], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, T]:
        try:
            yield self._waits_for
        except BaseException as failure:  # a cancellation is its own to handle
            try:
                yield self._steps.throw(failure)
            except StopIteration as done:
                result: T = done.value
                return result
        return (yield from self._steps)


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Our own, so that the application's are free; threads do not survive a fork."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="caputchin-gate-disk")
