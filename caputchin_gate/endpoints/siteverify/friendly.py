"""Friendly Captcha's siteverify, version 2 (others.md 5): the secret is the header X-API-Key."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.siteverify.findings import SITE_TROUBLES, Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.recaptcha import timestamp
from caputchin_gate.endpoints.siteverify.request import BLANKS, Form, NoText
from caputchin_gate.messages import RequestHead, Response

_NOT_OURS: Final = (401, "auth_invalid", "the API key is not known")
_OTHER_SITE: Final = (400, "sitekey_invalid", "the site key is not that of the API key")
_INVALID: Final = (200, "response_invalid", "the response is not right")

_ERRORS: Final[Mapping[Outcome, tuple[int, str, str]]] = {
    Outcome.BAD_REQUEST: (400, "bad_request", "the body can't be read"),
    Outcome.TOO_LARGE: (400, "bad_request", "the body is too large"),
    Outcome.ENCODED: (415, "bad_request", "the body is compressed"),
    Outcome.SECRET_MISSING: (401, "auth_required", "the header X-API-Key is missing"),
    Outcome.SECRET_MALFORMED: _NOT_OURS,
    Outcome.SECRET_UNKNOWN: _NOT_OURS,
    **dict.fromkeys(SITE_TROUBLES, (401, "auth_invalid", "the site is not served at the moment")),
    Outcome.RESPONSE_MISSING: (400, "response_missing", "there is no response"),
    Outcome.RESPONSE_USED: (200, "response_duplicate", "already verified"),
    Outcome.RESPONSE_EXPIRED: (200, "response_timeout", "too late"),
    Outcome.SITEKEY_MISMATCH: _OTHER_SITE,
    Outcome.RATE_LIMITED: (429, "rate_limited", "too many calls"),
    Outcome.INTERNAL: (503, "internal_error", "nobody could tell"),
}


def _answer(finding: Finding) -> Response:
    if (passed := finding.passed) is not None:
        # The scheme of the page is not kept, and browsers solve on secure pages alone.
        origin = f"https://{passed.hostname}" if passed.hostname is not None else ""
        challenge = {"timestamp": timestamp(passed), "origin": origin}
        # A token passes once, so it names the call too. Version 0.3 of the client for Python insists on a name.
        event = "ev_" + blake2b(finding.response.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return answer(
            200, {"success": True, "data": {"event_id": event, "challenge": challenge, "risk_intelligence": None}}
        )
    status, code, detail = _ERRORS.get(finding.outcome, _INVALID)
    if finding.outcome is Outcome.SITE_MISMATCH and finding.named:
        status, code, detail = _OTHER_SITE
    headers = {"Retry-After": str(finding.retry_after)} if finding.retry_after is not None else None
    return answer(status, {"success": False, "error": {"error_code": code, "detail": detail}}, headers)


def _api_key(head: RequestHead) -> str | NoText:
    key = (head.header("x-api-key") or "").strip(BLANKS)
    return key if key else NoText.MISSING


FRIENDLY: Final = Dialect(
    "friendly",
    Form.JSON | Form.URLENCODED,
    _answer,
    secret_in_head=_api_key,
    site_key="sitekey",
)
