"""Payloads of ALTCHA for the tests, right ones and others.

`made1` and `made2` make challenges with the keys in hand, from the description alone: what only the gate's own keys
could make and is refused all the same shows that the check does not rest on the signature alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caputchin_gate.engines import FORGED, Solved
from caputchin_gate.engines.altcha.challenges import AltchaChallenges
from caputchin_gate.engines.altcha.keys import SiteKeys
from caputchin_gate.engines.altcha.solver import solve
from caputchin_gate.engines.altcha.terms import RANDOM_BYTES
from caputchin_gate.verdict import Reason

KEY, OTHER_KEY, NEW_KEY = b"k" * 32, b"o" * 32, b"n" * 32
NOW = 1_800_000_000
RANDOM = bytes(range(RANDOM_BYTES))
HOME, AWAY = "203.0.113.9", "198.51.100.7"
VECTORS = json.loads(Path(__file__).with_name("altcha_vectors.json").read_text())
PAGE_KEYS = SiteKeys(*[VECTORS["secret"].encode()] * 3)

NO_PAYLOAD = (Reason.TOKEN_MALFORMED, ("invalid-payload",))
NOT_OURS = (FORGED.reason, FORGED.codes)
NEVER_ISSUED = (Reason.TOKEN_REJECTED, ("never-issued",))
EXPIRED = (Reason.TOKEN_EXPIRED, ("expired",))
ELSEWHERE = (Reason.TOKEN_ELSEWHERE, ("issued-elsewhere",))
UNSOLVED = (Reason.TOKEN_REJECTED, ("invalid-solution",))


def engine(*keys: bytes, site_key: str = "shop", **options: Any) -> AltchaChallenges:
    return AltchaChallenges(keys or (KEY,), site_key=site_key, **options)


def issued(challenges: AltchaChallenges, **changes: Any) -> Mapping[str, Any]:
    asked: dict[str, Any] = {"now": NOW, "random": RANDOM, "step": 1, "client": None, **changes}
    return challenges.issue(**asked)


def solved(challenges: AltchaChallenges, **changes: Any) -> str:
    return solve(issued(challenges, **changes))


def check(value: str, now: float = NOW, client: str | None = None, action: str = "", **options: Any) -> Any:
    judged = engine(**options).check(value, now=now, client=client, action=action)
    return judged if isinstance(judged, Solved) else (judged.reason, judged.codes)


def encoded(payload: object) -> str:
    return base64.b64encode(json.dumps(payload).encode()).decode()


def decoded(value: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.b64decode(value))
    return payload


def site_key(version: int, site: str = "shop", key: bytes = KEY) -> bytes:
    purpose = hmac.digest(key, f"caputchin-gate altcha version {version}".encode(), "sha256")
    return hmac.digest(purpose, site.encode(), "sha256")


def made1(salt: str, number: int = 1, key: bytes | None = None, algorithm: str = "SHA-256") -> dict[str, Any]:
    """The payload of a version 1 challenge with this salt, signed and solved."""
    name = algorithm.replace("-", "").lower()
    challenge = hashlib.new(name, f"{salt}{number}".encode()).hexdigest()
    signature = hmac.new(site_key(1) if key is None else key, challenge.encode(), name).hexdigest()
    members = {"algorithm": algorithm, "challenge": challenge, "salt": salt, "signature": signature}
    return {**members, "number": number, "took": 12}


def salt(**changes: Any) -> str:
    """A salt as the gate makes them, but for some parameters; None leaves one out."""
    said = {"expires": NOW + 120, "issued": NOW, "maxnumber": 8192, **changes}
    return "ab" * 16 + "?" + "".join(f"{name}={value}&" for name, value in said.items() if value is not None)


def signed2(parameters: Mapping[str, Any], key: bytes | None = None) -> dict[str, Any]:
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    signature = hmac.new(site_key(2) if key is None else key, text.encode(), "sha256").hexdigest()
    return {"parameters": dict(parameters), "signature": signature}


PARAMETERS: Mapping[str, Any] = {
    "algorithm": "SHA-256",
    "cost": 1,
    "data": {"issuedAt": NOW},
    "expiresAt": NOW + 120,
    "keyLength": 32,
    "keyPrefix": "000",
    "nonce": "ab" * 16,
    "salt": "cd" * 16,
}


PREFIXES = ("", "0", "00", "000")


def made2(**changes: Any) -> dict[str, Any]:
    """The payload of a version 2 challenge with these parameters, signed and, where it can be, solved."""
    parameters = {name: value for name, value in {**PARAMETERS, **changes}.items() if value is not None}
    challenge = signed2(parameters)
    if parameters.get("keyPrefix") not in PREFIXES or parameters.get("cost") not in range(1, 5000):
        return {"challenge": challenge, "solution": {"counter": 0, "derivedKey": "0" * 64, "time": 1}}
    try:
        return decoded(solve(challenge))
    except (KeyError, TypeError, ValueError):
        return {"challenge": challenge, "solution": {"counter": 0, "derivedKey": "0" * 64, "time": 1}}


def respelt(value: str) -> list[str]:
    payload = decoded(value)
    spelt = [json.dumps(payload, indent=1), json.dumps(dict(reversed(payload.items()))), json.dumps(payload | {"x": 1})]
    texts = [base64.b64encode(text.encode()).decode() for text in spelt]
    return [value, value.rstrip("="), value.translate(str.maketrans("+/", "-_")), *texts]
