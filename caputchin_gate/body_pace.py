"""How slowly a body may come before the decision: what the gate waits for holds memory (threats.md R30)."""

from __future__ import annotations

from typing import Final

LEAST_BYTES_PER_SECOND: Final = 1024


class BodyPace:
    """The time left to one body. A stall is never longer than `timeout` seconds, whatever came before, and with
    stalls and all the body keeps a least rate: so `n` bytes take at most `timeout` + `n` / 1024 seconds.

    Times are monotonic seconds.
    """

    __slots__ = ("_ends", "_timeout")

    def __init__(self, timeout: float, now: float) -> None:
        self._timeout = timeout
        self._ends = now + timeout

    def patience(self, now: float) -> float:
        """Seconds the next piece may take."""
        return max(0.0, self._ends - now)

    def came(self, count: int, now: float) -> None:
        """Note a piece: slow bytes use up the time, and fast ones give back no more than all of it."""
        self._ends = min(self._ends + count / LEAST_BYTES_PER_SECOND, now + self._timeout)
