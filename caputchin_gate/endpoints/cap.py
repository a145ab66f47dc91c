"""Cap's protocol, for its own widget and for clients of its server (cap.md 2 to 5, 8, 10).

    POST cap/SITEKEY/challenge      a challenge, for the browser
    POST cap/SITEKEY/redeem         a token for its solution
    POST cap/SITEKEY/siteverify     a verdict about the token, for other back ends; also cap/siteverify: `siteverify/`

Statuses and texts are those of Cap Standalone: its widget reads `error` whatever the status is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from caputchin_gate.effects import BodyEnd, Claim, ClaimResult, StoreDown
from caputchin_gate.endpoints import siteverify
from caputchin_gate.endpoints.answers import answer, json_object, not_found, preflight, whole_body
from caputchin_gate.endpoints.asking import Granted, Limited, may_have
from caputchin_gate.endpoints.sites import Endpoints, Site, cors, host_of_page, why_not_served
from caputchin_gate.endpoints.siteverify.cap import CAP
from caputchin_gate.engines.cap import NONCE_BYTES, Challenge, Redeemed, Refusal
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.traffic import USED, WRONG_TOKEN

_REFUSALS: Final[Mapping[Refusal, tuple[int, str]]] = {
    Refusal.INVALID_SOLUTIONS: (400, "Invalid solutions"),
    Refusal.INVALID_TOKEN: (403, "Invalid challenge token"),
    Refusal.SCOPE_MISMATCH: (403, "Challenge token does not match site key"),
    Refusal.EXPIRED: (403, "Challenge expired"),
    Refusal.INVALID_SOLUTION: (403, "Invalid solution"),
}
_UNKNOWN_SITE: Final = "Invalid site key or secret"
_NOTHING: Final = (None, "", 0, False)
_ANY_ORIGIN: Final = {"Access-Control-Allow-Origin": "*"}


async def respond(head: RequestHead, site_key: str | None, act: str, own: Endpoints) -> Response:
    """Answer below cap/. `site_key` is None in the one path that names no site."""
    if not any(site.cap for site in own.sites.values()):
        return not_found()
    site = own.sites.get(site_key) if site_key is not None else None
    allowed = cors(head.header("origin"), site) if site is not None else _ANY_ORIGIN
    match head.method.upper(), act:
        case "POST", "challenge":
            return await _challenge(head, site, own, allowed)
        case "POST", "redeem":
            return await _redeem(head, site, own, allowed)
        case "OPTIONS", "challenge" | "redeem":
            return preflight(allowed, "content-type")
        case _, "challenge" | "redeem":
            return _refused(405, "Method not allowed", {**allowed, "Allow": "POST, OPTIONS"})
        case _, "siteverify":
            return await siteverify.respond(head, CAP, own, site_key)
        case _:
            return not_found()


def _refused(status: int, error: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    return answer(status, {"success": False, "error": error, **members}, headers)


# POST challenge


async def _challenge(head: RequestHead, site: Site | None, own: Endpoints, allowed: Mapping[str, str]) -> Response:
    if site is None or site.cap is None:
        return _refused(404, _UNKNOWN_SITE, allowed)
    if (closed := await why_not_served(site, own.clock.now())) is not None:
        status, reason = closed
        return _refused(status, "Verification unavailable" if status == 503 else "Blocked", allowed, reason=reason)
    if not site.serves(head):
        return _refused(403, "Blocked", allowed)
    match await may_have(head, site, own):
        case StoreDown():
            return _refused(503, "Verification unavailable", {**allowed, "Retry-After": "5"})
        case Limited(retry_after=retry_after):
            limits = {"X-RateLimit-Limit": str(site.challenges.curve.cap), "X-RateLimit-Remaining": "0"}
            return _refused(429, "Rate limit exceeded", {**allowed, **limits, "Retry-After": str(retry_after)})
        case Granted(now=now, network=network, state=state):
            nonce = own.clock.random_bytes(NONCE_BYTES)
            issued = site.cap.issue(now=now, nonce=nonce, state=state, client=network)
    return answer(200, as_sent(issued), allowed)


def as_sent(issued: Challenge) -> dict[str, Any]:
    """A challenge as the widget reads it (cap.md 3.1, 5)."""
    work, common = issued.work, {"token": issued.token, "expires": issued.expires}
    if work.format == 1:
        return {"challenge": {"c": work.puzzles, "s": work.salt_length, "d": work.difficulty}, **common}
    challenges: list[dict[str, Any]] = [
        {"protocol": "sha256-pow", "payload": {"salt": salt, "target": target}} for salt, target in issued.puzzles
    ]
    if (lock := issued.lock) is not None:
        payload = {"N": lock.modulus, "x": lock.base, "t": lock.squarings}
        challenges.append({"protocol": "rsw", "payload": payload})
    return {"format": 2, "challenges": challenges, **common}


# POST redeem, in the order of cap.md 3.7: a wrong solution claims nothing. What is redeemed counts as a right token
# only when it is used, so that each submission counts once.


async def _redeem(head: RequestHead, site: Site | None, own: Endpoints, allowed: Mapping[str, str]) -> Response:
    match await whole_body():
        case bytes() as body:
            request = json_object(body) or {}
        case None:
            return _refused(413, "Request body too large", allowed)
        case BodyEnd():
            request = {}
    token, solutions = request.get("token"), request.get("solutions")
    if token in _NOTHING or solutions in _NOTHING:
        return _refused(400, "Missing required fields", allowed)
    if site is None or site.cap is None:
        return _refused(404, "Invalid site key", allowed)
    if not isinstance(token, str) or not isinstance(solutions, list):
        return _refused(400, "Invalid solutions", allowed)
    now, network = own.clock.now(), own.network_of(head)
    match site.cap.redeem(token, solutions, now=now, client=network, host=host_of_page(head)):
        case Refusal() as refusal:
            if refusal is not Refusal.INVALID_SOLUTIONS:
                await own.traffic.failed((site.key,), WRONG_TOKEN, network, now)
            status, error = _REFUSALS[refusal]
            return _refused(status, error, allowed)
        case Redeemed() as redeemed:
            pass
    match await Claim(redeemed.claim_key, redeemed.until, now, redeemed.born):
        case ClaimResult.WON:
            return answer(200, {"success": True, "token": redeemed.token, "expires": redeemed.expires}, allowed)
        case ClaimResult.LOST:
            await own.traffic.failed((site.key,), USED, network, now)
            return _refused(403, "Challenge already redeemed", allowed)
        case ClaimResult.STORE_DOWN:
            return _refused(403, "Verification unavailable", allowed, reason="nonce_store_error")
