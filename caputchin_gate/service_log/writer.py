"""Writes lines to a descriptor that may be slow: who has a line to write never waits for the reader.

Lines are kept for a thread that makes and writes them: to make many in a row costs a third of what each costs in the
midst of a request. It writes whole lines, as many at once as a pipe takes in one piece, so that those of several
processes never mix. When the reader is so slow that too many are kept, new ones are dropped,
counted, and the number is told as soon as there is room.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

Make: TypeAlias = Callable[[], bytes]  # makes a line

MOST_KEPT: Final = 2048  # lines
PAUSE: Final = 0.01  # seconds after a write in which lines gather: a thread that wakes for each costs more than they do
LINGER: Final = 1.0  # seconds until a thread without work ends
RETRY: Final = 0.1


class LineWriter:
    """dropped: makes the line that tells how many are missing."""

    def __init__(self, descriptor: int, dropped: Callable[[int], bytes], most_kept: int = MOST_KEPT) -> None:
        self._descriptor = descriptor
        self._told_dropped = dropped
        self._most_kept = most_kept
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # the lines that wait are the parent's, and so is the thread

    def _begin(self) -> None:
        self._lock = threading.RLock()  # whoever holds it may be interrupted by a finalizer that has a line to write
        self._coming = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._hurry = threading.Event()
        self._lines: list[Make] = []
        self._kept = 0  # lines, those included that are being written
        self._dropped = 0
        self._waits = False
        self._thread: threading.Thread | None = None

    def write(self, line: Make) -> None:
        """Have a line written soon, or dropped where too many wait."""
        with self._lock:
            if self._kept >= self._most_kept:
                self._dropped += 1
                return
            self._keep(line)
            if self._waits:
                self._waits = False
                self._coming.notify()
            elif self._thread is None:
                self._start()

    def _keep(self, line: Make) -> None:
        self._lines.append(line)
        self._kept += 1

    def flush(self, patience: float) -> None:
        """Wait until all lines are written, at most so many seconds."""
        end = time.monotonic() + patience
        self._hurry.set()
        with self._lock:
            if self._kept and self._thread is None:
                self._start()
            while self._kept and self._thread is not None and (left := end - time.monotonic()) > 0:
                self._done.wait(left)
        self._hurry.clear()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="caputchin-gate-log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread can be had, at the end of the process for example
            self._thread = None

    def _run(self) -> None:
        while (lines := self._next()) is not None:
            self._write(lines)
            with self._lock:
                self._kept -= len(lines)
                self._done.notify_all()
            self._hurry.wait(PAUSE)

    def _next(self) -> Sequence[Make] | None:
        """The lines that wait; None when there were none for a while, and this thread has ended."""
        with self._lock:
            if self._dropped:
                number, self._dropped = self._dropped, 0
                self._keep(partial(self._told_dropped, number))
            if not self._lines:
                self._waits = True
                self._coming.wait_for(lambda: self._lines, LINGER)
                self._waits = False
            if not self._lines:
                self._thread = None
                return None
            lines, self._lines = self._lines, []
        return lines

    def _write(self, lines: Sequence[Make]) -> None:
        piece: list[bytes] = []
        size = 0
        for make in lines:
            line = make()
            if size + len(line) > select.PIPE_BUF:
                self._write_piece(b"".join(piece))
                piece, size = [], 0
            piece.append(line)
            size += len(line)
        self._write_piece(b"".join(piece))

    def _write_piece(self, piece: bytes) -> None:
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:  # somebody made it so
                select.select([], [self._descriptor], [], RETRY)
            except OSError:  # nobody reads any more
                return
