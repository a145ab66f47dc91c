"""A listening socket for what was typed."""

from __future__ import annotations

import os
import socket

from caputchin_gate.cli.terminal import WrongUse


def listen(host: str, port: int, options: str) -> socket.socket:
    """A listening socket; port 0 is any free one. `options` are what the user can change."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except (UnicodeError, socket.gaierror):
        why = "not a host name"
    except OSError as failure:
        why = os.strerror(failure.errno or 0)  # its own words repeat the address
    raise WrongUse(f"can't listen on {host} port {port}: {why} (see {options})")
