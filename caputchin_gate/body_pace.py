"""How slowly a body may come before the decision: what the gate waits for holds memory (threats.md R30)."""

from __future__ import annotations

from typing import Final

LEAST_BYTES_PER_SECOND: Final = 1024


class BodyPace:
    """The time left to one body. A stall is never longer than `timeout` seconds, whatever came before, and with
    stalls and all the body keeps a least rate: so `n` bytes take at most `timeout` + `n` / `least` seconds.

    Times are monotonic seconds.
    """

    __slots__ = ("_least", "_timeout", "ends")

    def __init__(self, timeout: float, now: float, least: float = LEAST_BYTES_PER_SECOND) -> None:
        self._timeout = timeout
        self._least = least
        self.ends = now + timeout

    def patience(self, now: float) -> float:
        """Seconds the next piece may take."""
        return max(0.0, self.ends - now)

    def came(self, count: int, now: float) -> None:
        """Note a piece: slow bytes use up the time, and fast ones give back no more than all of it."""
        self.ends = min(self.ends + count / self._least, now + self._timeout)

    def excuse(self, seconds: float) -> None:
        """Time in which nobody read is not the sender's."""
        self.ends += seconds
