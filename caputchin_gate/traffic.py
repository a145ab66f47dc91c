"""What happens at the sites of a gate, and how hard their challenges are because of it (captchaapi.md 7).

Each process counts in its own memory. At most once a second it adds that to the one record that a site has in the
store, and learns there what the others have counted and which state follows; what the numbers mean is `hardening.py`.
A store that does not answer changes nothing: the state stays as it was last known, and what was counted is told later.

Nobody can raise a site alone: of one client network the first few challenges in its minute count, and the wrong tokens
until it has a bad reputation.

No lock is needed: events are appended and taken by single acts of a deque, and two threads that share at the same time
have different ones.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from caputchin_gate.decision_log import log_hardening
from caputchin_gate.difficulty import Hardening
from caputchin_gate.effects import Count, Counted, Held, StoreDown, Swap
from caputchin_gate.hardening import (
    MINUTE,
    NORMAL,
    Counts,
    Minutes,
    Record,
    Standing,
    Thresholds,
    merged,
    parse,
    together,
)
from caputchin_gate.verdict import Failed, Reason

KEPT: Final = 7 * 86_400  # seconds a record outlives its last event: what is usual is known again after a quiet week
ATTEMPTS: Final = 4  # to put a record in the place of one that others keep replacing
SILENCE: Final = 5.0  # seconds in which a store that did not answer is not asked again from here
REPUTATIONS: Final = 10  # wrong tokens a second that are kept against a network, so that a flood can't fill a store
KNOWN_BAD: Final = 4096  # client networks of a bad reputation that a process remembers by itself
LOOKS: Final = 10  # challenges a second of which it is found out who asks: a sample, so that a flood costs little
COUNTED: Final = 5  # challenges of a client network in its minute; those beyond make only its own harder

# The tokens that count as failed: those that could have been ours. What has not even the shape of one does not.
WRONG: Final = frozenset({Reason.TOKEN_REJECTED, Reason.TOKEN_EXPIRED, Reason.TOKEN_USED, Reason.TOKEN_ELSEWHERE})

USED: Final = Failed(Reason.TOKEN_USED)
WRONG_TOKEN: Final = Failed(Reason.TOKEN_REJECTED)

# The kinds of events. A challenge that is looked at is one of four: from a datacenter adds one, of bad reputation two.
_ASKED: Final = 0
_LOOKED_AT: Final = 1
_PASSED: Final = 5
_FAILED: Final = 6
_KINDS: Final = (
    Counts(challenges=1),
    Counts(challenges=1, looked_at=1),
    Counts(challenges=1, looked_at=1, from_datacenters=1),
    Counts(challenges=1, looked_at=1, of_bad_reputation=1),
    Counts(challenges=1, looked_at=1, from_datacenters=1, of_bad_reputation=1),
    Counts(verifications=1),
    Counts(verifications=1, failed=1),
)


def _nowhere(address: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched.

    hardens:     whether states follow; without, only the challenges in all are counted
    most_in_all: challenges in a minute, over all clients and sites; more are refused
    bad_after:   so many wrong tokens in `remembered` seconds give a client network a bad reputation, and further ones
                 don't count; 0 is never
    is_datacenter: whether an address belongs to a machine in a datacenter
    """

    hardens: bool = True
    thresholds: Thresholds = field(default_factory=Thresholds)
    most_in_all: int = 600_000
    bad_after: int = 20
    remembered: float = 86_400.0
    is_datacenter: Callable[[str], bool] = _nowhere


@dataclass(frozen=True, slots=True)
class Full:
    """All sites together have issued as many challenges as they may, until then (Unix seconds)."""

    until: float


class _Silence:
    """When the store did not answer the last time."""

    __slots__ = ("began",)

    def __init__(self) -> None:
        self.began = -math.inf

    def lasts(self, now: float) -> bool:
        return 0 <= now - self.began < SILENCE


class _Allowance:
    """So many times a second, or a little more where threads race."""

    __slots__ = ("_most", "_second", "_spent")

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = self._spent = 0

    def spend(self, now: float) -> bool:
        second = int(now)
        if self._second != second:
            self._second, self._spent = second, 0
        self._spent += 1
        return self._spent <= self._most


class Traffic:
    """The traffic of all sites of a gate. Safe with threads and after a fork.

    key: under which sites and client networks are hashed; the store learns neither
    """

    def __init__(self, site_keys: Iterable[str] = (), key: bytes = b"", watch: Watch | None = None) -> None:
        self._watch = watch if watch is not None else Watch()
        self._silence = _Silence()
        sites, networks, in_all = (
            hashlib.blake2b(purpose, key=key, digest_size=16, person=b"traffic")
            for purpose in (b"site ", b"network ", b"in all")
        )
        self._networks = networks
        self._sites = {
            site_key: _SiteTraffic(site_key, _digest(sites, site_key), self._watch, self._silence)
            for site_key in site_keys
        }
        self._in_all = _InAll(in_all.digest(), self._watch.most_in_all, self._silence)
        self._looks = _Allowance(LOOKS)
        self._reputations = _Allowance(REPUTATIONS)
        self._known_bad: dict[str, float] = {}  # until when (Unix seconds), the oldest first
        self._turns = count()

    def states(self, now: float) -> dict[str, Hardening]:
        """The state of each site, as far as this process knows."""
        return {site_key: site.state(now) for site_key, site in self._sites.items()}

    async def asked(
        self, site_key: str, client: str | None, network: str | None, step: int, now: float
    ) -> Hardening | Full:
        """A client asks for a challenge: how hard the site is at this moment, or that nobody gets one.

        step: which one it is of its network in its minute, counted from 1
        """
        site = self._sites.get(site_key)
        if site is None:
            return Hardening.NORMAL
        if step <= COUNTED or network is None:
            kind = _ASKED
            if site.is_busy and client is not None and network is not None and self._looks.spend(now):
                kind = _LOOKED_AT + self._watch.is_datacenter(client) + 2 * await self._is_bad(network, now)
            site.happened(kind, now)
        await site.share(now)
        return await self._in_all.full(now) or site.state(now)

    async def passed(self, site_key: str, now: float) -> None:
        """A token of this site was right, and is used now."""
        site = self._sites.get(site_key)
        if site is not None:
            site.happened(_PASSED, now)
            await site.share(now)

    async def failed(self, site_keys: Iterable[str], failed: Failed, network: str | None, now: float) -> None:
        """A token was wrong that one of these sites might have issued: they take turns, so that it counts once.

        network: who brought it, None where that is not known
        """
        sites = [site for site_key in site_keys if (site := self._sites.get(site_key)) is not None]
        if failed.reason not in WRONG or not sites:
            return
        site = sites[next(self._turns) % len(sites)]
        if network is None or await self._keep_against(network, now):
            site.happened(_FAILED, now)
        await site.share(now)

    # The reputation of client networks, over all sites

    async def _is_bad(self, network: str, now: float) -> bool:
        if not self._watch.bad_after:
            return False
        if self._is_known_bad(network, now):
            return True
        wrong = await self._wrong(network, now, more=0)
        return wrong is not None and wrong >= self._watch.bad_after

    async def _keep_against(self, network: str, now: float) -> bool:
        """Note a wrong token. Whether it also counts against its site: not if it is one of too many."""
        if not self._watch.hardens or not self._watch.bad_after:
            return True
        if self._is_known_bad(network, now):  # else the loudest would spend what is there for all
            return False
        wrong = await self._wrong(network, now, more=1) if self._reputations.spend(now) else None
        return wrong is not None and wrong <= self._watch.bad_after

    async def _wrong(self, network: str, now: float, *, more: int) -> int | None:
        """How many wrong tokens were noted of this network, None if the store doesn't tell."""
        if self._silence.lasts(now):
            return None
        match await Count(_digest(self._networks, network), self._watch.remembered, now, times=more):
            case Counted(count=wrong, ends_at=until):
                if wrong >= self._watch.bad_after:
                    self._remember_bad(network, until)
                return wrong
            case StoreDown():
                self._silence.began = now
                return None

    def _is_known_bad(self, network: str, now: float) -> bool:
        until = self._known_bad.get(network, 0.0)
        return now < until <= now + self._watch.remembered  # a clock may have been set

    def _remember_bad(self, network: str, until: float) -> None:
        known = self._known_bad
        known[network] = until
        if len(known) > KNOWN_BAD:
            with suppress(KeyError, StopIteration, RuntimeError):  # another thread was faster
                del known[next(iter(known))]


def _digest(beginning: hashlib.blake2b, name: str) -> bytes:
    hashed = beginning.copy()
    hashed.update(name.encode("utf-8", "surrogatepass"))
    return hashed.digest()


class _SiteTraffic:
    """The traffic of one site: what this process has not told yet, and what it knows of all."""

    def __init__(self, site_key: str, key: bytes, watch: Watch, silence: _Silence) -> None:
        self._site_key = site_key
        self._key = key
        self._watch = watch
        self._silence = silence
        self._events: deque[int] = deque()  # eight times the minute, and the kind
        self._untold: deque[Minutes] = deque()  # what could not be told
        self._shared_in = -1  # the second
        self._value: bytes | None = None
        self._standing: Standing = NORMAL
        self._logged = Hardening.NORMAL
        self.is_busy = False  # whether so many challenges are asked for that it matters who asks

    def state(self, now: float) -> Hardening:
        """What is known of it. A state also has the second in which it ends, and the next: in that one it is learned
        what follows, and until then no challenge is a normal one."""
        standing = self._standing
        if not standing.state or not self._watch.hardens:
            return Hardening.NORMAL
        return standing.at(int(now) - 1, self._watch.thresholds).state

    def happened(self, kind: int, now: float) -> None:
        if self._watch.hardens:
            self._events.append(int(now) // MINUTE << 3 | kind)

    async def share(self, now: float) -> None:
        """Tell the others and learn from them, unless that was done in this second."""
        if self._shared_in == int(now) or not self._watch.hardens or self._silence.lasts(now):
            return
        self._shared_in = int(now)
        pending = self._take(now)
        told = False
        try:
            told = await self._merge(pending, now)
        finally:
            if not told:
                self._untold.append(pending)

    def _take(self, now: float) -> Minutes:
        """What was counted lately and nobody was told yet."""
        events: list[int] = []
        with suppress(IndexError):  # another thread was faster
            for _ in range(len(self._events)):
                events.append(self._events.popleft())
        pending: Minutes = {}
        for event, times in Counter(events).items():
            pending = together(pending, {event >> 3: Counts().plus(_KINDS[event & 7], times)})
        with suppress(IndexError):
            while self._untold:
                pending = together(pending, self._untold.popleft())
        last = int(now) // MINUTE - 1
        return {minute: counts for minute, counts in pending.items() if minute >= last}

    async def _merge(self, pending: Minutes, now: float) -> bool:
        """Whether the record in the store has what is pending. Whoever was faster comes first."""
        value = self._value
        for _ in range(ATTEMPTS):
            record = merged(parse(value), pending, now, self._watch.thresholds)
            match await Swap(self._key, value, bytes(record), now + KEPT, now):
                case StoreDown():
                    self._silence.began = now
                    return False
                case Held(value=value, swapped=True):
                    self._learn(value, record, now)
                    return True
                case Held(value=value):
                    pass
        self._learn(value, parse(value), now)
        return False

    def _learn(self, value: bytes | None, record: Record | None, now: float) -> None:
        self._value = value
        if record is None:
            return
        thresholds = self._watch.thresholds
        self._standing = record.standing.at(now, thresholds)
        self.is_busy = record.last_minute(now).challenges >= thresholds.least_challenges
        before, self._logged = self._logged, self._standing.state
        if before != self._logged:
            signal = self._standing.signal
            log_hardening(self._site_key, before, self._logged, signal.name if signal is not None else None)


class _InAll:
    """How many challenges all sites issue in a minute, known to the second."""

    def __init__(self, key: bytes, most: int, silence: _Silence) -> None:
        self._key = key
        self._most = most
        self._silence = silence
        self._events: deque[None] = deque()
        self._shared_in = -1
        self._known = Counted(0, 0.0)

    async def full(self, now: float) -> Full | None:
        """Count one more challenge: None, or that it is too many."""
        self._events.append(None)
        if self._shared_in != int(now) and not self._silence.lasts(now):
            self._shared_in = int(now)
            await self._share(now)
        known = self._known
        lasts = now < known.ends_at <= now + MINUTE  # a clock may have been set
        return Full(known.ends_at) if lasts and known.count + len(self._events) > self._most else None

    async def _share(self, now: float) -> None:
        times = 0
        with suppress(IndexError):
            for _ in range(len(self._events)):
                self._events.popleft()
                times += 1
        match await Count(self._key, MINUTE, now, times):
            case Counted() as counted:
                self._known = counted
            case StoreDown():
                self._silence.began = now
