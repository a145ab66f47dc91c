"""captchaapi.eu's protocol, which is our own widget's too.

    POST api/v1/captcha/challenge        a challenge, for the browser        (captchaapi.md 4)

The verdict for other back ends is one of the dialects of siteverify.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caputchin_gate.effects import StoreDown
from caputchin_gate.endpoints.answers import answer, json_body, method_not_allowed, preflight, refused
from caputchin_gate.endpoints.asking import Granted, Limited, may_have
from caputchin_gate.endpoints.sites import Endpoints, Site, cors, host_of_page, why_not_served
from caputchin_gate.engines.native import NONCE_BYTES
from caputchin_gate.messages import RequestHead, Response


async def respond(head: RequestHead, own: Endpoints) -> Response:
    match head.method.upper():
        case "POST":
            return await _challenge(head, own)
        case "OPTIONS":
            return preflight(_cors_of_any(head.header("origin"), own), "content-type, accept")
        case _:
            return method_not_allowed("POST, OPTIONS", _cors_of_any(head.header("origin"), own))


async def _challenge(head: RequestHead, own: Endpoints) -> Response:
    """The order of the checks is the page's (captchaapi.md 10.2)."""
    request = await json_body()
    site = _site_of(request, own)
    if site is None or request is None:
        return refused(422, "invalid_site_key", headers={"Access-Control-Allow-Origin": "*"})
    allowed = cors(head.header("origin"), site)
    if (closed := await why_not_served(site, own.clock.now())) is not None:
        status, code = closed
        return refused(status, code, headers=allowed, retry_after=5 if status == 503 else None)
    if not site.serves(head):
        return refused(403, "domain_not_allowed", headers=allowed)
    action = request.get("action", "")
    if not isinstance(action, str) or len(action) > 256:
        return refused(400, "invalid_action", headers=allowed)
    match await may_have(head, site, own):
        case StoreDown():
            return refused(503, "unavailable", headers=allowed, retry_after=5)
        case Limited(retry_after=retry_after):
            return refused(429, "rate_limited", headers=allowed, retry_after=retry_after)
        case Granted(now=now, network=network, step=step, state=state):
            nonce = own.clock.random_bytes(NONCE_BYTES)
            challenge = site.challenges.issue(
                now=now,
                nonce=nonce,
                step=step,
                state=state,
                client=network,
                action=action,
                host=host_of_page(head),
            )
    issued = {"token": challenge.token, "target": challenge.target, "expires_at": challenge.expires_at}
    return answer(200, issued, allowed)


def _site_of(request: Mapping[str, Any] | None, own: Endpoints) -> Site | None:
    """The site that a challenge is asked for; the only one need not be named."""
    if request is None:
        return None
    match request.get("site_key"):
        case str() as key:
            return own.sites.get(key, own.test_sites.get(key))
        case None if len(own.sites) == 1:
            return next(iter(own.sites.values()))
        case _:
            return None


def _cors_of_any(origin: str | None, own: Endpoints) -> dict[str, str]:
    """A preflight names no site, so it may pass where any site would; the POST itself is judged by its own site."""
    if any(not site.domains for site in own.sites.values()):
        return {"Access-Control-Allow-Origin": "*"}
    return next((found for site in own.sites.values() if len(found := cors(origin, site)) > 1), {"Vary": "Origin"})
