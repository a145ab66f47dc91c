"""A listening socket for what was typed."""

from __future__ import annotations

import socket

from caputchin_gate.cli.terminal import WrongUse


def listen(host: str, port: int, options: str) -> socket.socket:
    """A listening socket; port 0 is any free one. `options` are what the user can change."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except (OSError, UnicodeError) as failure:
        why = getattr(failure, "strerror", None) or "not a host name"
        raise WrongUse(f"can't listen on {host} port {port}: {why} (see {options})") from None
