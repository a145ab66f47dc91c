"""What the gate would do with a request, and why. Nothing here decides: it asks the route table and the policy.

Every outcome is what `policy.py` answers to it, and every rule is found by `routes/`, so an explanation can't say
anything else than a door does. Nothing is verified, counted or stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias, assert_never

from caputchin_gate.errors import closest
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit, Answer, OwnPath, PassOn, Ruling, Settings, Terms, reason_of, rule_on
from caputchin_gate.providers import Upstream
from caputchin_gate.routes import Ambiguous, Exempt, Reading, Rule
from caputchin_gate.routes.methods import effective_methods
from caputchin_gate.routes.target_views import way_to
from caputchin_gate.tokens import Source
from caputchin_gate.tokens.search import TOKEN_HEADER
from caputchin_gate.verdict import Cause, Decision, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict
from caputchin_gate.verification import InProcess

Event: TypeAlias = Verdict | Reason

# All that may become of a guarded request: what is found in it, or said about its token. Some can't at some routes.
EVENTS: Final[Mapping[str, Event]] = {
    "the token passes": Passed(""),
    "no token": Reason.TOKEN_MISSING,
    "a malformed token": Failed(Reason.TOKEN_MALFORMED),
    "a rejected token": Failed(Reason.TOKEN_REJECTED),
    "an expired token": Failed(Reason.TOKEN_EXPIRED),
    "a used token": Failed(Reason.TOKEN_USED),
    "a token for elsewhere": Failed(Reason.TOKEN_ELSEWHERE),
    "a score out of bounds": Failed(Reason.SCORE_TOO_LOW),
    "two different tokens": Reason.TOKEN_AMBIGUOUS,
    "an unreadable body": Reason.BODY_UNREADABLE,
    "a body over max_body": Reason.BODY_TOO_LARGE,
    "a body that breaks off": Reason.BODY_INCOMPLETE,
    "too many submissions": Reason.RATE_LIMITED,
    "the provider is down": Unavailable(Cause.TIMEOUT),
    "the store is down": Unavailable(Cause.STORE),
    "too many at once": Unavailable(Cause.OVERLOADED),
    "a wrong secret or plan": Misconfigured(()),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one event becomes: `becomes` is admitted, refused, redirected, or passed on with a refusing decision."""

    when: str
    becomes: str
    reason: Reason
    status: int | None = None
    error_codes: tuple[str, ...] = ()
    location: str | None = None
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A reading of the target: how it comes about, and what counts for it."""

    way: tuple[str, ...]
    counts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule asks for."""

    providers: tuple[Mapping[str, Any], ...]
    token_in: tuple[str, ...]
    demands: Mapping[str, Any]
    max_body: int
    max_memory: int
    on_outage: str
    on_refuse: str
    receipt: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """found: guarded, exempt, ambiguous, own path or unguarded. open: whether a request without a token would reach
    the application with the gate's consent.
    """

    method: str
    target: str
    found: str
    rule: str | None
    why: str
    open: bool
    methods: tuple[str, ...]
    readings: tuple[Read, ...] = ()
    mode: str = "enforce"
    asks: Asked | None = None
    outcomes: tuple[Outcome, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def explain(head: RequestHead, settings: Settings) -> Explanation:
    """What becomes of a request that has this head."""
    found = settings.routes.match(head)
    readings = settings.routes.readings(head)
    told = tuple(Read(_way(reading, head), reading.counts) for reading in readings if reading.counts)
    methods = tuple(sorted(effective_methods(head)))

    def explanation(word: str, rule: str | None, why: str, is_open: bool, **more: Any) -> Explanation:
        mode = "report" if settings.report_only else "enforce"
        target = (head.raw_path or head.path) + (f"?{head.query}" if head.query else "")
        return Explanation(head.method, target, word, rule, why, is_open, methods, told, mode, **more)

    match found:
        case None:
            return explanation("unguarded", None, _why_not(head, readings, settings), True)
        case Exempt(match=pattern):
            return explanation("exempt", pattern, "an exemption takes it out of its rule", True)
        case Ambiguous(why=why):
            ruling = rule_on(Decision(Reason.TARGET_AMBIGUOUS, method=head.method), head, None, settings)
            outcome = _outcome("always", ruling)
            return explanation("ambiguous", None, why, outcome.becomes == "admitted", outcomes=(outcome,))
        case Rule(match=pattern, terms=terms):
            if isinstance(terms, OwnPath):
                return explanation("own path", pattern, "the gate answers it, and no application sees it", False)
            why = "a reading of the target" if told and len(told[0].way) > 1 else "the path"
            outcomes = tuple(outcomes_of(head, pattern, terms, settings))
            is_open = any(outcome.reason is Reason.REPORT_ONLY for outcome in outcomes)
            more = {"asks": _asked(terms), "outcomes": outcomes}
            return explanation("guarded", pattern, f"{why} matches it", is_open, **more)


def _way(reading: Reading[Any], head: RequestHead) -> tuple[str, ...]:
    return way_to(reading.view, head.path, head.raw_path, head.root_path)


def _why_not(head: RequestHead, readings: Sequence[Reading[Any]], settings: Settings) -> str:
    """Why no rule guards it: the rule that comes nearest, and what is missing."""
    for reading in readings:
        for rule in reading.met:
            return f"the path matches {rule.match!r}, which does not guard {head.method}"
    paths = {rule.match.split()[-1]: rule.match for rule in settings.routes.rules if not rule.own}
    nearest = closest(head.path, paths)
    if nearest is None:
        return "no rule has a path like it"
    return f"no rule has this path; the nearest is {paths[nearest]!r}"


# What a rule asks for


def _asked(terms: Terms) -> Asked:
    receipts = terms.receipts
    demands = {name: value for name, value in asdict(terms.demands).items() if value}
    return Asked(
        providers=tuple(map(_provider, terms.verifiers)),
        token_in=tuple(_places(terms)),
        demands={name: sorted(value) if isinstance(value, frozenset) else value for name, value in demands.items()},
        max_body=terms.max_body,
        max_memory=terms.max_memory,
        on_outage="admit" if terms.admit_outages else "refuse",
        on_refuse=terms.on_refuse,
        receipt={"seconds": receipts.lifetime, "uses": receipts.uses} if receipts is not None else None,
    )


def _provider(verifier: Upstream | InProcess) -> Mapping[str, Any]:
    told = {"kind": verifier.kind, "token_field": verifier.token_field}
    match verifier:
        case InProcess():
            return {**told, "verification": "in-process"}
        case Upstream():
            once = "by the provider" if verifier.single_use else "by the gate"
            asked = {"endpoint": verifier.url, "timeout": verifier.timeout, "attempts": verifier.attempts}
            return {**told, "verification": "upstream", **asked, "single_use": once}
        case _:
            assert_never(verifier)


def _places(terms: Terms) -> Iterator[str]:
    """Where a token is looked for, in the order of `token_from`."""
    fields = ", ".join(terms.places.fields)
    for source in Source:
        if source not in terms.places.sources:
            continue
        match source:
            case Source.FORM:
                yield f"form field {fields}"
            case Source.JSON if terms.places.json_pointer is not None:
                yield f"JSON at {terms.places.json_pointer}"
            case Source.JSON:
                yield f"JSON key {fields}, at the top"
            case Source.HEADER:
                yield f"header {TOKEN_HEADER.title()}"
            case Source.QUERY:
                yield f"query parameter {fields}"
            case Source.COOKIE:
                yield f"cookie {fields}"
            case _:
                assert_never(source)


# What becomes of it


def outcomes_of(head: RequestHead, match: str, terms: Terms, settings: Settings) -> Iterator[Outcome]:
    for when, event in EVENTS.items():
        if not _may_happen(event, terms, settings):
            continue
        if isinstance(event, Reason):
            decision = Decision(event, route=match, method=head.method)
        else:
            reason = reason_of(event, terms)
            decision = Decision(reason, terms.verifiers[0].kind, match, event, method=head.method)
        yield _outcome(when, rule_on(decision, head, terms, settings))


def _may_happen(event: Event, terms: Terms, settings: Settings) -> bool:
    asked = [verifier for verifier in terms.verifiers if isinstance(verifier, Upstream)]
    match event:
        case Reason.RATE_LIMITED:
            return settings.submissions is not None
        case Failed(reason=Reason.SCORE_TOO_LOW):  # bounds are the route's or the provider's own
            return any("min_score" in provider.reports for provider in asked)
        case Unavailable(cause=Cause.TIMEOUT) | Misconfigured():
            return bool(asked)
        case _:
            return True


def _outcome(when: str, ruling: Ruling) -> Outcome:
    match ruling:
        case Admit(decision=decision):
            becomes = "admitted" if decision.admitted else "passed on"
            return Outcome(when, becomes, decision.reason, decision.status, decision.error_codes)
        case Answer(response=response, decision=Decision() as decision):
            headers = dict(response.headers)
            location, pause = headers.get("Location"), headers.get("Retry-After")
            if location is not None:
                return Outcome(when, "redirected", decision.reason, response.status, location=location)
            again = int(pause) if pause is not None else None
            return Outcome(when, "refused", decision.reason, response.status, decision.error_codes, retry_after=again)
        case Answer() | PassOn():
            raise AssertionError("a decision about a guarded request is told with its ruling")
        case _:
            assert_never(ruling)
