"""The content of a file that somebody has named, whatever it is: nothing waits for a pipe that nobody writes to."""

from __future__ import annotations

import errno
import os
import select
import time
from typing import Final

PATIENCE: Final = 5.0  # seconds in which a pipe, as in `check <(...)`, has to say all it has


def content_of(name: str, most: int) -> bytes:
    """What is in the file, and one byte more than `most` of what is larger.

    Raises OSError, TimeoutError for a pipe that does not end, and ValueError for a name that no file can have.
    """
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        return _until_its_end(descriptor, most + 1)
    finally:
        os.close(descriptor)


def _until_its_end(descriptor: int, most: int) -> bytes:
    content, until = bytearray(), time.monotonic() + PATIENCE
    while len(content) < most:
        try:
            piece = os.read(descriptor, most - len(content))
        except BlockingIOError:
            left = until - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                why = f"it is a pipe that does not end within {PATIENCE:g} seconds"
                raise TimeoutError(errno.ETIMEDOUT, why) from None
            continue
        if not piece:
            break
        content += piece
    return bytes(content)
