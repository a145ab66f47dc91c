"""Where a host is. A resolver that does not answer holds a thread for minutes, so each name is looked up on a thread of
its own, once at a time, and never on those that an event loop keeps for everybody: they would soon all be held up, and
with them whoever else looks up a name (threats.md R30, R39).
"""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import Future
from ipaddress import ip_address
from threading import Lock, Thread

_lock = Lock()
_asked: dict[str, Future[list[str]]] = {}


async def addresses_of(host: str) -> list[str]:
    """The addresses of a host, the preferred ones first. Raises OSError when it has none."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        return await asyncio.shield(asyncio.wrap_future(_asking(host)))  # others wait for the same answer


def _asking(host: str) -> Future[list[str]]:
    with _lock:
        future = _asked.get(host)
        if future is None:
            future = Future()
            Thread(target=_look_up, args=(host, future), name="caputchin-gate-names", daemon=True).start()
            _asked[host] = future  # only now: if there is no thread to be had, the next one asks again
        return future


def _look_up(host: str, future: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        future.set_result(list(dict.fromkeys(str(address[0]) for *_, address in found)))
    except Exception as failure:
        future.set_exception(failure)
    finally:
        with _lock:
            _asked.pop(host, None)


def _forget() -> None:
    """In a forked child, which has none of the threads."""
    global _lock
    _lock = Lock()
    _asked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
