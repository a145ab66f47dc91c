"""Writing to a socket: several pieces, one system call."""

from __future__ import annotations

import asyncio
from typing import Final

_COPIED: Final = 16 * 1024  # bytes; to copy so many costs less than a system call with several pieces


def write_together(transport: asyncio.WriteTransport, *pieces: bytes) -> None:
    content = b"".join(pieces) if sum(map(len, pieces)) <= _COPIED else None
    if content is None:
        transport.writelines(pieces)
    elif content:
        transport.write(content)
