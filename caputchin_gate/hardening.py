"""Adaptive hardening: what a site's last hour says about how hard its challenges shall be (captchaapi.md 7).

    record + what a process counted -> record      `merged`
    record + thresholds + now -> fresh state       `assess`
    present state + fresh state -> present state   `Standing.after`: a state sticks for its window

A record is what all processes know about one site: what is usual there, its last minutes and its present state, in a
hundred bytes or two. Who counts, and where a record is kept, is `traffic.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import pairwise
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from caputchin_gate.difficulty import Hardening

MINUTE: Final = 60
HOUR: Final = 60  # in minutes
DAY: Final = 24 * HOUR
GROWTH: Final = 1.5  # a minute counts at most so many times what is usual: an attack does not become usual by going on

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

    def tell(self, known: int) -> bool:
        """Whether so many minutes tell what is usual."""
        return known > 0 and known * MINUTE >= self.known_after

    @property
    def unnoticed(self) -> float:
        """So many challenges in a minute can be usual without anybody having noticed: three times as many raise it."""
        return self.least_challenges / self.spike[0]


# What happened


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


Minutes: TypeAlias = Mapping[int, Counts]
"""What happened in which minute: Unix time by 60."""


def together(some: Minutes, others: Minutes) -> Minutes:
    none = Counts()
    return {minute: some.get(minute, none).plus(others.get(minute, none)) for minute in some.keys() | others.keys()}


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


@dataclass(frozen=True, slots=True)
class Record:
    """What all processes know about one site.

    settled: the minutes before this one are over, and part of what is usual
    known:   how many they are, at most 60
    usual:   the challenges in a minute, a mean of about an hour
    minutes: those that are not settled: what the last 60 seconds are told from
    """

    settled: int
    known: int = 0
    usual: float = 0.0
    minutes: Minutes = field(default_factory=dict)
    standing: Standing = NORMAL

    def last_minute(self, now: float) -> Counts:
        """The last 60 seconds. Of the clock's minute that they begin in, as much counts as they cover of it."""
        start = now / MINUTE - 1
        sums = Counts()
        for minute, counts in self.minutes.items():
            covered = min(1.0, minute + 1 - start)
            if covered > 0:
                sums = sums.plus(counts, covered)
        return sums

    def moved(self, present: int) -> Record:
        """What lies ahead by more than another machine's clock may is moved back as a whole: a clock was set, and what
        was counted just before is as fresh as it was."""
        ahead = max(self.minutes, default=self.settled) - present
        if ahead <= 1:
            return self
        minutes = {minute - ahead: counts for minute, counts in self.minutes.items()}
        return replace(self, settled=self.settled - ahead, minutes=minutes)

    def plus(self, pending: Minutes, present: int) -> Record:
        """With what a process has counted since. What it tells too late for the last minute is of no use any more."""
        fresh = {minute: counts for minute, counts in pending.items() if self.settled <= minute <= present + 1}
        return replace(self, minutes=together(self.minutes, fresh))

    def settle(self, present: int, thresholds: Thresholds) -> Record:
        """Let the minutes that are over, those without any challenge too, become part of what is usual.

        The mean is exponential, or plain while there are fewer than sixty of them. As soon as it tells what is usual,
        a minute counts at most `GROWTH` times that, or times what a site may have without being noticed.
        """
        first, last = self.settled, present - 1
        known, usual = self.known, self.usual
        for minute in range(max(first, last - DAY), last):  # what was a day ago has no weight
            challenges = self.minutes[minute].challenges if minute in self.minutes else 0
            if thresholds.tell(known):
                challenges = min(challenges, GROWTH * max(usual, thresholds.unnoticed))
            known = min(known + 1, HOUR)
            usual += (challenges - usual) / known
        kept = {minute: counts for minute, counts in self.minutes.items() if minute >= last}
        return replace(self, settled=max(first, last), known=known, usual=usual, minutes=kept)

    def __bytes__(self) -> bytes:
        standing, minutes = self.standing, sorted(self.minutes.items())
        raised = standing.state, standing.signal or 0, standing.until
        head = _HEAD.pack(_VERSION, *raised, self.settled, self.known, self.usual, len(minutes))
        packed = (_MINUTE.pack(minute, *(min(int(count), _MOST) for count in counts)) for minute, counts in minutes)
        return b"".join((head, *packed))


def merged(record: Record | None, pending: Minutes, now: float, thresholds: Thresholds) -> Record:
    """The record with what a process has counted since, and the state that follows from both."""
    present = int(now // MINUTE)
    if record is None:
        began = min((minute for minute in pending if minute >= present - 1), default=present)
        record = Record(min(began, present))
    record = record.moved(present).plus(pending, present).settle(present, thresholds)
    return replace(record, standing=record.standing.after(*assess(record, now, thresholds), now, thresholds))


def assess(record: Record, now: float, thresholds: Thresholds) -> tuple[Hardening, Signal | None]:
    """The state that the last minute asks for, and the signal that asks for it."""
    minute = record.last_minute(now)
    found: list[tuple[Hardening, Signal]] = []
    if minute.challenges >= thresholds.least_challenges:
        usual = record.usual if thresholds.tell(record.known) else None
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


# Records as bytes

_VERSION: Final = 2
_HEAD: Final = Struct(">BBBdiBdB")  # version, state, signal, until, settled, known, usual, how many minutes
_MINUTE: Final = Struct(">i6I")  # which minute, and its counts
_MOST: Final = 2**32 - 1
_SIGNALS: Final = (None, *Signal)


def parse(value: bytes | None) -> Record | None:
    """The record that these bytes are, None where they are none of ours."""
    if value is None or len(value) < _HEAD.size or value[0] != _VERSION:
        return None
    _, state, signal, until, settled, known, usual, many = _HEAD.unpack_from(value)
    if state >= len(_STATES) or signal >= len(_SIGNALS) or not math.isfinite(until):
        return None
    if known > HOUR or not 0 <= usual < math.inf or len(value) != _HEAD.size + many * _MINUTE.size:
        return None
    minutes = {minute: Counts(*counts) for minute, *counts in _MINUTE.iter_unpack(value[_HEAD.size :])}
    if len(minutes) != many or any(later <= earlier for earlier, later in pairwise((settled - 1, *minutes))):
        return None
    return Record(settled, known, usual, minutes, Standing(_STATES[state], _SIGNALS[signal], until))
