"""Everything the gate answers itself, below its mount: the widget script and captchaapi.eu's protocol.

    GET  captcha.js                      our widget
    POST api/v1/captcha/challenge        a challenge, for the browser        (captchaapi.md 4)
    POST api/v1/captcha/verify           a verdict, for other back ends      (captchaapi.md 5)

No request below the mount reaches the application, and no rule locks these paths (threats.md R41).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from caputchin_gate.client_address import TrustedProxies, client_of, network_of
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Claim, ClaimResult, Count, Counted, LastPiece, ReadBody, StoreDown
from caputchin_gate.engines.native import NONCE_BYTES, NativeChallenges, Solved
from caputchin_gate.messages import Headers, RequestHead, Response
from caputchin_gate.secret import Secret
from caputchin_gate.verdict import Failed

MAX_BODY: Final = 64 * 1024
COUNT_WINDOW: Final = 60.0
PREFLIGHT_AGE: Final = "600"

# The widget tells its own clock from ours by Date, and when to come back by Retry-After.
_EXPOSED: Final = {"Access-Control-Expose-Headers": "Date, Retry-After"}

_JSON: Final[Headers] = (
    ("Content-Type", "application/json; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


@dataclass(frozen=True, slots=True)
class Site:
    """A site that this gate issues challenges for. Without domains, pages of any origin may ask for one."""

    challenges: NativeChallenges
    secrets: tuple[Secret, ...] = ()
    domains: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        return self.challenges.site_key


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the gate's own paths need to know."""

    mount: str
    sites: Mapping[str, Site]
    clock: Clock
    trusted_proxies: TrustedProxies
    counting_key: bytes


async def respond(head: RequestHead, own: Endpoints) -> Response:
    """Answer a request below the mount."""
    path = head.path.removeprefix(head.root_path) if head.root_path else head.path
    if not path.startswith(own.mount + "/"):
        return _not_found()
    match head.method.upper(), path[len(own.mount) :].rstrip("/"):
        case "GET" | "HEAD" as method, "/captcha.js":
            return _script(head, method)
        case "POST", "/api/v1/captcha/challenge":
            return await _challenge(head, own)
        case "OPTIONS", "/api/v1/captcha/challenge":
            return _preflight(head, own)
        case "POST", "/api/v1/captcha/verify":
            return await _verify(head, own)
        case _, "/captcha.js":
            return _method_not_allowed("GET, HEAD")
        case _, "/api/v1/captcha/challenge":
            return _method_not_allowed("POST, OPTIONS")
        case _, "/api/v1/captcha/verify":
            return _method_not_allowed("POST")
        case _:
            return _not_found()


# captcha.js


@cache
def widget_script() -> tuple[bytes, str]:
    """Our widget and its entity tag."""
    source = Path(__file__).with_name("captcha.js").read_bytes()
    return source, f'"{hashlib.sha256(source).hexdigest()[:16]}"'


def _script(head: RequestHead, method: str) -> Response:
    source, tag = widget_script()
    headers: Headers = (
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cache-Control", "public, max-age=3600"),
        ("ETag", tag),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    )
    if tag in (head.header("if-none-match") or ""):
        return Response(304, headers)
    return Response(200, (*headers, ("Content-Length", str(len(source)))), b"" if method == "HEAD" else source)


# POST challenge. The order of the checks is the page's (captchaapi.md 10.2).


async def _challenge(head: RequestHead, own: Endpoints) -> Response:
    origin = head.header("origin")
    request = await _json_body()
    site = _site_of(request, own)
    if site is None or request is None:
        return _refused(422, "invalid_site_key", cors={"Access-Control-Allow-Origin": "*"})
    cors = _cors(origin, site)
    if site.domains and _host_of(origin or head.header("referer")) not in site.domains:
        return _refused(403, "domain_not_allowed", cors=cors)
    action = request.get("action", "")
    if not isinstance(action, str) or len(action) > 256:
        return _refused(400, "invalid_action", cors=cors)
    client = client_of(head, own.trusted_proxies)
    network = network_of(client) if client is not None else None
    now = own.clock.now()
    match await Count(_count_key(own, site, network), COUNT_WINDOW, now):
        case StoreDown():
            return _refused(503, "unavailable", cors=cors, retry_after=5)
        case Counted(count=count, ends_at=ends_at) if count >= site.challenges.curve.cap:
            return _refused(429, "rate_limited", cors=cors, retry_after=max(1, math.ceil(ends_at - now)))
        case Counted(count=count):
            challenge = site.challenges.issue(
                now=now, nonce=own.clock.random_bytes(NONCE_BYTES), step=count, client=network, action=action
            )
    issued = {"token": challenge.token, "target": challenge.target, "expires_at": challenge.expires_at}
    return _answer(200, issued, cors)


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


def _count_key(own: Endpoints, site: Site, network: str | None) -> bytes:
    """Clients are counted under a keyed hash: the store never learns an address."""
    message = f"{len(site.key)}:{site.key}{network or ''}".encode()
    return hashlib.blake2b(message, key=own.counting_key, digest_size=16).digest()


def _host_of(url: str | None) -> str:
    try:
        return (urlsplit(url or "").hostname or "").lower()
    except ValueError:
        return ""


def _cors(origin: str | None, site: Site) -> dict[str, str]:
    """Error answers need these too: without them a page sees a network error instead of `retry_after`."""
    if not site.domains:
        return {"Access-Control-Allow-Origin": "*", **_EXPOSED}
    if origin is not None and _host_of(origin) in site.domains and origin.isascii() and origin.isprintable():
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **_EXPOSED}
    return {"Vary": "Origin"}


def _preflight(head: RequestHead, own: Endpoints) -> Response:
    """A preflight names no site, so it may pass where any site would; the POST itself is judged by its own site."""
    origin = head.header("origin")
    allowed = next((cors for site in own.sites.values() if len(cors := _cors(origin, site)) > 1), {"Vary": "Origin"})
    if any(not site.domains for site in own.sites.values()):
        allowed = {"Access-Control-Allow-Origin": "*"}
    return Response(
        204,
        (
            *allowed.items(),
            ("Access-Control-Allow-Methods", "POST, OPTIONS"),
            ("Access-Control-Allow-Headers", "content-type, accept"),
            ("Access-Control-Max-Age", PREFLIGHT_AGE),
        ),
    )


# POST verify: our order of checks, a wrong solution or secret claims nothing (captchaapi.md 10.4)


async def _verify(head: RequestHead, own: Endpoints) -> Response:
    site = _site_of_secret(head.header("authorization"), own)
    if site is None:
        return _refused(401, "invalid_secret", cors={"WWW-Authenticate": "Bearer"}, over_limit=False)
    request = await _json_body()
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
        case Failed(codes=codes):
            return _verified("invalid_solution" if "invalid_solution" in codes else "invalid_token")
        case Solved() as solved:
            pass
    match await Claim(solved.claim_key, solved.until, now):
        case ClaimResult.WON:
            return _verified(None)
        case ClaimResult.LOST:
            return _verified("invalid_token")
        case ClaimResult.STORE_DOWN:
            return _refused(503, "unavailable", over_limit=False, retry_after=5)


def _site_of_secret(authorization: str | None, own: Endpoints) -> Site | None:
    """The site whose secret this is. Every secret is compared, in constant time."""
    scheme, _, presented = (authorization or "").partition(" ")
    found = None
    for site in own.sites.values():
        for secret in site.secrets:
            if hmac.compare_digest(presented.strip().encode(), secret.reveal().encode()):
                found = site
    return found if scheme.lower() == "bearer" else None


def _verified(error_code: str | None) -> Response:
    return _answer(200, {"success": error_code is None, "error_code": error_code, "over_limit": False})


# Bodies and answers


async def _json_body() -> dict[str, Any] | None:
    """The request's JSON object, None for anything else."""
    body = bytearray()
    while True:
        match await ReadBody(MAX_BODY):
            case bytes() | LastPiece() as read:
                body += read if isinstance(read, bytes) else read.content
                if len(body) > MAX_BODY:
                    return None
                if isinstance(read, LastPiece):
                    break
            case BodyEnd.COMPLETE:
                break
            case _:
                return None
    try:
        value = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _answer(status: int, members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(members, separators=(",", ":")).encode()
    return Response(status, (*_JSON, *(headers or {}).items(), ("Content-Length", str(len(body)))), body)


def _refused(
    status: int,
    error_code: str,
    *,
    cors: Mapping[str, str] | None = None,
    retry_after: int | None = None,
    **members: Any,
) -> Response:
    headers = dict(cors or {})
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
        members["retry_after"] = retry_after
    return _answer(status, {"success": False, "error_code": error_code, **members}, headers)


def _not_found() -> Response:
    return _refused(404, "not_found")


def _method_not_allowed(allow: str) -> Response:
    return _refused(405, "method_not_allowed", cors={"Allow": allow})
