"""What was read of a body before the decision, kept for the application (threats.md R17, R18).

In memory up to a limit and while there is room, the rest in a file that has no name. How much of a body may be read at
all is counted by the policy; here is counted what all requests of the process keep at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Final

SMALL: Final = 4096  # pieces below are copied together, so that many of them don't cost more than their bytes
BLOCK: Final = 65536
MODEST: Final = 16384  # what nearly every form is smaller than


class Budget:
    """Bytes that may be kept at once, over all requests; threads share it.

    The last quarter is for modest bodies: who fills the rest with large ones keeps nobody's form out (threats.md R30).
    What is given back is noted without the lock: a body may be collected as garbage at any moment, also in a thread
    that is just taking.
    """

    def __init__(self, limit: int = 256 * 2**20) -> None:
        self.limit = limit
        self._used = 0
        self._given: deque[int] = deque()
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        with self._lock:
            return self._settle()

    def take(self, count: int, held: int = 0) -> bool:
        """Whether there was room for `count` more bytes of a body that holds `held` here."""
        with self._lock:
            if not self._has_room(count, held):
                return False
            self._used += count
            return True

    def has_room(self, count: int, held: int = 0) -> bool:
        """Whether `take` would be granted at this moment."""
        with self._lock:
            return self._has_room(count, held)

    def _has_room(self, count: int, held: int) -> bool:
        reserve = 0 if held + count <= MODEST else self.limit // 4
        return self._settle() + count <= self.limit - reserve

    def give(self, count: int) -> None:
        self._given.append(count)

    def _settle(self) -> int:
        while self._given:
            self._used -= self._given.popleft()
        return self._used


DISK: Final = Budget(16 * 2**30)  # in files, over all gates of the process


class KeptBody:
    """The pieces of one body: kept in order, then handed over once in the same order.

    One thread at a time may use it. It gives its bytes back as it hands them over, and the rest when it is closed.
    """

    __slots__ = ("_blocks", "_budget", "_disk", "_file", "_in_file", "_in_memory", "_last", "size")

    def __init__(self, budget: Budget, disk: Budget = DISK) -> None:
        self.size = 0
        self._budget = budget
        self._disk = disk
        self._blocks: deque[bytes | bytearray] = deque()
        self._last = bytearray()  # the end of what is in memory, where small pieces grow together
        self._file: IO[bytes] | None = None
        self._in_memory = 0
        self._in_file = 0

    @property
    def spilled(self) -> bool:
        """Whether a part of the body is in a file, so that handing it over may block."""
        return self._file is not None

    def would_spill(self, piece: bytes, max_memory: int) -> bool:
        """Whether keeping this piece means writing to a file, as far as can be told before."""
        return not self._is_for_memory(piece, max_memory) or not self._budget.has_room(len(piece), self._in_memory)

    def keep(self, piece: bytes, max_memory: int) -> bool:
        """False when there is no room: both budgets are used up, or the disk is full."""
        in_memory = self._is_for_memory(piece, max_memory) and self._remember(piece)
        kept = in_memory or self._write(piece)
        if kept:
            self.size += len(piece)
        return kept

    def pieces(self, block: int = BLOCK) -> Iterator[bytes]:
        """Hand everything over, and forget it on the way."""
        self._close_block()
        while self._blocks:
            piece = bytes(self._blocks.popleft())
            self._forget(len(piece))
            yield piece
        if self._file is not None:
            self._file.seek(0)
            while piece := self._file.read(block):
                yield piece
        self.close()

    def close(self) -> None:
        """Forget what was not handed over. Closing twice does nothing."""
        self._blocks.clear()
        self._last = bytearray()
        self._forget(self._in_memory)
        if self._file is not None:
            with suppress(OSError):  # of bytes that could not be written
                self._file.close()
            self._file = None
            self._disk.give(self._in_file)
            self._in_file = 0

    __del__ = close  # a server may drop a request without telling anybody

    def _is_for_memory(self, piece: bytes, max_memory: int) -> bool:
        """What follows a spilled piece must stay behind it."""
        return self._file is None and self._in_memory + len(piece) <= max_memory

    def _remember(self, piece: bytes) -> bool:
        if not self._budget.take(len(piece), self._in_memory):
            return False
        self._in_memory += len(piece)
        if len(piece) < SMALL:
            self._last += piece
            if len(self._last) >= BLOCK:
                self._close_block()
        else:
            self._close_block()
            self._blocks.append(piece)
        return True

    def _close_block(self) -> None:
        if self._last:
            self._blocks.append(self._last)
            self._last = bytearray()

    def _forget(self, count: int) -> None:
        if count:
            self._in_memory -= count
            self._budget.give(count)

    def _write(self, piece: bytes) -> bool:
        if not self._disk.take(len(piece), self._in_file):
            return False
        try:
            if self._file is None:
                import tempfile  # only large bodies pay for it

                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (`close` closes it)
            written = 0
            while written < len(piece):
                written += self._file.write(memoryview(piece)[written:]) or 0
        except OSError:
            self._undo_write()
            self._disk.give(len(piece))
            return False
        self._in_file += len(piece)
        return True

    def _undo_write(self) -> None:
        """Take back the part of a piece that a full disk still had room for."""
        with suppress(OSError):
            if self._file is not None:
                self._file.seek(self._in_file)
                self._file.truncate()
