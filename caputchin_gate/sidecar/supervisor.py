"""Watches over the workers: opens the sockets, starts workers that share them, replaces one that dies.

    SIGTERM, SIGINT   ends all gracefully; the second one at once
    SIGHUP            reads the settings again. If they are right, a new generation of workers takes over, and the old
                      one finishes what it began; if not, everything stays as it is, and one line says why

A worker never changes its settings: it is replaced. Each has a channel to here: it says when it is ready, and either
side learns by its end that the other is gone.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from caputchin_gate.addresses import Address
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.events import tell, tell_broken
from caputchin_gate.sidecar import worker
from caputchin_gate.sidecar.listening import CantListen, close_listening, open_listening
from caputchin_gate.sidecar.service_manager import ServiceManager
from caputchin_gate.sidecar.worker import Service

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
READY: Final = b"r"
START_SECONDS: Final = 30.0  # until the workers of a new generation have to be ready
SHORT_LIFE: Final = 1.0  # who lives shorter is replaced only after so long
KILL_AFTER: Final = 5.0  # seconds after the drain


@dataclass(slots=True, eq=False)
class Worker:
    process_id: int
    channel: socket.socket
    service: Service
    started: float = field(default_factory=time.monotonic)
    ready: bool = False
    leaving: bool = False


class Supervisor:
    """prepare: reads the settings and checks all that can be checked before a worker begins; its service has no
    sockets yet. Raises ConfigurationError.
    """

    def __init__(self, prepare: Callable[[], Service]) -> None:
        self._prepare = prepare
        self._manager = ServiceManager(os.environ)
        self._sockets: dict[Address, socket.socket] = {}
        self._workers: list[Worker] = []
        self._current = self._with_sockets(prepare())
        self._next: Service | None = None  # whose workers are starting
        self._give_up_at = math.inf
        self._kill_at = math.inf
        self._replace_at: list[float] = []
        self._ending = False
        self._failed = False
        self._selector = selectors.DefaultSelector()

    @property
    def service(self) -> Service:
        return self._current

    def run(self, started: Callable[[Service], object]) -> bool:
        """Until all workers have ended; whether that was asked for. `started` is called when all are ready first."""
        waking, wakes = socket.socketpair()
        for end in (waking, wakes):
            end.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in HANDLED}
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._selector.register(waking, selectors.EVENT_READ)
        _open_as_many_files_as_may_be()
        gc.freeze()  # what the workers share stays shared
        self._begin(self._current)
        told = False
        try:
            while self._workers or self._replace_at:
                for key, _ in self._selector.select(self._patience()):
                    if isinstance(key.data, Worker):
                        self._hear(key.data)
                    else:
                        self._heed(waking.recv(64))
                self._look_at_the_clock()
                if not told and self._next is None and not self._ending:
                    told = True
                    started(self._current)
                    self._manager.ready(_status(self._current))
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            self._close_sockets()
        return not self._failed

    # Generations

    def _with_sockets(self, service: Service) -> Service:
        """Open what it listens on, unless it is open already. Raises CantListen, and leaves nothing open then."""
        opened: list[Address] = []
        try:
            for address in service.settings.listen:
                if address not in self._sockets:
                    self._sockets[address] = open_listening(address)
                    opened.append(address)
        except CantListen:
            for address in opened:
                close_listening(self._sockets.pop(address))
            raise
        return replace(service, sockets=tuple(self._sockets[address] for address in service.settings.listen))

    def _begin(self, service: Service) -> None:
        self._next = service
        self._give_up_at = time.monotonic() + START_SECONDS
        for _ in range(service.settings.workers):
            self._spawn(service)

    def _reload(self) -> None:
        if self._next is not None:
            tell(logging.ERROR, "reload-refused", "reload refused: the last one is not done yet")
            return
        self._manager.reloading()
        try:
            service = self._with_sockets(self._prepare())
        except ConfigurationError as failure:
            self._refuse_reload("; ".join(map(str, failure.problems)))
        except CantListen as failure:
            self._refuse_reload(str(failure))
        else:
            self._begin(service)

    def _refuse_reload(self, why: str) -> None:
        tell(logging.ERROR, "reload-refused", f"reload refused, nothing changes: {why}", why=why)
        self._manager.ready(f"{_status(self._current)}; the last reload was refused, see the log")

    def _take_over(self, service: Service) -> None:
        """The new generation is ready: the old one takes nothing new any more."""
        reloaded = self._current is not service
        self._current, self._next, self._give_up_at = service, None, math.inf
        self._replace_at.clear()
        for one in self._workers:
            if one.service is not service:
                self._send(one, worker.RETIRE)
        self._close_unused()
        if reloaded:
            tell(logging.WARNING, "reload", "reload: the new settings are in use", workers=service.settings.workers)
            self._manager.ready(_status(service))

    def _give_up(self, why: str) -> None:
        """The new generation does not start."""
        service, self._next, self._give_up_at = self._next, None, math.inf
        for one in self._workers:
            if one.service is service:
                self._send(one, worker.END)
        if service is self._current:
            tell(logging.ERROR, "start-failed", f"the workers do not start: {why}", why=why)
            self._failed = True
            self._end()
        else:
            self._refuse_reload(f"the new workers do not start ({why})")
            self._close_unused()

    def _close_sockets(self) -> None:
        while self._sockets:
            close_listening(self._sockets.popitem()[1])

    def _close_unused(self) -> None:
        for address in self._sockets.keys() - set(self._current.settings.listen):
            close_listening(self._sockets.pop(address))

    # Workers

    def _spawn(self, service: Service) -> None:
        ours, theirs = socket.socketpair()
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # none of ours shall reach a worker half made
        process_id = os.fork()
        if not process_id:
            ours.close()
            self._become_worker(service, theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        theirs.close()
        one = Worker(process_id, ours, service)
        self._workers.append(one)
        self._selector.register(ours, selectors.EVENT_READ, one)

    def _become_worker(self, service: Service, channel: socket.socket) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            self._selector.close()
            for sibling in self._workers:  # else it would not see the end of this process
                sibling.channel.close()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to everybody
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
            worker.run(service, lambda relay: channel.send(READY), orphaned=channel.fileno())
            code = 0
        except Exception as failure:
            tell_broken(failure, "a worker failed")
        finally:
            logging.shutdown()
            os._exit(code)

    def _hear(self, one: Worker) -> None:
        said = b""
        with suppress(ConnectionError):
            said = one.channel.recv(64)
        if said:
            one.ready = True
            starting = self._next
            if starting is not None and all(peer.ready for peer in self._workers if peer.service is starting):
                self._take_over(starting)
        else:
            self._bury(one)

    def _bury(self, one: Worker) -> None:
        self._selector.unregister(one.channel)
        one.channel.close()
        self._workers.remove(one)
        _, status = os.waitpid(one.process_id, 0)
        code = os.waitstatus_to_exitcode(status)
        if one.leaving or self._ending:
            return
        if one.service is self._next:
            self._give_up(_how(code))
        elif one.service is self._current:
            message = f"worker {one.process_id} ended ({_how(code)}) and is replaced"
            tell(logging.ERROR, "worker-died", message, worker=one.process_id, how=_how(code))
            now = time.monotonic()
            self._replace_at.append(now if now - one.started > SHORT_LIFE else now + SHORT_LIFE)

    @staticmethod
    def _send(one: Worker, number: signal.Signals) -> None:
        one.leaving = True
        with suppress(ProcessLookupError):
            os.kill(one.process_id, number)

    # Signals and time

    def _heed(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGHUP:
                if not self._ending:
                    self._reload()
            elif not self._ending:
                self._end()
            else:
                self._kill_at = 0.0

    def _end(self) -> None:
        if not self._failed:
            tell(logging.INFO, "stop", "ending; what is in flight is finished first")
        self._ending = True
        self._manager.stopping()
        self._replace_at.clear()
        self._kill_at = time.monotonic() + self._current.settings.timeouts.drain + KILL_AFTER
        for one in self._workers:
            self._send(one, worker.END)
        self._close_sockets()  # else clients would be queued that nobody answers

    def _patience(self) -> float | None:
        first = min(self._give_up_at, self._kill_at, self._manager.beat_at, *self._replace_at)
        return None if first is math.inf else max(0.0, first - time.monotonic())

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        self._manager.beat(now)
        if now >= self._kill_at:
            self._kill_at = math.inf
            for one in self._workers:
                self._send(one, signal.SIGKILL)
        if now >= self._give_up_at:
            self._give_up("they take too long")
        for due in [due for due in self._replace_at if due <= now]:
            self._replace_at.remove(due)
            self._spawn(self._current)


def _status(service: Service) -> str:
    return f"serving with {service.settings.workers} worker{'s' * (service.settings.workers > 1)}"


def _open_as_many_files_as_may_be() -> None:
    """Each connection is one; shells give a process a thousand, and let it have more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
