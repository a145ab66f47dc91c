"""Verifying one token, whoever decides about it: the provider over the network, or the gate itself.

Here live the retries, the breaker, the limit of verifications at once, the collapse of equal tokens in flight, and
what a route demands of a verdict beyond a yes. How a provider is asked is `providers/`, how a solution is checked is
`engines/`; both are pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, TypeAlias, assert_never

from caputchin_gate.client_address import network_of
from caputchin_gate.clock import Clock
from caputchin_gate.effects import Call, Claim, Claimed, ClaimResult, NoReply, Sleep, StoreDown
from caputchin_gate.engines import FORGED, LEEWAY, Engine, Solved
from caputchin_gate.events import tell_broken
from caputchin_gate.messages import HttpReply
from caputchin_gate.providers import Retry, Submission, Upstream, token_key
from caputchin_gate.quotas import Quota
from caputchin_gate.secret_health import SecretHealth
from caputchin_gate.traffic import USED, Traffic
from caputchin_gate.values import value
from caputchin_gate.verdict import OUTAGES, Cause, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict

_TELLING: Final = 6  # characters of a secret or a token that are too many to be told
OVER_QUOTA: Final = "over-quota"  # in the log, where a visitor was served all the same
BACKOFF: Final = 3  # each pause between two attempts is so many times longer than the one before


@dataclass(frozen=True, slots=True)
class InProcess:
    """A verifier that needs nobody: the gate checks its own tokens, one engine for each site.

    quotas: by site key, for the sites that have one
    """

    kind: str
    token_field: str
    sites: tuple[Engine, ...]
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    ipv6_prefix: int = 64


Verifier: TypeAlias = Upstream | InProcess


@dataclass(frozen=True, slots=True)
class Demands:
    """What a route asks of a verdict beyond a yes. Compared with what the provider reports, never with the request."""

    hostnames: frozenset[str] = frozenset()
    action: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    max_age: float | None = None


@value
class Visitor:
    """Who submitted the token, as far as it is known: the canonical address, and an e-mail address or its domain."""

    address: str | None = None
    email: str | None = field(default=None, repr=False)


class Entry(Enum):
    """Whether a verification may begin."""

    OPEN = "open"
    TWICE = "twice"  # the same token is being verified right now
    FULL = "full"


class InFlight:
    """The verifications that are under way in this process. Safe with threads: each act is one dict operation."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._keys: dict[bytes, object] = {}

    def enter(self, key: bytes) -> Entry:
        """Begin a verification; who got OPEN must `leave` again."""
        if len(self._keys) >= self._limit:
            return Entry.FULL
        mine = object()
        return Entry.OPEN if self._keys.setdefault(key, mine) is mine else Entry.TWICE

    def leave(self, key: bytes) -> None:
        self._keys.pop(key, None)

    def __len__(self) -> int:
        return len(self._keys)


class Breaker:
    """Stops asking a provider that keeps failing: refuses faster, and never falls back to a weaker check (R5).

    After `failures` failures in a row it stays open for `pause` seconds (longer where the provider said so), then lets
    one question through; its answer closes the breaker or opens it again.

    cause: why it is open. A provider that was asked too often, even once in that row, is not in trouble: who asked may
        have been anybody
    """

    def __init__(self, failures: int = 5, pause: float = 5.0) -> None:
        self._failures = failures
        self._pause = pause
        self._in_a_row = 0
        self._open_until = -math.inf
        self.cause = Cause.BREAKER

    def refuses_until(self, now: float) -> float | None:
        """The end of the pause (monotonic seconds), None when the provider may be asked."""
        if self._in_a_row < self._failures:
            return None
        if now < self._open_until:
            return self._open_until
        self._open_until = now + self._pause  # this question is the trial; others wait for its answer
        return None

    def learn(self, verdict: Verdict, now: float) -> None:
        match verdict:
            case Unavailable(cause=cause, retry_after=retry_after) if cause in OUTAGES | {Cause.RATE_LIMITED}:
                self._in_a_row += 1
                if cause is Cause.RATE_LIMITED:
                    self.cause = cause
                self._open_until = now + max(self._pause, min(retry_after or 0.0, 60.0))
            case Unavailable():
                pass  # our own limits say nothing about the provider
            case _:
                self._in_a_row = 0
                self.cause = Cause.BREAKER


@dataclass(slots=True)
class Rehearsal:
    """What the tests of an application say that every verification comes to: None outside of them.

    No setting and no request leads here: who sets it holds the gate (`Gate.rehearsing`).
    """

    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What all verifications of a gate share; nothing in it waits."""

    clock: Clock
    in_flight: InFlight
    breakers: dict[int, Breaker] = field(default_factory=dict)
    secrets: dict[int, SecretHealth] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    rehearsal: Rehearsal = field(default_factory=Rehearsal)

    def breaker_of(self, provider: Upstream) -> Breaker:
        return self.breakers.setdefault(id(provider), Breaker())

    def secret_of(self, provider: Upstream) -> SecretHealth:
        return self.secrets.setdefault(id(provider), SecretHealth())


async def verify(
    verifiers: Sequence[Verifier],
    token: str,
    token_field: str | None,
    visitor: Visitor,
    demands: Demands,
    shared: Verification,
) -> tuple[Verdict, str]:
    """Ask the one of `verifiers` that the token's field and shape point to; the verdict, and who gave it.

    token_field: where the token stood; None for a header, which names no provider.
    """
    refusal: tuple[Verdict, str] = (Failed(Reason.TOKEN_MALFORMED), verifiers[0].kind)
    for verifier in verifiers:
        if token_field is not None and verifier.token_field != token_field:
            continue
        match verifier:
            case InProcess():
                verdict = await _check(verifier, token, visitor, demands, shared)
            case Upstream():
                verdict = await _ask(verifier, token, visitor, demands, shared)
            case _:
                assert_never(verifier)
        match verdict:
            case Failed(reason=Reason.TOKEN_MALFORMED):
                refusal = verdict, verifier.kind  # not of this provider's shape; another may know it
            case _:
                return verdict, verifier.kind
    return refusal


async def _check(verifier: InProcess, token: str, visitor: Visitor, demands: Demands, shared: Verification) -> Verdict:
    """Judge a token of our own, and count what became of it."""
    now = shared.clock.now()
    network = network_of(visitor.address, verifier.ipv6_prefix) if visitor.address is not None else None
    judged, sites = judge(verifier.sites, token, now=now, client=network, action=demands.action or "")
    verdict: Verdict
    match judged:
        case Solved(issued_at=issued_at) if demands.max_age is not None and now - issued_at > demands.max_age:
            verdict = Failed(Reason.TOKEN_EXPIRED)
        case Solved() as solved:
            verdict = await take(verifier.kind, solved, now, verifier.quotas.get(solved.site_key))
        case Failed() as failed:
            verdict = failed
    await tell(shared.traffic, verdict, [site.site_key for site in sites], network, now)
    return verdict


async def tell(traffic: Traffic, verdict: Verdict, site_keys: Iterable[str], network: str | None, now: float) -> None:
    """What became of a token of ours, to who watches the sites that it concerns."""
    match verdict:
        case Passed():
            for site_key in site_keys:
                await traffic.passed(site_key, now)
        case Failed() as failed:
            await traffic.failed(site_keys, failed, network, now)
        case _:
            pass


def judge(
    engines: Sequence[Engine], token: str, *, now: float, client: str | None, action: str = ""
) -> tuple[Solved | Failed, Sequence[Engine]]:
    """What the first engine says that knows the token; FORGED if it is of a shape we know, and nobody's.

    With the engines that are concerned: all where nobody knows whose token it was meant to be.
    """
    unknown: Failed | None = None
    for engine in engines:
        match engine.check(token, now=now, client=client, action=action):
            case Failed() as failed if failed == FORGED:
                unknown = failed
            case Failed(reason=Reason.TOKEN_MALFORMED) as failed:
                unknown = unknown if unknown is not None else failed
            case decided:
                return decided, (engine,)
    return unknown if unknown is not None else Failed(Reason.TOKEN_MALFORMED), engines


async def take(kind: str, solved: Solved, now: float, quota: Quota | None = None) -> Passed | Failed | Unavailable:
    """Make a token used, which is the moment it passes; a quota counts those that did."""
    match await Claim(solved.claim_key, solved.until, now, solved.born):
        case ClaimResult.WON:
            pass
        case ClaimResult.LOST:
            return USED
        case ClaimResult.STORE_DOWN:
            return Unavailable(Cause.STORE)
    details: dict[str, Any] = {"site_key": solved.site_key}
    if quota is not None and await quota.count_one(now):
        details |= {"over_limit": True, "warning": OVER_QUOTA}
    return Passed(kind, issued_at=solved.issued_at, hostname=solved.hostname, details=details)


async def _ask(provider: Upstream, token: str, visitor: Visitor, demands: Demands, shared: Verification) -> Verdict:
    match provider.precheck(token):
        case Failed() as failed:
            return failed
        case str() as checked:
            pass
    key = token_key(provider.kind, provider.identity(checked))
    match shared.in_flight.enter(key):
        case Entry.FULL:
            return Unavailable(Cause.OVERLOADED)
        case Entry.TWICE:
            return Failed(Reason.TOKEN_USED)
        case Entry.OPEN:
            pass
    try:
        if provider.single_use:
            return meets(await _call(provider, checked, visitor, shared), demands, shared.clock.now())
        return await _call_and_claim(provider, checked, visitor, demands, shared, key)
    finally:
        shared.in_flight.leave(key)


async def _call_and_claim(
    provider: Upstream, token: str, visitor: Visitor, demands: Demands, shared: Verification, key: bytes
) -> Verdict:
    """Where the provider does not promise single use, the gate enforces it (threats.md D12)."""
    now = shared.clock.now()
    match await Claimed(key, now, provider.born(token, now)):
        case StoreDown():
            return Unavailable(Cause.STORE)
        case True:
            return Failed(Reason.TOKEN_USED)
        case False:
            pass
    verdict = meets(await _call(provider, token, visitor, shared), demands, shared.clock.now())
    match verdict:
        case Passed():
            now = shared.clock.now()
            match await Claim(key, provider.claimed_until(token, now), now, provider.born(token, now)):
                case ClaimResult.WON:
                    return verdict
                case ClaimResult.LOST:
                    return Failed(Reason.TOKEN_USED)
                case ClaimResult.STORE_DOWN:
                    return Unavailable(Cause.STORE)
        case _:
            return verdict


async def _call(provider: Upstream, token: str, visitor: Visitor, shared: Verification) -> Verdict:
    """All attempts of one verification, within one deadline."""
    clock, breaker = shared.clock, shared.breaker_of(provider)
    started = clock.monotonic()
    pause_ends = breaker.refuses_until(started)
    if pause_ends is not None:
        return Unavailable(breaker.cause, retry_after=pause_ends - started)
    deadline = started + provider.timeout
    request = provider.request(
        Submission(token, remote_ip=visitor.address, email=visitor.email, attempt_id=clock.random_bytes(16).hex())
    )
    verdict: Verdict = Unavailable(Cause.TIMEOUT)
    for attempt in range(provider.attempts):
        match await Call(request, deadline - clock.monotonic()):
            case NoReply() as silence:
                answer = provider.unanswered(silence)
            case HttpReply() as reply:
                answer = _read(provider, reply)
        if not isinstance(answer, Retry):
            verdict = answer
            break
        verdict = answer.otherwise
        pause = answer.after * BACKOFF**attempt
        if attempt + 1 == provider.attempts or clock.monotonic() + pause >= deadline:
            break
        await Sleep(pause)
    breaker.learn(verdict, clock.monotonic())
    shared.secret_of(provider).learn(provider, verdict, clock.monotonic())
    return without_echoes(verdict, token, provider.revealed_secret)


def _read(provider: Upstream, reply: HttpReply) -> Verdict | Retry:
    """A reply may be anything. One that a provider's reading was not prepared for is no verdict, and admits nobody."""
    try:
        return provider.read(reply)
    except Exception as failure:
        tell_broken(failure, f"an answer of {provider.kind} could not be read")
        return Unavailable(Cause.BROKEN, codes=(type(failure).__name__,))


def without_echoes(verdict: Verdict, *hidden: str) -> Verdict:
    """The verdict without those of the provider's words that repeat what must not be logged (threats.md R35)."""
    match verdict:
        case Passed():
            return verdict
        case _:
            codes = tuple(code for code in verdict.codes if not any(_tells(code, word) for word in hidden))
            return verdict if len(codes) == len(verdict.codes) else replace(verdict, codes=codes)


def _tells(code: str, hidden: str) -> bool:
    return hidden in code or (len(code) >= _TELLING and code in hidden)


def meets(verdict: Verdict, demands: Demands, now: float) -> Verdict:
    """A yes that does not meet the demands is a no (threats.md R9). What is demanded but not reported fails closed."""
    match verdict:
        case Passed() as passed:
            pass
        case _:
            return verdict
    if demands.hostnames and (passed.hostname or "").lower() not in demands.hostnames:
        return Failed(Reason.TOKEN_ELSEWHERE, ("hostname-mismatch",))
    if demands.action is not None and passed.action != demands.action:
        return Failed(Reason.TOKEN_ELSEWHERE, ("action-mismatch",))
    if passed.issued_at is not None and passed.issued_at > now + LEEWAY:
        return Failed(Reason.TOKEN_REJECTED, ("issued-in-the-future",))
    if demands.max_age is not None and (passed.issued_at is None or now - passed.issued_at > demands.max_age + LEEWAY):
        return Failed(Reason.TOKEN_EXPIRED, ("too-old",))
    if demands.min_score is None and demands.max_score is None:
        return passed
    if passed.score is None:
        return Misconfigured(("score-missing",))
    low, high = demands.min_score, demands.max_score
    if (low is not None and passed.score < low) or (high is not None and passed.score > high):
        return Failed(Reason.SCORE_TOO_LOW)
    return passed
