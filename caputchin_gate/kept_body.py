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
BEGINNING: Final = 256 * 1024  # what stays in memory of a body that is known to need a file anyway
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
            reserve = 0 if held + count <= MODEST else self.limit // 4
            if self._settle() + count > self.limit - reserve:
                return False
            self._used += count
            return True

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

    expected: how many bytes it is said to have in all, 0 where nobody says
    """

    __slots__ = ("_blocks", "_budget", "_disk", "_file", "_in_file", "_in_memory", "_last", "expected", "size")

    def __init__(self, budget: Budget, disk: Budget = DISK) -> None:
        self.size = 0
        self.expected = 0
        self._budget = budget
        self._disk = disk
        self._blocks: list[bytes | bytearray] = []
        self._last: bytearray | None = None  # the end of what is in memory, where small pieces grow together
        self._file: IO[bytes] | None = None
        self._in_memory = 0
        self._in_file = 0

    @property
    def spilled(self) -> bool:
        """Whether a part of the body is in a file, so that handing it over may block."""
        return self._file is not None

    def keep(self, piece: bytes, max_memory: int) -> bool:
        """False when there is no room: both budgets are used up, or the disk is full."""
        return self.keep_in_memory(piece, max_memory) or self.keep_in_file(piece)

    def keep_in_memory(self, piece: bytes, max_memory: int) -> bool:
        """False when it has to be kept in a file: that may block."""
        size = len(piece)
        most = max_memory if self.expected <= max_memory else min(max_memory, BEGINNING)
        # What follows a spilled piece must stay behind it.
        if self._file is not None or self._in_memory + size > most or not self._budget.take(size, self._in_memory):
            return False
        self._in_memory += size
        self.size += size
        if size < SMALL and self._blocks:
            self._grow(piece)
        else:
            self._close_block()
            self._blocks.append(piece)
        return True

    @property
    def in_one_piece(self) -> bool:
        """Whether it can be handed over without a file or a copy, also when nothing of it came."""
        return self._file is None and self._last is None and len(self._blocks) <= 1

    def only_piece(self) -> bytes | None:
        """Hand everything over at once, where it is in one piece."""
        if not self.in_one_piece:
            return None
        piece = bytes(self._blocks[0]) if self._blocks else b""
        self.close()
        return piece

    def pieces(self, block: int = BLOCK) -> Iterator[bytes]:
        """Hand everything over, and forget it on the way."""
        self._close_block()
        self._blocks.reverse()
        while self._blocks:
            piece = bytes(self._blocks.pop())
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
        self._last = None
        self._forget(self._in_memory)
        if self._file is not None:
            with suppress(OSError):  # of bytes that could not be written
                self._file.close()
            self._file = None
            self._disk.give(self._in_file)
            self._in_file = 0

    __del__ = close  # a server may drop a request without telling anybody

    def _grow(self, piece: bytes) -> None:
        if self._last is None:
            self._last = bytearray()
        self._last += piece
        if len(self._last) >= BLOCK:
            self._close_block()

    def _close_block(self) -> None:
        if self._last is not None:
            self._blocks.append(self._last)
            self._last = None

    def _forget(self, count: int) -> None:
        if count:
            self._in_memory -= count
            self._budget.give(count)

    def keep_in_file(self, piece: bytes) -> bool:
        """False when there is no room. It may block."""
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
        self.size += len(piece)
        return True

    def _undo_write(self) -> None:
        """Take back the part of a piece that a full disk still had room for."""
        with suppress(OSError):
            if self._file is not None:
                self._file.seek(self._in_file)
                self._file.truncate()
