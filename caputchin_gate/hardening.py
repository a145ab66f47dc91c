"""Adaptive hardening: what a site's last hour says about how hard its challenges shall be (captchaapi.md 7).

    history + thresholds + now -> fresh state      `assess`
    present state + fresh state -> present state   `Standing.after`: a state sticks for its window
    record + what a process counted -> record      `merged`

A record is what all processes know about one site: its history and its present state, in less than two KiB. Who counts,
and where a record is kept, is `traffic.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from caputchin_gate.difficulty import Hardening

MINUTE: Final = 60
HOUR: Final = 60  # in minutes

_STATES: Final = tuple(Hardening)

Rising: TypeAlias = tuple[float, float, float]
"""One number for each state above normal: suspicious, under attack, critical. Infinite ones are never reached."""


class Signal(IntEnum):
    """What raises a state. The codes stand in records and never change."""

    SPIKE = 1  # far more challenges are asked for than usual
    FAILED = 2  # too many of the tokens that are sent are wrong
    DATACENTERS = 3  # too many of the challenges are for machines in datacenters
    REPUTATION = 4  # too many of the challenges are for networks that sent wrong tokens before


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on a signal counts, and how long a state sticks.

    spike:              so many times the usual number of challenges in a minute, or more
    failed:             more than this share of the verifications
    datacenters, reputation: more than this share of the challenges that were looked at
    least_challenges:   with fewer in the minute, or fewer that were looked at, challenges raise nothing
    least_verifications: with fewer in the minute, verifications raise nothing
    known_after:        seconds until the history of a site tells what is usual
    sticky:             seconds
    """

    spike: Rising = (3.0, 8.0, 20.0)
    failed: Rising = (0.3, 0.6, 0.85)
    datacenters: Rising = (0.3, 0.6, 0.85)
    reputation: Rising = (0.3, 0.6, 0.85)
    least_challenges: int = 60
    least_verifications: int = 50
    known_after: float = 300.0
    sticky: Rising = (300.0, 300.0, 600.0)


# History


class Counts(NamedTuple):
    """What happened at a site. Whole numbers, but in a minute that slides over the minutes of the clock."""

    challenges: float = 0
    looked_at: float = 0  # challenges of which it is known who asked for them, a sample
    from_datacenters: float = 0
    of_bad_reputation: float = 0
    verifications: float = 0
    failed: float = 0

    def plus(self, other: Counts, share: float = 1) -> Counts:
        return Counts(*(own + share * more for own, more in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class History:
    """The last hour of a site, minute by minute, and the minute of its first event. Minutes are Unix time by 60."""

    began: int
    minutes: Mapping[int, Counts]

    @classmethod
    def of(cls, now: float, counts: Counts) -> History:
        minute = int(now // MINUTE)
        return cls(minute, {minute: counts})

    def plus(self, other: History) -> History:
        both = self.minutes.keys() | other.minutes.keys()
        none = Counts()
        summed = {minute: self.minutes.get(minute, none).plus(other.minutes.get(minute, none)) for minute in both}
        return History(min(self.began, other.began), summed)

    def at(self, now: float) -> History:
        """The history as it is told now: what is over is forgotten.

        What lies ahead by more than another machine's clock may is moved back as a whole: a clock was set, and what was
        counted just before is as fresh as it was.
        """
        present = int(now // MINUTE)
        ahead = max(self.minutes, default=present) - present
        back = ahead if ahead > 1 else 0
        first = max(0, present - HOUR - 1)
        kept = {minute - back: counts for minute, counts in self.minutes.items() if minute - back >= first}
        return History(max(0, min(self.began - back, present)), kept)

    def last_minute(self, now: float) -> Counts:
        """The last 60 seconds. Of the clock's minute that they begin in, as much counts as they cover of it."""
        start = now - MINUTE
        sums = Counts()
        for minute, counts in self.minutes.items():
            covered = min(1.0, (minute + 1) - start / MINUTE)
            if covered > 0:
                sums = sums.plus(counts, covered)
        return sums

    def usual(self, now: float, known_after: float) -> float | None:
        """The mean number of challenges in a minute, over the hour before the last minute, or over what is known of it.

        None while less than `known_after` seconds are known.
        """
        end = now / MINUTE - 1
        start = max(self.began, end - HOUR)
        if (end - start) * MINUTE < known_after or end <= start:
            return None
        covered = ((max(0.0, min(minute + 1, end) - max(minute, start)), minute) for minute in self.minutes)
        return sum(share * self.minutes[minute].challenges for share, minute in covered) / (end - start)


def assess(history: History, now: float, thresholds: Thresholds) -> tuple[Hardening, Signal | None]:
    """The state that the last minute asks for, and the signal that asks for it."""
    minute = history.last_minute(now)
    found: list[tuple[Hardening, Signal]] = []
    if minute.challenges >= thresholds.least_challenges:
        usual = history.usual(now, thresholds.known_after)
        found.append((_spike(minute.challenges, usual, thresholds.spike), Signal.SPIKE))
    if minute.looked_at >= thresholds.least_challenges:
        found.append((_share(minute.from_datacenters, minute.looked_at, thresholds.datacenters), Signal.DATACENTERS))
        found.append((_share(minute.of_bad_reputation, minute.looked_at, thresholds.reputation), Signal.REPUTATION))
    if minute.verifications >= thresholds.least_verifications:
        found.append((_share(minute.failed, minute.verifications, thresholds.failed), Signal.FAILED))
    highest = max(found, key=lambda one: one[0], default=None)
    return highest if highest is not None and highest[0] else (Hardening.NORMAL, None)


def _spike(challenges: float, usual: float | None, limits: Rising) -> Hardening:
    """Without knowing what is usual nobody can tell a flood from a site that is just busy: suspicious, and no more."""
    if usual is None:
        return Hardening.SUSPICIOUS if math.isfinite(limits[0]) else Hardening.NORMAL
    return _STATES[sum(challenges >= limit * usual for limit in limits)]


def _share(part: float, whole: float, limits: Rising) -> Hardening:
    return _STATES[sum(part > limit * whole for limit in limits)] if whole else Hardening.NORMAL


# The present state


@dataclass(frozen=True, slots=True)
class Standing:
    """The present state of a site, what raised it, and until when it sticks (Unix seconds)."""

    state: Hardening = Hardening.NORMAL
    signal: Signal | None = None
    until: float = 0.0

    def at(self, now: float, thresholds: Thresholds) -> Standing:
        """What is left of it: normal when it is over. No state lasts longer than its window, whatever a clock did."""
        if not self.state or now >= self.until:
            return NORMAL
        return Standing(self.state, self.signal, min(self.until, now + _window(self.state, thresholds)))

    def after(self, fresh: Hardening, signal: Signal | None, now: float, thresholds: Thresholds) -> Standing:
        """The sticky rule: a higher state begins its own window, an equal one renews it, a lower one does nothing."""
        present = self.at(now, thresholds)
        if not fresh or fresh < present.state:
            return present
        return Standing(fresh, present.signal if fresh == present.state else signal, now + _window(fresh, thresholds))


NORMAL: Final = Standing()


def _window(state: Hardening, thresholds: Thresholds) -> float:
    return thresholds.sticky[state - 1]


# Records

_VERSION: Final = 1
_HEAD: Final = Struct(">BBBdIB")  # version, state, signal, until, began, how many minutes
_MINUTE: Final = Struct(">7I")  # which minute, and its counts
_MOST: Final = 2**32 - 1
_SIGNALS: Final = (None, *Signal)


@dataclass(frozen=True, slots=True)
class Record:
    """What all processes know about one site."""

    history: History
    standing: Standing = NORMAL

    def __bytes__(self) -> bytes:
        standing, minutes = self.standing, sorted(self.history.minutes.items())
        head = (_VERSION, standing.state, standing.signal or 0, standing.until, self.history.began, len(minutes))
        packed = (_MINUTE.pack(minute, *(min(int(count), _MOST) for count in counts)) for minute, counts in minutes)
        return b"".join((_HEAD.pack(*head), *packed))


def parse(value: bytes | None) -> Record | None:
    """The record that these bytes are, None where they are none of ours."""
    if value is None or len(value) < _HEAD.size:
        return None
    version, state, signal, until, began, many = _HEAD.unpack_from(value)
    if version != _VERSION or state >= len(_STATES) or signal >= len(_SIGNALS) or not math.isfinite(until):
        return None
    if len(value) != _HEAD.size + many * _MINUTE.size:
        return None
    minutes = {minute: Counts(*counts) for minute, *counts in _MINUTE.iter_unpack(value[_HEAD.size :])}
    if any(later <= earlier for earlier, later in pairwise(minutes)) or len(minutes) != many:
        return None
    return Record(History(began, minutes), Standing(_STATES[state], _SIGNALS[signal], until))


def merged(record: Record | None, pending: History, now: float, thresholds: Thresholds) -> Record:
    """The record with what a process has counted since, and the state that follows from both."""
    history, standing = pending.at(now), NORMAL
    if record is not None:
        history, standing = record.history.at(now).plus(history), record.standing
    return Record(history, standing.after(*assess(history, now, thresholds), now, thresholds))
