"""Watches over the workers: opens the sockets, starts workers that share them, replaces one that dies.

    SIGTERM, SIGINT   ends all gracefully; the second one at once
    SIGHUP            reads the settings again. If they are right, a new generation of workers takes over, and the old
                      one finishes what it began; if not, everything stays as it is, and one line says why

A worker never changes its settings: it is replaced. Each reports here what it counts; its first report says that it is
ready. What all have counted is shown by one more process, see `admin_side.py`.
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
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from caputchin_gate.addresses import Address
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.events import tell, tell_broken
from caputchin_gate.sidecar import reports, worker
from caputchin_gate.sidecar.admin_side import AdminSide
from caputchin_gate.sidecar.child import HANDLED, SHORT_LIFE, Child, NoRoom, fork_child
from caputchin_gate.sidecar.ledger import Ledger, Seen
from caputchin_gate.sidecar.listening import CantListen, close_listening, open_listening
from caputchin_gate.sidecar.reports import State
from caputchin_gate.sidecar.service_manager import ServiceManager
from caputchin_gate.sidecar.worker import Service

CLIENTS: Final = "clients"
ADMIN: Final = "admin"
START_SECONDS: Final = 30.0  # until the workers of a new generation have to be ready
KILL_AFTER: Final = 5.0  # seconds after the drain
READ_AT_ONCE: Final = 1 << 18


@dataclass(slots=True, eq=False)
class Worker:
    child: Child
    service: Service
    unread: bytes = b""  # the beginning of a report
    state: State = field(default_factory=State)
    ready: bool = False
    leaving: bool = False


class Supervisor:
    """prepare: reads the settings and checks all that can be checked before a worker begins; its service has no
    sockets yet. Raises ConfigurationError.
    """

    def __init__(self, prepare: Callable[[], Service]) -> None:
        self._prepare = prepare
        self._manager = ServiceManager(os.environ)
        self._sockets: dict[tuple[str, Address], socket.socket] = {}  # by whom they are for
        self._workers: list[Worker] = []
        self._current = self._with_sockets(prepare())
        self._next: Service | None = None  # whose workers are starting
        self._reload_again = False
        self._give_up_at = math.inf
        self._kill_at = math.inf
        self._replace_at: list[float] = []
        self._ending = False
        self._failed = False
        self._selector = selectors.DefaultSelector()
        self._ledger = Ledger()
        self._admin = AdminSide(self._selector, self._tell, self._serve_admin)

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
        self._selector.register(waking, selectors.EVENT_READ, lambda: self._heed(waking.recv(64)))
        _open_as_many_files_as_may_be()
        gc.freeze()  # what the workers share stays shared
        self._begin(self._current)
        told = False
        try:
            while self._workers or self._replace_at:
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._look_at_the_clock()
                if not told and self._next is None and not self._ending:
                    told = True
                    started(self._current)
                    self._manager.ready(_status(self._current))
        finally:
            self._admin.end()
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            self._close(self._sockets)
        return not self._failed

    # Generations

    def _with_sockets(self, service: Service) -> Service:
        """Open what it listens on, unless it is open already. Raises CantListen, and leaves nothing open then."""
        opened: list[tuple[str, Address]] = []
        try:
            for place in _places(service):
                if place not in self._sockets:
                    self._sockets[place] = open_listening(place[1])
                    opened.append(place)
        except CantListen:
            for place in opened:
                close_listening(self._sockets.pop(place))
            raise
        settings = service.settings
        return replace(
            service,
            sockets=tuple(self._sockets[CLIENTS, address] for address in settings.listen),
            admin_socket=self._sockets[ADMIN, settings.admin] if settings.admin is not None else None,
        )

    def _begin(self, service: Service) -> None:
        self._next = service
        self._give_up_at = time.monotonic() + START_SECONDS
        for _ in range(service.settings.workers):
            if self._next is service:
                self._spawn(service)

    def _reload(self) -> None:
        if self._next is not None:
            self._reload_again = True  # when that one is done: the file may have changed since
            return
        self._manager.reloading()
        try:
            service = self._with_sockets(self._prepare())
        except ConfigurationError as failure:
            self._refuse_reload("; ".join(map(str, failure.problems)))
        except CantListen as failure:
            self._refuse_reload(str(failure))
        except Exception as failure:  # whatever breaks, those that serve go on
            tell_broken(failure, "the new settings could not be read")
            self._refuse_reload(type(failure).__name__)
        else:
            self._begin(service)

    def _refuse_reload(self, why: str) -> None:
        self._ledger.count("reloads", "refused")
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
        self._admin.serve(service)
        if reloaded:
            self._ledger.count("reloads", "done")
            self._ledger.reloaded = time.time()
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

    def _close_unused(self) -> None:
        self._close(self._sockets.keys() - set(_places(self._current)))

    def _close(self, places: Iterable[tuple[str, Address]]) -> None:
        for place in list(places):
            close_listening(self._sockets.pop(place))

    # Workers

    def _spawn(self, service: Service) -> None:
        try:
            child = fork_child("a worker", lambda channel: self._work(service, channel))
        except NoRoom as failure:
            if service is self._next:
                self._give_up(str(failure))
            else:
                tell(logging.ERROR, "no-room", str(failure))
                self._replace_at.append(time.monotonic() + SHORT_LIFE)
            return
        one = Worker(child, service)
        self._workers.append(one)
        self._selector.register(child.channel, selectors.EVENT_READ, lambda: self._hear(one))

    def _work(self, service: Service, channel: socket.socket) -> None:
        """In the worker."""
        self._forget_all_but(*service.sockets)
        worker.run(service, channel=channel)

    def _serve_admin(self, service: Service, channel: socket.socket) -> None:
        """In the process of the admin address."""
        from caputchin_gate.sidecar.admin import process  # command.py has imported it where it is needed

        assert service.admin_socket is not None
        self._forget_all_but(service.admin_socket)
        process.run(service, service.admin_socket, channel)

    def _forget_all_but(self, *needed: socket.socket) -> None:
        """What a child keeps open is not closed when it is here: a channel would not end, an address not be free."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        for listening in self._sockets.values():
            if listening not in needed:
                listening.close()

    def _hear(self, one: Worker) -> None:
        said = b""
        with suppress(ConnectionError):
            said = one.child.channel.recv(READ_AT_ONCE)
        if not said:
            self._bury(one)
            return
        *lines, one.unread = (one.unread + said).split(b"\n")
        for line in lines:
            counts, one.state = reports.read(line)
            self._ledger.add(counts)
        if lines and not one.ready:
            one.ready = True
            starting = self._next
            if starting is not None and all(peer.ready for peer in self._workers if peer.service is starting):
                self._take_over(starting)

    def _bury(self, one: Worker) -> None:
        self._selector.unregister(one.child.channel)
        self._workers.remove(one)
        code = one.child.bury()
        if one.leaving or self._ending:
            return
        if one.service is self._next:
            self._give_up(_how(code))
        elif one.service is self._current:
            self._ledger.count("worker_deaths")
            message = f"worker {one.child.process_id} ended ({_how(code)}) and is replaced"
            tell(logging.ERROR, "worker-died", message, worker=one.child.process_id, how=_how(code))
            self._replace_at.append(one.child.replacement_due())

    @staticmethod
    def _send(one: Worker, number: signal.Signals) -> None:
        one.leaving = True
        one.child.send(number)

    def _tell(self) -> bytes:
        """What the admin address shows."""
        seen = (
            Seen(one.child.process_id, one.ready, one.leaving or one.service is not self._current, one.state)
            for one in self._workers
        )
        return self._ledger.snapshot(seen, ending=self._ending).written()

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
        self._next, self._give_up_at = None, math.inf
        self._manager.stopping()
        self._replace_at.clear()
        self._kill_at = time.monotonic() + self._current.settings.timeouts.drain + KILL_AFTER
        for one in self._workers:
            self._send(one, worker.END)
        self._close(place for place in self._sockets if place[0] == CLIENTS)  # else they queue, and nobody answers

    def _patience(self) -> float | None:
        first = min(
            self._give_up_at, self._kill_at, self._manager.beat_at, self._admin.due_at, *self._replace_at, math.inf
        )
        return None if first == math.inf else max(0.0, first - time.monotonic())

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        self._manager.beat(now)
        if self._reload_again and self._next is None and not self._ending:
            self._reload_again = False
            self._reload()
        if now >= self._kill_at:
            self._kill_at = math.inf
            for one in self._workers:
                self._send(one, signal.SIGKILL)
        if now >= self._give_up_at:
            self._give_up("they take too long")
        for due in [due for due in self._replace_at if due <= now]:
            self._replace_at.remove(due)
            self._spawn(self._current)
        self._admin.look_at_the_clock(now)


def _places(service: Service) -> list[tuple[str, Address]]:
    """Where it listens, and for whom."""
    settings = service.settings
    admin = [(ADMIN, settings.admin)] if settings.admin is not None else []
    return [*((CLIENTS, address) for address in settings.listen), *admin]


def _status(service: Service) -> str:
    return f"serving with {service.settings.workers} worker{'s' * (service.settings.workers > 1)}"


def _open_as_many_files_as_may_be() -> None:
    """Each connection is one; shells give a process a thousand, and let it have more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
