"""Caputchin's protocol, for its own widget (caputchin.md 6).

    GET v1/widget/bootstrap      how the widget looks: as it comes
    POST v1/verify/start         a session, and Cap's challenge in it
    POST v1/verify/pass          a wrapped token for the solution

The widget shows `error` whatever the status is. Every answer may be read by every page: none holds a secret, a page
that may not ask shall see why, and a challenge or a token is given to those alone that may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from caputchin_gate.effects import Claim, ClaimResult, StoreDown
from caputchin_gate.endpoints.answers import answer, json_body, not_found, preflight
from caputchin_gate.endpoints.asking import Granted, Limited, may_have
from caputchin_gate.endpoints.cap import as_sent
from caputchin_gate.endpoints.sites import Endpoints, Site, host_of_page, why_not_served
from caputchin_gate.engines.cap import NONCE_BYTES, Redeemed, Refusal
from caputchin_gate.engines.caputchin import CaputchinSessions
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.traffic import USED, WRONG_TOKEN

_CORS: Final = {"Access-Control-Allow-Origin": "*", "Vary": "Origin"}
_APPEARANCE: Final[Mapping[str, Any]] = {"widget": None, "game": None, "requiresGame": False}

_REFUSALS: Final[Mapping[Refusal, str]] = {
    Refusal.INVALID_SOLUTIONS: "invalid-solution",
    Refusal.INVALID_TOKEN: "invalid-challenge",
    Refusal.SCOPE_MISMATCH: "invalid-challenge",
    Refusal.EXPIRED: "challenge-expired",
    Refusal.INVALID_SOLUTION: "invalid-solution",
}


async def respond(head: RequestHead, act: str, own: Endpoints) -> Response:
    """Answer below v1/."""
    if not any(site.caputchin for site in own.sites.values()):
        return not_found()
    methods = "GET, OPTIONS" if act == "widget/bootstrap" else "POST, OPTIONS"
    match head.method.upper(), act:
        case "GET", "widget/bootstrap":
            return _bootstrap(head, own)
        case "POST", "verify/start":
            return await _start(head, own)
        case "POST", "verify/pass":
            return await _pass(head, own)
        case "OPTIONS", "widget/bootstrap" | "verify/start" | "verify/pass":
            return preflight(_CORS, "content-type", methods)
        case _, "widget/bootstrap" | "verify/start" | "verify/pass":
            return _refused(405, "method-not-allowed", {"Allow": methods})
        case _:
            return not_found()


def _refused(status: int, code: str, headers: Mapping[str, str] | None = None) -> Response:
    return answer(status, {"success": False, "error": code, "error-codes": [code]}, {**_CORS, **(headers or {})})


def _unavailable() -> Response:
    return _refused(503, "unavailable", {"Retry-After": "5"})


def _site_of(site_key: object, own: Endpoints) -> tuple[Site, CaputchinSessions] | None:
    site = own.sites.get(site_key) if isinstance(site_key, str) else None
    return (site, site.caputchin) if site is not None and site.caputchin is not None else None


# GET bootstrap: the first paint waits for it


def _bootstrap(head: RequestHead, own: Endpoints) -> Response:
    try:
        (site_key,) = parse_qs(head.query, errors="strict", max_num_fields=100).get("sitekey", [None])
    except ValueError:  # twice, or in a way that can't be read
        site_key = None
    if _site_of(site_key, own) is None:
        return _refused(404, "invalid-sitekey")
    return answer(200, _APPEARANCE, _CORS, cache="private, max-age=300")


# POST start


async def _start(head: RequestHead, own: Endpoints) -> Response:
    request = await json_body()
    if request is None:
        return _refused(400, "bad-request")
    found = _site_of(_platform(request).get("sitekey"), own)
    if found is None:
        return _refused(404, "invalid-sitekey")
    site, sessions = found
    if (closed := await why_not_served(site, own.clock.now())) is not None:
        status, code = closed
        return _unavailable() if status == 503 else _refused(status, code.replace("_", "-"))
    if not site.serves(head):
        return _refused(403, "origin-not-allowed")
    match await may_have(head, site, own):
        case StoreDown():
            return _unavailable()
        case Limited(retry_after=retry_after):
            return _refused(429, "rate-limited", {"Retry-After": str(retry_after)})
        case Granted(now=now, network=network, state=state):
            nonce = own.clock.random_bytes(NONCE_BYTES)
            host = host_of_page(head)
            session_id, challenge = sessions.start(now=now, nonce=nonce, state=state, client=network, host=host)
    return answer(200, {**as_sent(challenge), "platform": {"sessionId": session_id}}, _CORS)


def _platform(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the widget adds to Cap's requests."""
    platform = request.get("platform")
    return platform if isinstance(platform, dict) else {}


# POST pass, in the order of caputchin.md 6.11: a wrong solution claims nothing


async def _pass(head: RequestHead, own: Endpoints) -> Response:
    request = await json_body()
    if request is None:
        return _refused(400, "bad-request")
    session_id = _platform(request).get("sessionId")
    if not isinstance(session_id, str) or not session_id:
        return _refused(400, "missing-session-id")
    now, network = own.clock.now(), own.network_of(head)
    found = _site_of_session(session_id, network, now, own)
    if found is None:
        return _refused(400, "invalid-session")
    site, sessions = found
    if not site.serves(head):
        return _refused(403, "origin-not-allowed")
    token, solutions = request.get("token"), request.get("solutions")
    if not isinstance(token, str):
        return _refused(403, "invalid-challenge")
    match sessions.redeem(session_id, token, solutions if isinstance(solutions, list) else (), now=now):
        case Refusal() as refusal:
            if refusal is not Refusal.INVALID_SOLUTIONS:
                await own.traffic.failed((site.key,), WRONG_TOKEN, network, now)
            return _refused(403, _REFUSALS[refusal])
        case Redeemed() as redeemed:
            pass
    match await Claim(redeemed.claim_key, redeemed.until, now, redeemed.born):
        case ClaimResult.WON:
            wrapped = sessions.wrap(session_id, now=now)
        case ClaimResult.LOST:
            await own.traffic.failed((site.key,), USED, network, now)
            return _refused(403, "already-redeemed")
        case ClaimResult.STORE_DOWN:
            return _unavailable()
    platform = {"wrappedToken": wrapped.text}
    # The token is Cap's, which the protocol has and nobody takes here: one solution must not let two submissions in.
    passed = {"success": True, "token": redeemed.token, "expires": wrapped.expires, "platform": platform}
    return answer(200, passed, _CORS)


def _site_of_session(
    session_id: str, network: str | None, now: float, own: Endpoints
) -> tuple[Site, CaputchinSessions] | None:
    """The site that a session was started for; None for one that no site knows, or of another client, or too old."""
    for site in own.sites.values():
        if site.caputchin is not None and site.caputchin.lives(session_id, now=now, client=network):
            return site, site.caputchin
    return None
