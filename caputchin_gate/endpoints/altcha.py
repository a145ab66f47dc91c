"""ALTCHA's protocol, for its own widget (others.md 6.3): it solves by itself and sends the solution with the form.

    GET altcha/SITEKEY/challenge     a challenge; also altcha/challenge, where there is one site

Nothing else is asked: the widget's `verifyurl` is for servers that sign verifications, which this gate doesn't.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from caputchin_gate.effects import StoreDown
from caputchin_gate.endpoints.answers import answer, method_not_allowed, not_found, preflight, refused
from caputchin_gate.endpoints.asking import Granted, Limited, may_have
from caputchin_gate.endpoints.sites import Endpoints, Site, cors, host_of_page, why_not_served
from caputchin_gate.engines.altcha.challenges import AltchaChallenges
from caputchin_gate.engines.altcha.terms import RANDOM_BYTES
from caputchin_gate.messages import RequestHead, Response

LONGEST_ACTION: Final = 256
LONGEST_QUERY: Final = 8192  # more than the longest action takes when all of it is escaped

_METHODS: Final = "GET, OPTIONS"
_HEADERS: Final = "content-type, accept, x-altcha-spam-filter"  # the last is sent by widgets before 3.0


async def respond(head: RequestHead, site_key: str | None, own: Endpoints) -> Response:
    """Answer a challenge path. `site_key` is None in the path that names no site."""
    if not any(site.altcha for site in own.sites.values()):
        return not_found()
    site = _site_of(site_key, own)
    if site is None or site.altcha is None:
        return _refused(404, "invalid_site_key", {"Access-Control-Allow-Origin": "*"})
    match head.method.upper():
        case "GET":
            return await _challenge(head, site, site.altcha, own)
        case "OPTIONS":
            return preflight(cors(head.header("origin"), site), _HEADERS, _METHODS)
        case _:
            return method_not_allowed(_METHODS)


async def _challenge(head: RequestHead, site: Site, challenges: AltchaChallenges, own: Endpoints) -> Response:
    allowed = cors(head.header("origin"), site)
    if (closed := await why_not_served(site, own.clock.now())) is not None:
        return _refused(*closed, allowed)
    if not site.serves(head):
        return _refused(403, "domain_not_allowed", allowed)
    action = _action_of(head.query)
    if action is None:
        return _refused(400, "invalid_action", allowed)
    match await may_have(head, site, own):
        case StoreDown():
            return _refused(503, "unavailable", allowed, retry_after=5)
        case Limited(retry_after=retry_after):
            return _refused(429, "rate_limited", allowed, retry_after=retry_after)
        case Granted(now=now, network=network, step=step, state=state):
            random = own.clock.random_bytes(RANDOM_BYTES)
            host = host_of_page(head)
            issued = challenges.issue(
                now=now, random=random, step=step, state=state, client=network, action=action, host=host
            )
            return answer(200, issued, allowed)


def _site_of(site_key: str | None, own: Endpoints) -> Site | None:
    """The site that a challenge is asked for; the only one need not be named."""
    if site_key is not None:
        return own.sites.get(site_key)
    return next(iter(own.sites.values())) if len(own.sites) == 1 else None


def _action_of(query: str) -> str | None:
    """What the solution shall be good for, None if the query says it twice or in a way that can't be read."""
    if len(query) > LONGEST_QUERY:
        return None
    try:
        (action,) = parse_qs(query, errors="strict", max_num_fields=100).get("action", [""])
    except ValueError:
        return None
    return action if len(action) <= LONGEST_ACTION else None


def _refused(status: int, code: str, allowed: Mapping[str, str], retry_after: int | None = None) -> Response:
    """The widget shows `error` to who reads the console."""
    return refused(status, code, headers=allowed, retry_after=retry_after, error=code)
