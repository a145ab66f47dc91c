"""The supervisor's side of the process that serves the admin address: begins it, replaces it, answers its questions.

That process may fail or be flooded without harm to anybody: the workers do not know of it, and the supervisor never
waits for it. It asks with one byte and is answered with a snapshot. There is one at a time: of two, one would tell
older numbers than the other had told before, and counters would go back.
"""

from __future__ import annotations

import logging
import math
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from caputchin_gate.events import tell
from caputchin_gate.sidecar.child import SHORT_LIFE, Child, NoRoom, fork_child
from caputchin_gate.sidecar.worker import Service

LEAVE_SECONDS: Final = 5.0  # what it is answering then is broken off


@dataclass(slots=True, eq=False)
class AdminProcess:
    child: Child
    unsent: bytes = b""
    leaving: bool = False


class AdminSide:
    """tell: makes the answer to a question
    work: what the process does, given its end of the channel
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        tell: Callable[[], bytes],
        work: Callable[[Service, socket.socket], object],
    ) -> None:
        self._selector = selector
        self._tell = tell
        self._work = work
        self._service: Service | None = None
        self._current: AdminProcess | None = None
        self.due_at = math.inf  # monotonic: when one has to begin, or the one that leaves to be gone

    def serve(self, service: Service) -> None:
        """Show this service from now on, when the process of the last one has answered and ended."""
        self._service = service if service.admin_socket is not None else None
        if self._current is None:
            self.due_at = 0.0
        elif not self._current.leaving:
            self._current.leaving = True
            self._current.child.send(signal.SIGTERM)
            self.due_at = time.monotonic() + LEAVE_SECONDS
        self.look_at_the_clock(time.monotonic())

    def look_at_the_clock(self, now: float) -> None:
        if now < self.due_at:
            return
        self.due_at = math.inf
        if self._current is not None:
            self._current.child.send(signal.SIGKILL)
        elif self._service is not None:
            self._begin(self._service)

    def end(self) -> None:
        """It keeps nothing that would be lost."""
        self.due_at = math.inf
        if self._current is not None:
            self._current.child.send(signal.SIGKILL)
            self._selector.unregister(self._current.child.channel)
            self._current.child.bury()
            self._current = None

    def _begin(self, service: Service) -> None:
        try:
            child = fork_child("the admin address", lambda channel: self._work(service, channel))
        except NoRoom as failure:
            tell(logging.ERROR, "no-room", str(failure))
            self.due_at = time.monotonic() + SHORT_LIFE
            return
        one = self._current = AdminProcess(child)
        self._selector.register(child.channel, selectors.EVENT_READ, lambda: self._hear(one))

    def _hear(self, one: AdminProcess) -> None:
        try:
            said = one.child.channel.recv(64)
            if not said:
                self._bury(one)
                return
            if not one.unsent:  # else it was not patient enough to read its last answer
                one.unsent = self._tell()
        except BlockingIOError:
            pass
        except ConnectionError:
            self._bury(one)
            return
        self._answer(one)

    def _answer(self, one: AdminProcess) -> None:
        channel = one.child.channel
        try:
            one.unsent = one.unsent[channel.send(one.unsent) :] if one.unsent else b""
        except BlockingIOError:
            pass
        except ConnectionError:
            one.unsent = b""  # its end is heard next
        waits_for = selectors.EVENT_READ | (selectors.EVENT_WRITE if one.unsent else 0)
        self._selector.modify(channel, waits_for, lambda: self._hear(one))

    def _bury(self, one: AdminProcess) -> None:
        self._selector.unregister(one.child.channel)
        self._current = None
        code = one.child.bury()
        self.due_at = 0.0 if one.leaving else one.child.replacement_due()
        if not one.leaving:
            message = f"the process of the admin address ended ({code}) and is replaced"
            tell(logging.ERROR, "admin-died", message, code=code)
