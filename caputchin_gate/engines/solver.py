"""Solves native challenges, as the widget does in the page. For tests and examples: the gate itself never solves."""

from __future__ import annotations

from hashlib import sha256
from itertools import count


def solve(token: str, target: int) -> int:
    """The smallest solution (captchaapi.md 3)."""
    start = sha256(token.encode())
    for solution in count():
        attempt = start.copy()
        attempt.update(b"%d" % solution)
        if int.from_bytes(attempt.digest()[:4]) <= target:
            return solution
    raise AssertionError("count() never ends")
