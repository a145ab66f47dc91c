"""siteverify, as other back ends call it, in the words of many providers (siteverify-server.md).

request.py       reads the request
core.py          decides; everything below is the same for all dialects
findings.py      what it can come to
limits.py        how often it may be called
test_keys.py     public keys for the tests of applications
idempotency.py   the same answer for the same question
paths.py         which dialect is spoken where; a file a dialect, and one for those that were made after reCAPTCHA's
"""

from __future__ import annotations

import logging
from hashlib import blake2b

from caputchin_gate.client_address import client_of
from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.sites import Endpoints
from caputchin_gate.endpoints.siteverify import test_keys
from caputchin_gate.endpoints.siteverify.core import question, settle, weigh, with_quota
from caputchin_gate.endpoints.siteverify.findings import Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.idempotency import answered_once
from caputchin_gate.events import Line, tell_broken, tell_line
from caputchin_gate.messages import RequestHead, Response


async def respond(head: RequestHead, dialect: Dialect, own: Endpoints, site_in_path: str | None = None) -> Response:
    """Answer a siteverify path. It is for servers: no page of any origin may call it, so there is no CORS."""
    match head.method.upper():
        case "POST":
            return await _verdict(head, dialect, own, site_in_path)
        case "OPTIONS":
            return Response(204, (("Allow", "POST"),))
        case _:
            return answer(405, {"success": False, "error-codes": ["bad-request"]}, {"Allow": "POST"})


async def _verdict(head: RequestHead, dialect: Dialect, own: Endpoints, site_in_path: str | None) -> Response:
    started = own.clock.monotonic()
    try:
        found, told = await _found(head, dialect, own, site_in_path)
    except Exception as failure:  # never a page of the application's, and never a success (threats.md R5)
        tell_broken(failure, "internal error in siteverify")
        found = Finding((Outcome.INTERNAL,))
        told = dialect.answer(found)
    _log(found, head, dialect, own, own.clock.monotonic() - started)
    if own.test_sites:
        return Response(told.status, (*told.headers, *test_keys.HEADER.items()), told.body)
    return told


async def _found(
    head: RequestHead, dialect: Dialect, own: Endpoints, site_in_path: str | None
) -> tuple[Finding, Response]:
    now = own.clock.now()
    match await question(head, dialect, own, site_in_path, now):
        case Finding() as found:
            pass
        case asked if asked.idempotency_key is not None:
            return await answered_once(asked, asked.idempotency_key, own)
        case asked:
            weighed = await weigh(asked, own, now)
            found = weighed if isinstance(weighed, Finding) else await settle(asked, weighed, own, now)
    found = await with_quota(found, dialect, now)
    return found, dialect.answer(found)


def _log(found: Finding, head: RequestHead, dialect: Dialect, own: Endpoints, elapsed: float) -> None:
    """One line a call. No secret, token, query or header is part of it (threats.md R35)."""
    warns = found.over_limit or found.outcome in (Outcome.INTERNAL, Outcome.RATE_LIMITED)
    level = logging.WARNING if warns else logging.INFO
    token = found.response.encode("utf-8", "surrogatepass")
    fields = {
        "dialect": dialect.name,
        "site_key": found.site.key if found.site is not None else None,
        "outcome": ",".join(found.outcomes),
        "elapsed": round(elapsed, 6),
        "caller": client_of(head, own.trusted_proxies),
        "token_digest": blake2b(token, key=own.log_key, digest_size=4).hexdigest() if token else None,
        "over_limit": found.over_limit,
    }
    tell_line(level, "siteverify", Line(f"siteverify {fields['outcome']}", fields, frozenset({"outcome"})))
