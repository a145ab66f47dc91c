"""The policy: what happens to one request. Everything that decides is here or below; doors only translate.

    matched?  no rule -> PassOn     several rules that differ -> refused
    too many? of this client lately: refused, if there is a limit
    receipt?  of a submission that was verified lately: admitted, and no token is looked for
    token?    found, missing, ambiguous, unreadable
    verdict?  what the verification says about it
    decision  admit or refuse, and what the client then sees

The policy ends at the decision. Keeping what was read of the body, and handing it to the application, is the door's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, assert_never

from caputchin_gate.client_address import TrustedProxies, client_of, network_of
from caputchin_gate.effects import BodyEnd, Claim, ClaimResult, LastPiece, ReadBody
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.receipt import ID_BYTES, Receipt, Receipts
from caputchin_gate.refusals import NO_STORE, render, wants_json
from caputchin_gate.routes import Ambiguous, Exempt, RouteTable, Rule
from caputchin_gate.submissions import SubmissionLimit, over_limit
from caputchin_gate.tokens import BodySearch, Found, Missing, Outcome, Places, Refused, begin
from caputchin_gate.values import value
from caputchin_gate.verdict import (
    ADMITTING,
    OUTAGES,
    Cause,
    Decision,
    Failed,
    Misconfigured,
    Passed,
    Reason,
    Unavailable,
    Verdict,
)
from caputchin_gate.verification import Demands, Verification, Verifier, Visitor, verify

if TYPE_CHECKING:
    from caputchin_gate.endpoints.sites import Endpoints

KIB: Final = 1024

# What a refusal with 403 becomes: the gate's answer, the application's own (it reads the decision), or a redirect to
# this path. A constant of the configuration, never anything of the request (threats.md R37).
OnRefuse: TypeAlias = Literal["respond", "pass"] | str


@dataclass(frozen=True, slots=True)
class Terms:
    """What one route asks of a request, with every default filled in and every name resolved."""

    verifiers: tuple[Verifier, ...]
    places: Places
    demands: Demands = field(default_factory=Demands)
    admit_outages: bool = False
    max_body: int = 16 * KIB * KIB
    max_memory: int = KIB * KIB
    on_refuse: OnRefuse = "respond"
    back: str | None = None
    receipts: Receipts | None = None


@dataclass(frozen=True, slots=True)
class OwnPath:
    """The terms of the gate's own paths: they are answered, not guarded.

    endpoints: None where nothing is verified in process. front_proxy: the kind that may ask, if one may.
    """

    mount: str
    endpoints: Endpoints | None
    front_proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the policy needs to know, and that does not change from request to request."""

    routes: RouteTable[Terms | OwnPath]
    verification: Verification
    trusted_proxies: TrustedProxies
    allowed_origins: frozenset[str] = frozenset()
    report_only: bool = False
    submissions: SubmissionLimit | None = None
    log_key: bytes = b""


# What a door is told to do


@value
class PassOn:
    """Not the gate's business: the application gets the request untouched."""


@value
class Admit:
    """The application gets the request and the decision: nearly always an admitting one, but see on_refuse = "pass".

    set_cookie: what the door adds to the application's response, once.
    """

    decision: Decision
    set_cookie: str | None = field(default=None, repr=False)


@value
class Answer:
    """The gate answers itself and the application never sees the request: a refusal, or one of its own paths."""

    response: Response
    decision: Decision | None = None


Ruling: TypeAlias = PassOn | Admit | Answer
Guarding: TypeAlias = Rule[Terms | OwnPath] | Exempt | Ambiguous


async def follow(found: Guarding | None, head: RequestHead, settings: Settings) -> Ruling:
    """What the rule that was found for a request says. The gate's own paths are answered elsewhere (`own_paths.py`)."""
    match found:
        case None:
            return PassOn()
        case Exempt(match=pattern):
            return Admit(Decision(Reason.EXEMPT, route=pattern))
        case Rule(match=pattern, terms=Terms() as terms):
            decision = await decide(head, terms, settings, pattern)
            return rule_on(decision, head, terms, settings)
        case Ambiguous() | Rule():
            # Readings of one target meet rules that ask for different things (threats.md R16), or it is one of the
            # gate's own paths: they are answered, so who comes to ask about one is on its way elsewhere.
            return rule_on(Decision(Reason.TARGET_AMBIGUOUS, method=head.method), head, None, settings)


def rule_on_websocket(head: RequestHead, settings: Settings) -> Ruling:
    """A handshake carries no token: to a path that some rule guards, only an exemption lets it through (R7)."""
    found = [settings.routes.match(replace(head, method=method)) for method in ("GET", "POST")]
    is_exempt = any(isinstance(match, Exempt) for match in found)
    if is_exempt and all(match is None or isinstance(match, Exempt) for match in found):
        return PassOn()
    decision = Decision(Reason.TOKEN_MISSING, method=head.method, details=("a WebSocket handshake",))
    return rule_on(decision, head, None, settings)


def rule_on(decision: Decision, head: RequestHead, terms: Terms | None, settings: Settings) -> Ruling:
    """What follows from a decision; `terms` are None where no single rule was found."""
    on_refuse = terms.on_refuse if terms is not None else "respond"
    if decision.admitted:
        return Admit(decision, receipt_for(decision, head, terms, settings))
    if settings.report_only:
        return Admit(not_refused(decision))
    if decision.status == 403:  # the settings of `on_refuse` concern these alone
        if on_refuse == "pass":
            return Admit(decision)
        if on_refuse != "respond" and not wants_json(head):
            return Answer(Response(303, (("Location", on_refuse), *NO_STORE)), decision)
    back = terms.back if terms is not None else None
    return Answer(render(decision, head, back=back, allowed_origins=settings.allowed_origins), decision)


def not_refused(decision: Decision) -> Decision:
    """What becomes of a refusal where the gate only reports."""
    return replace(decision, reason=Reason.REPORT_ONLY, would_refuse=decision.reason)


async def decide(head: RequestHead, terms: Terms, settings: Settings, route: str | None = None) -> Decision:
    """Use the receipt if there is one, else find the token and have it verified; decide."""
    monotonic = settings.verification.clock.monotonic
    started = monotonic()
    decision = await _decision_about(head, terms, settings)
    return replace(decision, route=route, method=head.method, elapsed=monotonic() - started)


async def _decision_about(head: RequestHead, terms: Terms, settings: Settings) -> Decision:
    if (decision := rehearsed(terms, settings)) is not None:
        return decision
    client = client_of(head, settings.trusted_proxies)
    if (decision := await _limited(client, settings)) is not None:
        return decision
    receipt = await use_receipt(head, terms.receipts, settings) if terms.receipts is not None else None
    if receipt is not None:
        return Decision(Reason.RECEIPT, token_digest=_digest(receipt.uses[0], settings))
    match await find_token(head, terms):
        case Found(candidate=candidate):
            return await judge(candidate.value, candidate.field, Visitor(client), terms, settings)
        case Missing():
            return Decision(Reason.TOKEN_MISSING)
        case Refused(reason=reason, why=why, status=status):
            return Decision(reason, http_status=status, details=(why,))


async def decide_token(token: str, visitor: Visitor, terms: Terms, settings: Settings) -> Decision:
    """Decide about a token that is there already, where no route guards the form that it came with."""
    if (decision := rehearsed(terms, settings)) is not None:
        return decision
    if (decision := await _limited(visitor.address, settings)) is not None:
        return decision
    return await judge(token, None, visitor, terms, settings) if token else Decision(Reason.TOKEN_MISSING)


async def _limited(client: str | None, settings: Settings) -> Decision | None:
    """The refusal of a client that submits too often."""
    if settings.submissions is None:
        return None
    pause = await over_limit(client, settings.submissions, settings.verification.clock.now())
    return Decision(Reason.RATE_LIMITED, retry_after=pause) if pause is not None else None


def rehearsed(terms: Terms, settings: Settings) -> Decision | None:
    """What a test of the application says shall be decided; None outside of tests (`Rehearsal`)."""
    verdict = settings.verification.rehearsal.verdict
    if verdict is None:
        return None
    return Decision(reason_of(verdict, terms), terms.verifiers[0].kind, verdict=verdict)


async def judge(token: str, field: str | None, visitor: Visitor, terms: Terms, settings: Settings) -> Decision:
    """Have a token verified; decide. field: of the form that it came from, None where that is not known"""
    monotonic = settings.verification.clock.monotonic
    asked_at = monotonic()
    verdict, provider = await verify(terms.verifiers, token, field, visitor, terms.demands, settings.verification)
    elapsed = monotonic() - asked_at
    return Decision(
        reason_of(verdict, terms),
        provider,
        verdict=verdict,
        elapsed=elapsed,
        verified_in=elapsed,
        retry_after=verdict.retry_after if isinstance(verdict, Unavailable) else None,
        token_digest=_digest(token.encode(), settings),
    )


async def use_receipt(head: RequestHead, receipts: Receipts, settings: Settings) -> Receipt | None:
    """The receipt that the request brings, if one of its uses could be claimed for it.

    Of any other cookie nothing is told: the request is treated as if it had none.
    """
    now = settings.verification.clock.now()
    receipt = receipts.check(head.headers.get("cookie", ()), now=now, client=_network(head, settings))
    if receipt is None:
        return None
    for use in receipt.uses:
        match await Claim(use, receipt.until, now, receipt.born):
            case ClaimResult.WON:
                return receipt
            case ClaimResult.LOST:
                continue
            case ClaimResult.STORE_DOWN:
                return None
    return None


def receipt_for(decision: Decision, head: RequestHead, terms: Terms | None, settings: Settings) -> str | None:
    """The cookie that a request has earned: by a token that was verified just now, and by nothing else."""
    if terms is None or terms.receipts is None or decision.reason is not Reason.VERIFIED:
        return None
    if isinstance(decision.verdict, Passed) and decision.verdict.details.get("provider_fail_open"):
        return None  # the provider says yes and admits that it did not look
    clock = settings.verification.clock
    return terms.receipts.issue(
        now=clock.now(),
        receipt_id=clock.random_bytes(ID_BYTES),
        client=_network(head, settings),
        secure=head.scheme == "https",
    )


def _network(head: RequestHead, settings: Settings) -> str | None:
    client = client_of(head, settings.trusted_proxies)
    return network_of(client) if client is not None else None


def _digest(secret: bytes, settings: Settings) -> str:
    return blake2b(secret, key=settings.log_key, digest_size=4).hexdigest()


async def find_token(head: RequestHead, terms: Terms) -> Outcome:
    """Search the head, then the body piece by piece until the token is found or can't be any more.

    Not more than `max_body` bytes are looked at. The outcome depends on the bytes alone, not on how they were cut.
    """
    search = begin(head, terms.places, max_json=terms.max_memory)  # a JSON body is parsed as a whole
    if not isinstance(search, BodySearch):
        return search
    left = terms.max_body
    while True:
        match await ReadBody(terms.max_memory):
            case bytes() | LastPiece() as read:
                piece = read if isinstance(read, bytes) else read.content
                outcome = search.feed(piece if len(piece) <= left else piece[:left])
                if outcome is not None:
                    return outcome
                left -= len(piece)
                if left < 0:
                    return Refused(Reason.BODY_TOO_LARGE, "no token within max_body")
                if isinstance(read, LastPiece):
                    return search.finish()
            case BodyEnd.COMPLETE:
                return search.finish()
            case BodyEnd.CUT_SHORT | BodyEnd.GONE as end:
                return Refused(Reason.BODY_INCOMPLETE, end.value)
            case BodyEnd.TOO_SLOW as end:
                return Refused(Reason.BODY_INCOMPLETE, end.value, 408)
            case BodyEnd.NO_ROOM as end:
                return Refused(Reason.OVERLOADED, end.value)


def reason_of(verdict: Verdict, terms: Terms) -> Reason:
    """The only place where a verdict becomes an admission."""
    match verdict:
        case Passed():
            return Reason.VERIFIED
        case Failed(reason=reason):
            return reason if reason not in ADMITTING else Reason.TOKEN_REJECTED
        case Unavailable(cause=cause) if terms.admit_outages and cause in OUTAGES:
            return Reason.OUTAGE_ADMITTED
        case Unavailable(cause=Cause.OVERLOADED):
            return Reason.OVERLOADED
        case Unavailable():
            return Reason.UNAVAILABLE
        case Misconfigured():
            return Reason.MISCONFIGURED
        case _:
            assert_never(verdict)
