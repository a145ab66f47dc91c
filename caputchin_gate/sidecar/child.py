"""A process that the supervisor makes of itself. A channel leads to it; by its end either side learns that the other is
gone.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn

from caputchin_gate.events import tell_broken

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SHORT_LIFE: Final = 1.0  # who lives shorter, or can't begin, is replaced only after so long


class NoRoom(Exception):
    """The system gives no process, or no descriptor: for now. The text says so."""


@dataclass(slots=True, eq=False)
class Child:
    process_id: int
    channel: socket.socket
    started: float = field(default_factory=time.monotonic)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process_id, number)

    def bury(self) -> int:
        """Its exit code, or the negative number of the signal that ended it."""
        self.channel.close()
        _, status = os.waitpid(self.process_id, 0)
        return os.waitstatus_to_exitcode(status)

    def replacement_due(self) -> float:
        """When it may be replaced (monotonic seconds)."""
        now = time.monotonic()
        return now if now - self.started > SHORT_LIFE else now + SHORT_LIFE


def fork_child(what: str, work: Callable[[socket.socket], object]) -> Child:
    """A child that does this work, given its end of the channel, and ends with it. Raises NoRoom."""
    try:
        ours, theirs = socket.socketpair()
    except OSError as failure:
        raise NoRoom(f"can't begin {what}: {failure.strerror}") from None
    ours.setblocking(False)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # none of ours shall reach a child half made
    try:
        process_id = os.fork()
        if not process_id:
            ours.close()
            _live(what, work, theirs)
    except OSError as failure:
        ours.close()
        raise NoRoom(f"can't begin {what}: {failure.strerror}") from None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        theirs.close()
    return Child(process_id, ours)


def _live(what: str, work: Callable[[socket.socket], object], channel: socket.socket) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to everybody
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        work(channel)
        code = 0
    except Exception as failure:
        tell_broken(failure, f"{what} failed")
    finally:
        logging.shutdown()
        os._exit(code)
