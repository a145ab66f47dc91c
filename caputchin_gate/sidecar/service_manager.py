"""What systemd is told about the sidecar's life, where it asks for it (sd_notify(3)).

Nobody has to listen: what can't be sent is not sent.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class ServiceManager:
    """environment: NOTIFY_SOCKET is where it listens; WATCHDOG_USEC, of the process WATCHDOG_PID, how often it wants
    to hear that we live.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.beat_at = math.inf
        self._pause = math.inf
        limit = environment.get("WATCHDOG_USEC", "")
        is_meant = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        if self._address and is_meant and limit.isdecimal() and int(limit):
            self._pause = int(limit) / 2_000_000  # twice as often as it has to be
            self.beat_at = time.monotonic()

    def ready(self, status: str) -> None:
        """At the start, and after each reload, whether it was refused or not."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=requests in flight end")

    def beat(self, now: float) -> None:
        """That we live, if it is time to say so."""
        if now >= self.beat_at:
            self.beat_at = now + self._pause
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
                telling.sendto("\n".join(lines).encode(), self._address)
