"""Verdicts (what a verification says), reasons and decisions (what the gate does).

A verdict is about a token; a decision is about a request. Each reason stands here once, with the status and the
error code it answers; `policy.py` is the only place that chooses one for a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeAlias

from caputchin_gate.values import value


class Reason(StrEnum):
    """Why a request was admitted or refused: a closed list, stable across releases."""

    # admitted
    UNGUARDED = "unguarded"
    EXEMPT = "exempt"
    VERIFIED = "verified"
    RECEIPT = "receipt"
    OUTAGE_ADMITTED = "outage-admitted"
    REPORT_ONLY = "report-only"
    # refused
    TOKEN_MISSING = "token-missing"
    TOKEN_AMBIGUOUS = "token-ambiguous"
    TOKEN_MALFORMED = "token-malformed"
    TOKEN_REJECTED = "token-rejected"
    TOKEN_EXPIRED = "token-expired"
    TOKEN_USED = "token-used"
    TOKEN_ELSEWHERE = "token-elsewhere"
    SCORE_TOO_LOW = "score-too-low"
    BODY_UNREADABLE = "body-unreadable"
    BODY_TOO_LARGE = "body-too-large"
    BODY_INCOMPLETE = "body-incomplete"
    TARGET_AMBIGUOUS = "target-ambiguous"
    RATE_LIMITED = "rate-limited"
    UNAVAILABLE = "unavailable"
    MISCONFIGURED = "misconfigured"
    OVERLOADED = "overloaded"


ADMITTING: Final = frozenset(
    {
        Reason.UNGUARDED,
        Reason.EXEMPT,
        Reason.VERIFIED,
        Reason.RECEIPT,
        Reason.OUTAGE_ADMITTED,
        Reason.REPORT_ONLY,
    }
)

# Status and error code of each refusal (design.md 6.2). The codes are reCAPTCHA's names where one fits.
_REFUSALS: Final[Mapping[Reason, tuple[int, str]]] = {
    Reason.TOKEN_MISSING: (403, "missing-input-response"),
    Reason.TOKEN_AMBIGUOUS: (400, "bad-request"),
    Reason.TOKEN_MALFORMED: (403, "invalid-input-response"),
    Reason.TOKEN_REJECTED: (403, "invalid-input-response"),
    Reason.TOKEN_EXPIRED: (403, "timeout-or-duplicate"),
    Reason.TOKEN_USED: (403, "timeout-or-duplicate"),
    Reason.TOKEN_ELSEWHERE: (403, "token-elsewhere"),
    Reason.SCORE_TOO_LOW: (403, "score-too-low"),
    Reason.BODY_UNREADABLE: (400, "bad-request"),
    Reason.BODY_TOO_LARGE: (413, "body-too-large"),
    Reason.BODY_INCOMPLETE: (400, "bad-request"),
    Reason.TARGET_AMBIGUOUS: (400, "bad-request"),
    Reason.RATE_LIMITED: (429, "rate-limited"),
    Reason.UNAVAILABLE: (503, "verification-unavailable"),
    Reason.MISCONFIGURED: (503, "verification-misconfigured"),
    Reason.OVERLOADED: (503, "overloaded"),
}


# Our own words for a yes that does not meet what a route demands.
_MISMATCHES: Final = frozenset({"hostname-mismatch", "action-mismatch"})


class Cause(StrEnum):
    """Why there is no verdict."""

    TIMEOUT = "timeout"
    """The provider did not answer within its `timeout`."""
    CONNECTION = "connection"
    """No connection, or one that broke off."""
    TLS = "tls"
    """Its certificate is not to be trusted, or there is no TLS at all."""
    STATUS = "status"
    """It answered with a status that says nothing about the token."""
    UNREADABLE = "unreadable"
    """Its answer can't be read, or is none that it documents."""
    BROKEN = "broken"
    """Its answer could not be read for a mistake of ours."""
    RATE_LIMITED = "rate-limited"
    """It was asked too often."""
    FAIL_OPEN = "fail-open"
    """It says yes and admits that it did not look (Procaptcha)."""
    BREAKER = "breaker"
    """It failed so often lately that it is not asked at the moment."""
    OVERLOADED = "overloaded"
    """Our own limit of verifications at once."""
    STORE = "store"
    """The store of spent tokens can't be reached, or is full."""


# The provider's troubles. The outage policy may admit these and nothing else: limits, ours and the provider's, can be
# provoked by anybody, a mistake of ours admits nobody, and a store that can't claim would let one token in twice
# (threats.md R5, D13).
OUTAGES: Final = frozenset(
    {Cause.TIMEOUT, Cause.CONNECTION, Cause.TLS, Cause.STATUS, Cause.UNREADABLE, Cause.FAIL_OPEN, Cause.BREAKER}
)


class Matched:
    """What is to be matched. That nobody takes a refusal for a yes, because it is an object, it has no truth value."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name} is neither true nor false: match it, or ask for isinstance(..., Passed) or .admitted")


@value
class Passed(Matched):
    """The provider vouches for the token. What it does not report is None.

    provider:  its kind, as "caputchin"
    issued_at: when the challenge was solved, or issued where only that is known; Unix seconds
    hostname:  the host of the page that it was solved on
    action:    what it was solved for
    score:     the provider's own scale: 1 is a bot at Procaptcha
    details:   whatever else it reports, by its own names
    """

    provider: str
    issued_at: float | None = None
    hostname: str | None = None
    action: str | None = None
    score: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@value
class Failed(Matched):
    """A definitive no about this token.

    reason: one of the refusing reasons
    codes:  the provider's own words, for the log and never for a client
    """

    reason: Reason
    codes: tuple[str, ...] = ()


@value
class Unavailable(Matched):
    """Nobody could say whether the token is good.

    cause:       why
    retry_after: seconds, where the provider named a time
    codes:       the provider's own words, for the log
    """

    cause: Cause
    retry_after: float | None = None
    codes: tuple[str, ...] = ()


@value
class Misconfigured(Matched):
    """Our secret, plan, domain list or request is wrong: the operator must act, the visitor can't.

    codes: the provider's own words, for the log
    """

    codes: tuple[str, ...]


Verdict: TypeAlias = Passed | Failed | Unavailable | Misconfigured


@value
class Decision(Matched):
    """What the gate does with a request.

    reason:       why; whether the request is admitted follows from it alone
    provider:     the kind of the provider that was asked, None where none was
    route:        the rule or the exemption that matched, as it was typed
    verdict:      what the verification said, None where no token was verified
    method:       the request's
    elapsed:      seconds from the first look at the request to the decision, the wait for its body included
    verified_in:  those of them that the verification of a token took, None where there was none
    retry_after:  seconds, for refusals that time may mend
    http_status:  where one reason has several: 415 for an encoding, 408 for a body that never comes
    would_refuse: in report mode, the reason of the refusal that did not happen
    details:      for the log: what made a body or a target unreadable
    token_digest: a keyed digest, cut short: the same token is the same word in the log
    """

    reason: Reason
    provider: str | None = None
    route: str | None = None
    verdict: Verdict | None = None
    method: str | None = None
    elapsed: float = 0.0
    verified_in: float | None = None
    retry_after: float | None = None
    http_status: int | None = None
    would_refuse: Reason | None = None
    details: tuple[str, ...] = ()
    token_digest: str | None = None

    @property
    def admitted(self) -> bool:
        """Whether the application gets the request."""
        return self.reason in ADMITTING

    @property
    def status(self) -> int | None:
        """The HTTP status of the refusal, None when the request is admitted."""
        return None if self.admitted else self.http_status or _REFUSALS[self.reason][0]

    @property
    def error_codes(self) -> tuple[str, ...]:
        """The error codes a client is told, empty when the request is admitted. No provider's words are passed on."""
        match self.verdict:
            case _ if self.admitted:
                return ()
            case Failed(codes=(code, *_)) if code in _MISMATCHES:
                return (code,)
            case _:
                return (_REFUSALS[self.reason][1],)
