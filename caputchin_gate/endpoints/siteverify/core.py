"""What is true of a siteverify call, in whatever dialect: the order of the checks (siteverify-server.md 3).

    question   the request, its secret, what its sender expects      -> a Question, or the Finding that it is none
    weigh      what the engines say about the token                  -> Solved, or the Finding that it isn't
    settle     the claim: at most one call succeeds with a token     -> a Finding

A wrong secret touches no token, and nothing but `settle` uses one up. Judging and claiming are those of guarded routes
(`verification.py`); a dialect only translates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from caputchin_gate.client_address import network_of
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.endpoints.siteverify import limits, test_keys
from caputchin_gate.endpoints.siteverify.findings import Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.limits import Limited
from caputchin_gate.endpoints.siteverify.request import Fields, NoText, Unread, read_fields, text_of
from caputchin_gate.engines import FORGED, Solved
from caputchin_gate.messages import RequestHead
from caputchin_gate.site_terms import Status
from caputchin_gate.verdict import Failed, Passed, Reason, Unavailable
from caputchin_gate.verification import judge, take, tell

LONGEST_SECRET: Final = 512
LONGEST_FIELD: Final = 1024

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_UNSOLVED: Final = frozenset({"invalid_solution", "invalid-solution"})
_UNREAD: Final[Mapping[Unread, Outcome]] = {
    Unread.MALFORMED: Outcome.BAD_REQUEST,
    Unread.TOO_LARGE: Outcome.TOO_LARGE,
    Unread.ENCODED: Outcome.ENCODED,
    Unread.NO_ROOM: Outcome.INTERNAL,
}
_NOT_SERVED: Final[Mapping[Status, Outcome]] = {
    Status.SUSPENDED: Outcome.SITE_SUSPENDED,
    Status.DEACTIVATED: Outcome.SITE_DEACTIVATED,
    Status.INACTIVE: Outcome.SITE_INACTIVE,
}


@dataclass(frozen=True, slots=True)
class Question:
    """A token that the owner of a site asks about, and what is expected of it.

    address:  of the visitor, as it was sent
    actions:  any of which the token may have been solved for: the expected one, else those the dialect can tell of
    site_key: the expected one
    """

    dialect: Dialect
    site: Site
    response: str
    address: str | NoText
    actions: tuple[str, ...]
    site_key: str | NoText
    idempotency_key: str | None = None

    def found(self, outcome: Outcome, passed: Passed | None = None) -> Finding:
        named = self.site_key is not NoText.MISSING
        return Finding((outcome,), self.site, self.response, passed, named)


# Who asks, about what


async def question(
    head: RequestHead, dialect: Dialect, own: Endpoints, site_in_path: str | None, now: float
) -> Question | Finding:
    network = own.network_of(head)
    if (limited := await limits.calls(own, network, now)) is not None:
        return _limited(limited)
    read = await read_fields(head, dialect.forms)
    fields: Fields = {} if isinstance(read, Unread) else read
    response = text_of(fields, dialect.response, dialect.longest_response)
    if dialect.secret_in_head is not None:  # then it comes first, whatever the body is
        secret = dialect.secret_in_head(head)
    elif isinstance(read, Unread):
        return Finding((_UNREAD[read],))
    else:
        secret = text_of(fields, dialect.secret, LONGEST_SECRET)
        if response is NoText.MISSING:
            both = (Outcome.SECRET_MISSING,) if secret is NoText.MISSING else ()
            return Finding((*both, Outcome.RESPONSE_MISSING))
    sent = response if isinstance(response, str) else ""
    match await _owner(secret, network, dialect, own, dialect.named_site(site_in_path, sent), now):
        case Finding() as refused:
            return replace(refused, response=sent)
        case owner:
            site = owner if isinstance(owner, Site) else None
    match read, response:
        case Unread() as unread, _:
            return Finding((_UNREAD[unread],), site)
        case _, NoText.MISSING:
            return Finding((Outcome.RESPONSE_MISSING,), site)
        case _, str() as token if isinstance(owner, Outcome):
            return test_keys.found(owner, token, dialect.name, now)
        case _, str() as token if site is not None:
            return _expecting(fields, dialect, site, token)
        case _:
            return Finding((Outcome.RESPONSE_MALFORMED,), site)


async def _owner(
    secret: str | NoText, network: str | None, dialect: Dialect, own: Endpoints, named_site: str | None, now: float
) -> Site | Outcome | Finding:
    """Whose secret it is, or what it stands for as a test key. All sites are compared, whoever it is (R44)."""
    match secret:
        case NoText.MISSING:
            return Finding((Outcome.SECRET_MISSING,))
        case NoText.MALFORMED:
            return Finding((Outcome.SECRET_MALFORMED,))
        case _:
            presented = secret if isinstance(secret, str) else ""
    tested = test_keys.outcome_of(presented, dialect.name) if own.test_sites else None
    if tested is not None:
        return tested
    owners = [site for site in own.sites.values() if site.owns(presented)]
    if named_site is not None and named_site not in own.sites:
        return Finding((Outcome.SITE_UNKNOWN,))
    for site in owners:
        if named_site in (None, site.key) and (site.dialects is None or dialect.name in site.dialects):
            return site if site.is_served else Finding((_NOT_SERVED[site.status],), site)
    limited = await limits.wrong_secrets(own, network, now)
    return _limited(limited) if limited is not None else Finding((Outcome.SECRET_UNKNOWN,))


def _limited(limited: Limited) -> Finding:
    if limited.retry_after is None:
        return Finding((Outcome.INTERNAL,))
    return Finding((Outcome.RATE_LIMITED,), retry_after=limited.retry_after)


def _expecting(fields: Fields, dialect: Dialect, site: Site, response: str) -> Question | Finding:
    """What the sender expects of the token."""
    idempotency_key: str | None = None
    match text_of(fields, "idempotency_key", LONGEST_FIELD) if dialect.idempotent else NoText.MISSING:
        case NoText.MISSING:
            pass
        case str() as key if _UUID.fullmatch(key):
            idempotency_key = key.lower()
        case _:
            return Finding((Outcome.IDEMPOTENCY_INVALID,), site, response)
    site_key: str | NoText = NoText.MISSING
    if dialect.site_key is not None:
        site_key = text_of(fields, dialect.site_key, LONGEST_FIELD)
        if dialect.needs_site_key and site_key is NoText.MISSING:
            return Finding((Outcome.BAD_REQUEST,), site, response)
    match text_of(fields, "action", LONGEST_FIELD):
        case NoText.MISSING:
            actions = ("", *site.actions) if dialect.reports_action(site) else ("",)
        case str() as expected:
            actions = (expected,)
        case _:
            return Finding((Outcome.ACTION_MISMATCH,), site, response)
    address = text_of(fields, dialect.remote_ip, LONGEST_FIELD)
    return Question(dialect, site, response, address, actions, site_key, idempotency_key)


# The token


@dataclass(frozen=True, slots=True)
class Weighed:
    """A token that is right, what it was solved for, and whose it is. It is not used yet."""

    solved: Solved
    action: str
    network: str | None


async def weigh(asked: Question, own: Endpoints, now: float) -> Weighed | Finding:
    """Steps 4 to 7: nothing is claimed, so whatever is wrong costs the visitor nothing."""
    dialect, site = asked.dialect, asked.site
    network = network_of(asked.address, own.ipv6_prefix) if isinstance(asked.address, str) else None
    requires = site.challenges.binding == "require"
    compared = network if dialect.compares_if_known or requires else None
    failed = FORGED
    for action in asked.actions:
        judged, _ = judge(site.engines, asked.response, now=now, client=compared, action=action)
        match judged:
            case Solved() as solved:
                missed = _missed(asked, network)
                return asked.found(missed) if missed is not None else Weighed(solved, action, network)
            case Failed(reason=Reason.TOKEN_ELSEWHERE) as failed:
                pass  # as with FORGED, perhaps it was solved for the next action
            case Failed() as other if other != FORGED:
                failed = other
                break
    await tell(own.traffic, failed, (site.key,), network, now)
    if failed.reason is Reason.TOKEN_ELSEWHERE and compared is None and not requires:
        return asked.found(Outcome.ACTION_MISMATCH)  # nothing else was compared
    return asked.found(_why(failed, asked, own, now))


def _missed(asked: Question, network: str | None) -> Outcome | None:
    """The first expectation that a right token does not meet."""
    if asked.site_key not in (NoText.MISSING, asked.site.key):
        return Outcome.SITEKEY_MISMATCH
    if asked.dialect.readable_address and asked.address is not NoText.MISSING and network is None:
        return Outcome.ADDRESS_UNREADABLE
    return None


def _why(failed: Failed, asked: Question, own: Endpoints, now: float) -> Outcome:
    if not _UNSOLVED.isdisjoint(failed.codes):
        return Outcome.RESPONSE_UNSOLVED
    match failed.reason:
        case Reason.TOKEN_MALFORMED:
            return Outcome.RESPONSE_MALFORMED
        case Reason.TOKEN_EXPIRED:
            return Outcome.RESPONSE_EXPIRED
        case Reason.TOKEN_ELSEWHERE:
            return Outcome.ADDRESS_MISMATCH
        case _:
            return Outcome.SITE_MISMATCH if _is_of_another_site(asked, own, now) else Outcome.RESPONSE_UNKNOWN


def _is_of_another_site(asked: Question, own: Endpoints, now: float) -> bool:
    others = [engine for site in own.sites.values() if site is not asked.site for engine in site.engines]
    match judge(others, asked.response, now=now, client=None):
        case Failed() as failed, _:
            return failed != FORGED and failed.reason is not Reason.TOKEN_MALFORMED
        case _:
            return True


async def settle(asked: Question, weighed: Weighed, own: Endpoints, now: float) -> Finding:
    """Step 8. Expiry was looked at before, so a token that is both used and expired is told as expired."""
    verdict = await take(asked.dialect.name, weighed.solved, now, asked.site.quota)
    await tell(own.traffic, verdict, (asked.site.key,), weighed.network, now)
    match verdict:
        case Passed() as passed:
            told = replace(passed, action=weighed.action, score=asked.site.score)
            return replace(asked.found(Outcome.SUCCESS, told), over_limit="over_limit" in passed.details)
        case Failed():
            return asked.found(Outcome.RESPONSE_USED)
        case Unavailable():
            return asked.found(Outcome.INTERNAL)


async def with_quota(found: Finding, dialect: Dialect, now: float) -> Finding:
    """A failure with what the dialect tells of the quota, too."""
    if found.passed is not None or found.site is None or found.site.quota is None or not dialect.reports_quota:
        return found
    return replace(found, over_limit=await found.site.quota.is_exceeded(now))
