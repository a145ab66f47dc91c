"""Listening sockets: opened once, shared by all workers, kept over a reload where the address stays."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import Final

from caputchin_gate.addresses import Address

BACKLOG: Final = 2048


class CantListen(Exception):
    """The text says where and why."""


def open_listening(address: Address) -> socket.socket:
    """Raises CantListen."""
    try:
        return _open(address)
    except (OSError, UnicodeError) as failure:
        if isinstance(failure, UnicodeError | socket.gaierror) or failure.errno is None:
            why = "not a host name"
        else:
            why = os.strerror(failure.errno)
        raise CantListen(f"can't listen on {address}: {why}") from None


def _open(address: Address) -> socket.socket:
    if address.path is not None:
        return _open_unix(address.path)
    if not address.host:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return _not_blocking(
            socket.create_server(("", address.port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
        )
    family, _, _, _, found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    return _not_blocking(socket.create_server(found[:2], family=family, backlog=BACKLOG))


def _open_unix(path: str) -> socket.socket:
    """A socket file that nobody listens on any more is in the way, and goes."""
    listening = socket.socket(socket.AF_UNIX)
    try:
        if _is_abandoned(path):
            os.unlink(path)
        listening.bind(path)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return _not_blocking(listening)


def _is_abandoned(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _not_blocking(listening: socket.socket) -> socket.socket:
    listening.setblocking(False)
    return listening


def close_listening(listening: socket.socket) -> None:
    path = listening.getsockname() if listening.family == socket.AF_UNIX else None
    listening.close()
    if path:
        with suppress(OSError):
            os.unlink(path)


def url_of(listening: socket.socket, *, tls: bool) -> str:
    """Where it is, for a person."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
