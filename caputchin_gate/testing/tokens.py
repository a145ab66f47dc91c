"""Tokens of a gate in hand, that verifies in process: real ones, made and solved here, without asking for a challenge.

Asking would count: after a hundred tokens in a minute a test would be refused, and each would be harder to solve.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from itertools import count
from typing import assert_never

from caputchin_gate.clock import Clock
from caputchin_gate.endpoints.cap import as_sent
from caputchin_gate.endpoints.sites import Site
from caputchin_gate.engines import LONGEST_REDEEMED, cap, native
from caputchin_gate.engines.altcha import solver as altcha_solver
from caputchin_gate.engines.altcha.terms import RANDOM_BYTES
from caputchin_gate.engines.solver import solve, solve_cap
from caputchin_gate.verdict import Reason

LONG_AGO = LONGEST_REDEEMED + 60  # seconds: older than any token lives


def made(kind: str, site: Site, clock: Clock, outcome: str, *, action: str = "", client: str | None = None) -> str:
    """A token of a site for a new outcome: verified, token-rejected or token-expired."""
    match outcome:
        case Reason.VERIFIED | Reason.TOKEN_REJECTED:
            now = clock.now()
        case Reason.TOKEN_EXPIRED:
            now = clock.now() - LONG_AGO
        case _:
            raise ValueError(f"no token comes to {outcome!r} in process: verified, token-rejected or token-expired")
    spoiled = outcome == Reason.TOKEN_REJECTED
    match kind:
        case "cap":
            return _of_cap(site, clock, now, client, spoiled=spoiled)
        case "altcha":
            return _of_altcha(site, clock, now, action, client, spoiled=spoiled)
        case _:
            return _native(site, clock, now, action, client, spoiled=spoiled)


def _native(site: Site, clock: Clock, now: float, action: str, client: str | None, *, spoiled: bool) -> str:
    nonce = clock.random_bytes(native.NONCE_BYTES)
    challenge = site.challenges.issue(now=now, nonce=nonce, step=1, client=client, action=action)
    if spoiled:
        token = challenge.token.encode()
        wrong = next(n for n in count() if not native.meets(token, str(n), challenge.target))
        return f"{challenge.token}.{wrong}"
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


def _of_altcha(site: Site, clock: Clock, now: float, action: str, client: str | None, *, spoiled: bool) -> str:
    if site.altcha is None:
        raise ValueError(f"the site {site.key!r} issues no challenges of ALTCHA")
    random = clock.random_bytes(RANDOM_BYTES)
    document = site.altcha.issue(now=now, random=random, step=1, client=client, action=action)
    value = altcha_solver.solve(document)
    if not spoiled:
        return value
    payload = json.loads(b64decode(value))
    signed = payload.get("challenge") if isinstance(payload.get("challenge"), dict) else payload
    signed["signature"] = "0" * len(signed["signature"])
    return b64encode(json.dumps(payload).encode()).decode()


def _of_cap(site: Site, clock: Clock, now: float, client: str | None, *, spoiled: bool) -> str:
    if site.cap is None:
        raise ValueError(f"the site {site.key!r} issues no challenges of Cap")
    issued = site.cap.issue(now=now, nonce=clock.random_bytes(cap.NONCE_BYTES), client=client)
    match site.cap.redeem(issued.token, solve_cap(as_sent(issued)), now=now, client=client):
        case cap.Redeemed(token=token):
            return token if not spoiled else token[:-1] + ("0" if token[-1] != "0" else "1")
        case cap.Refusal() as refusal:
            raise AssertionError(f"a right solution was refused: {refusal.value}")
        case never:
            assert_never(never)
