"""Time and randomness as arguments: the policy never asks the machine for them itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is the wall clock in Unix seconds (issue and expiry times only), `monotonic` measures durations."""

    now: Callable[[], float]
    monotonic: Callable[[], float]
    random_bytes: Callable[[int], bytes]
