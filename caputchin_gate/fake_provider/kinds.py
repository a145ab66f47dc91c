"""The providers that there are fakes of: all whose siteverify the gate can ask, and all whose dialect it speaks."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode

from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.siteverify.cap import CAP
from caputchin_gate.endpoints.siteverify.captchaapi import CAPTCHAAPI
from caputchin_gate.endpoints.siteverify.findings import Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.friendly import FRIENDLY
from caputchin_gate.endpoints.siteverify.mcaptcha import MCAPTCHA
from caputchin_gate.endpoints.siteverify.procaptcha import PROCAPTCHA
from caputchin_gate.endpoints.siteverify.recaptcha import CAPUTCHIN, GOTCHA, HCAPTCHA, RECAPTCHA, TURNSTILE
from caputchin_gate.endpoints.siteverify.request import Form
from caputchin_gate.messages import Response
from caputchin_gate.providers import DEVELOPMENT

# Randomness, site key, secret, time -> a token as this provider's look.
Made = Callable[[bytes, str, str, float], str]


def _opaque(random: bytes, site_key: str, secret: str, now: float) -> str:
    return urlsafe_b64encode(random).decode()


def _native(random: bytes, site_key: str, secret: str, now: float) -> str:
    return f"{_opaque(random, site_key, secret, now)}.1"


def _hexadecimal(random: bytes, site_key: str, secret: str, now: float) -> str:
    return f"0x{random.hex()}"


def _of_cap(random: bytes, site_key: str, secret: str, now: float) -> str:
    return f"{site_key}:{random[:8].hex()}:{random[8:].hex()}"


def _of_sentinel(random: bytes, site_key: str, secret: str, now: float) -> str:
    """A signed statement (others.md 6.4)."""
    said = {"expire": int(now) + 300, "id": random.hex(), "time": int(now), "verified": "true"}
    data = urlencode(said)
    signature = hmac.digest(secret.encode(), sha256(data.encode()).digest(), "sha256").hex()
    payload = {"algorithm": "SHA-256", "verificationData": data, "signature": signature, "verified": True}
    return b64encode(json.dumps(payload).encode()).decode()


_SENTINEL_ERRORS: Final[Mapping[Outcome, tuple[int, str]]] = {
    Outcome.BAD_REQUEST: (400, "the body is no JSON object"),
    Outcome.TOO_LARGE: (400, "the body is too large"),
    Outcome.ENCODED: (400, "the body is compressed"),
    Outcome.RESPONSE_MISSING: (400, "payload is missing"),
    Outcome.SECRET_MISSING: (401, "secret is missing"),
    Outcome.SECRET_MALFORMED: (401, "secret is no text"),
    Outcome.SECRET_UNKNOWN: (401, "secret is not known"),
    Outcome.INTERNAL: (503, "nobody could tell"),
}


def _sentinel_answer(finding: Finding) -> Response:
    if finding.passed is not None:
        return answer(200, {"verified": True})
    match _SENTINEL_ERRORS.get(finding.outcome):
        case (status, error):
            return answer(status, {"error": error})
        case None:
            return answer(200, {"verified": False, "reason": finding.outcome.value})


_MTCAPTCHA_CODES: Final[Mapping[Outcome, str]] = {
    Outcome.BAD_REQUEST: "bad-request",
    Outcome.TOO_LARGE: "bad-request",
    Outcome.ENCODED: "bad-request",
    Outcome.SECRET_MISSING: "missing-input-privatekey",
    Outcome.SECRET_MALFORMED: "invalid-privatekey",
    Outcome.SECRET_UNKNOWN: "invalid-privatekey",
    Outcome.RESPONSE_MISSING: "missing-input-token",
    Outcome.RESPONSE_EXPIRED: "token-expired",
    Outcome.RESPONSE_USED: "token-duplicate-cal",
    Outcome.SITE_MISMATCH: "privatekey-mismatch-token",
}


def _mtcaptcha_answer(finding: Finding) -> Response:
    if (passed := finding.passed) is not None:
        told = {"timestampSec": int(passed.issued_at or 0), "hostname": passed.hostname, "action": passed.action}
        return answer(200, {"success": True, "tokeninfo": {"isDevHost": False, **told}})
    if finding.outcome is Outcome.INTERNAL:
        return answer(503, {"success": False, "fail_codes": []})
    return answer(200, {"success": False, "fail_codes": [_MTCAPTCHA_CODES.get(finding.outcome, "invalid-token")]})


_MTCAPTCHA: Final = Dialect("mtcaptcha", Form.QUERY, _mtcaptcha_answer, secret="privatekey", response="token")

_SENTINEL: Final = Dialect("altcha", Form.JSON, _sentinel_answer, response="payload", longest_response=16384)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one provider is asked, and what is typed for it.

    path:        of its siteverify
    token_field: of its widget, in a form
    secret:      which has the shape of its secrets
    names_site:  whether who asks names the site
    method:      of the call
    """

    dialect: Dialect
    path: str
    token_field: str
    token: Made = _opaque
    secret: str = DEVELOPMENT
    names_site: bool = False
    method: str = "POST"


KINDS: Final[Mapping[str, Kind]] = {
    "altcha": Kind(_SENTINEL, "/v1/verify/signature", "altcha", _of_sentinel),
    "cap": Kind(CAP, "/fake/siteverify", "cap-token", _of_cap, names_site=True),
    "captchaapi": Kind(
        CAPTCHAAPI, "/api/v1/captcha/verify", "captchaapi_response", _native, secret=f"sk_live_{DEVELOPMENT}"
    ),
    "caputchin": Kind(CAPUTCHIN, "/v1/siteverify", "caputchin-token", secret=f"cpt_sec_{DEVELOPMENT}"),
    "friendly": Kind(FRIENDLY, "/api/v2/captcha/siteverify", "frc-captcha-response"),
    "gotcha": Kind(GOTCHA, "/api/siteverify", "gotcha-response", secret=(DEVELOPMENT * 4)[:64]),
    "hcaptcha": Kind(HCAPTCHA, "/siteverify", "h-captcha-response"),
    "mcaptcha": Kind(MCAPTCHA, "/api/v1/pow/siteverify", "mcaptcha__token", names_site=True),
    "mtcaptcha": Kind(_MTCAPTCHA, "/mtcv1/api/checktoken", "mtcaptcha-verifiedtoken", method="GET"),
    "procaptcha": Kind(PROCAPTCHA, "/siteverify", "procaptcha-response", _hexadecimal),
    "recaptcha": Kind(RECAPTCHA, "/recaptcha/api/siteverify", "g-recaptcha-response"),
    "turnstile": Kind(TURNSTILE, "/turnstile/v0/siteverify", "cf-turnstile-response"),
}
