"""What the simulation takes for granted: how fast machines search, what they cost, how visitors come.

Rates are SHA-256 of one short block, in a second. Each is measured, taken from a source, or named an assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Device:
    """What a visitor has in the hand. share: of all visitors; rate: hashes a second of our widget's worker."""

    name: str
    share: float
    rate: float
    source: str


DEVICES: Final = (
    Device(
        "laptop",
        0.45,
        3.0e6,
        "measured: `captcha.js` in one worker, Chromium 156 on one core of a rented server, 2.7 to 3.4 million",
    ),
    Device("phone", 0.45, 1.0e6, "assumed: a third of that"),
    Device(
        "old phone",
        0.10,
        0.2e6,
        "assumed: a fifth of a phone; Cap's benchmark page has 0.7 million for a Galaxy A11, all its workers together",
    ),
)


@dataclass(frozen=True, slots=True)
class Solver:
    """What an attacker searches with. price: US dollars for an hour of one of them, assumed."""

    name: str
    rate: float
    price: float
    source: str


CORE: Final = Solver(
    "CPU core", 90e6, 0.02, "the documentation of `pow-buster`, a solver written for this: 80 to 100 million a thread"
)
GPU: Final = Solver("GPU", 21.98e9, 0.50, "hashcat 6.2.6, mode 1400, one RTX 4090: 21,976 million")
PEOPLE: Final = 1000.0  # dollars for a million solutions from services where people or models solve, assumed


# Visitors

NIGHT: Final = 0.05  # the share of the peak that is left in the small hours
PEAK_HOUR: Final = 15.0
SECONDS_ON_A_FORM: Final = 40.0  # the median
SPREAD_ON_A_FORM: Final = 0.8  # of its logarithm
SENDS_TWICE: Final = 0.1  # the share that needs a second challenge


def rhythm(seconds: float) -> float:
    """How busy a site is at this time of the day, 1 at its peak."""
    from_peak = (seconds / 3600 - PEAK_HOUR) / 24 * 2 * math.pi
    return NIGHT + (1 - NIGHT) * math.pow((1 + math.cos(from_peak)) / 2, 1.5)
