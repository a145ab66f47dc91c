"""captchaapi.eu's protocol, which is our own widget's too.

POST api/v1/captcha/challenge        a challenge, for the browser        (captchaapi.md 4)
POST api/v1/captcha/verify           a verdict, for other back ends      (captchaapi.md 5)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caputchin_gate.client_address import network_of
from caputchin_gate.effects import Claim, ClaimResult, StoreDown
from caputchin_gate.endpoints.answers import answer, json_body, method_not_allowed, not_found, preflight, refused
from caputchin_gate.endpoints.asking import Granted, Limited, may_have
from caputchin_gate.endpoints.sites import Endpoints, Site, cors
from caputchin_gate.engines import Solved
from caputchin_gate.engines.native import NONCE_BYTES
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.traffic import USED
from caputchin_gate.verdict import Failed


async def respond(head: RequestHead, act: str, own: Endpoints) -> Response:
    match head.method.upper(), act:
        case "POST", "challenge":
            return await _challenge(head, own)
        case "OPTIONS", "challenge":
            return preflight(_cors_of_any(head.header("origin"), own), "content-type, accept")
        case "POST", "verify":
            return await _verify(head, own)
        case _, "challenge":
            return method_not_allowed("POST, OPTIONS")
        case _, "verify":
            return method_not_allowed("POST")
        case _:
            return not_found()


# POST challenge. The order of the checks is the page's (captchaapi.md 10.2).


async def _challenge(head: RequestHead, own: Endpoints) -> Response:
    request = await json_body()
    site = _site_of(request, own)
    if site is None or request is None:
        return refused(422, "invalid_site_key", headers={"Access-Control-Allow-Origin": "*"})
    allowed = cors(head.header("origin"), site)
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
                now=now, nonce=nonce, step=step, state=state, client=network, action=action
            )
    issued = {"token": challenge.token, "target": challenge.target, "expires_at": challenge.expires_at}
    return answer(200, issued, allowed)


def _site_of(request: Mapping[str, Any] | None, own: Endpoints) -> Site | None:
    """The site that a challenge is asked for; the only one need not be named."""
    if request is None:
        return None
    match request.get("site_key"):
        case str() as key:
            return own.sites.get(key)
        case None if len(own.sites) == 1:
            return next(iter(own.sites.values()))
        case _:
            return None


def _cors_of_any(origin: str | None, own: Endpoints) -> dict[str, str]:
    """A preflight names no site, so it may pass where any site would; the POST itself is judged by its own site."""
    if any(not site.domains for site in own.sites.values()):
        return {"Access-Control-Allow-Origin": "*"}
    return next((found for site in own.sites.values() if len(found := cors(origin, site)) > 1), {"Vary": "Origin"})


# POST verify: our order of checks, a wrong solution or secret claims nothing (captchaapi.md 10.4)


async def _verify(head: RequestHead, own: Endpoints) -> Response:
    site = _site_of_secret(head.header("authorization"), own)
    if site is None:
        return refused(401, "invalid_secret", headers={"WWW-Authenticate": "Bearer"}, over_limit=False)
    request = await json_body()
    response = (request or {}).get("response")
    if not isinstance(response, str):
        return _verified("invalid_token")
    now = own.clock.now()
    visitor = (request or {}).get("remoteip")
    client = network_of(visitor) if isinstance(visitor, str) else None
    action = (request or {}).get("action", "")
    match site.challenges.check(
        response.strip(), now=now, client=client, action=action if isinstance(action, str) else ""
    ):
        case Failed(codes=codes) as failed:
            await own.traffic.failed((site.key,), failed, client, now)
            return _verified("invalid_solution" if "invalid_solution" in codes else "invalid_token")
        case Solved() as solved:
            pass
    match await Claim(solved.claim_key, solved.until, now, solved.born):
        case ClaimResult.WON:
            await own.traffic.passed(site.key, now)
            return _verified(None)
        case ClaimResult.LOST:
            await own.traffic.failed((site.key,), USED, client, now)
            return _verified("invalid_token")
        case ClaimResult.STORE_DOWN:
            return refused(503, "unavailable", over_limit=False, retry_after=5)


def _site_of_secret(authorization: str | None, own: Endpoints) -> Site | None:
    """The site whose secret this is."""
    scheme, _, presented = (authorization or "").partition(" ")
    owners = [site for site in own.sites.values() if site.owns(presented.strip())]
    return owners[-1] if owners and scheme.lower() == "bearer" else None


def _verified(error_code: str | None) -> Response:
    return answer(200, {"success": error_code is None, "error_code": error_code, "over_limit": False})
