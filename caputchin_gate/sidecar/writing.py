"""Writing to a socket: several pieces, one system call."""

from __future__ import annotations

import asyncio
from typing import Final

_COPIED: Final = 16 * 1024  # bytes; to copy so many costs less than a system call with several pieces


def write_together(transport: asyncio.WriteTransport, *pieces: bytes) -> None:
    size = 0
    for piece in pieces:
        size += len(piece)
    if size > _COPIED:
        transport.writelines(pieces)
    elif size:
        transport.write(b"".join(pieces))
