"""reCAPTCHA's siteverify, and those that were made after it: hCaptcha, Turnstile, Caputchin, GotCHA.

They share the shape of request and answer, and that a verdict is HTTP 200 whatever it says: clients that see another
status believe that there is none. What differs is in the tables and in the five functions (siteverify-server.md 4, 5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.siteverify.findings import SITE_TROUBLES, Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.request import Form
from caputchin_gate.messages import Response
from caputchin_gate.verdict import Passed

Codes = Mapping[Outcome, str | None]

_BAD_REQUEST: Final = "bad-request"
_NO_SECRET: Final = "invalid-input-secret"
_INVALID: Final = "invalid-input-response"
_OVER: Final = "timeout-or-duplicate"

_CODES: Final[Codes] = {
    Outcome.BAD_REQUEST: _BAD_REQUEST,
    Outcome.TOO_LARGE: _BAD_REQUEST,
    Outcome.ENCODED: _BAD_REQUEST,
    Outcome.RATE_LIMITED: "rate-limited",
    Outcome.SECRET_MISSING: "missing-input-secret",
    Outcome.SECRET_MALFORMED: _NO_SECRET,
    Outcome.SECRET_UNKNOWN: _NO_SECRET,
    Outcome.SITE_UNKNOWN: _NO_SECRET,
    **dict.fromkeys(SITE_TROUBLES, _NO_SECRET),
    Outcome.RESPONSE_MISSING: "missing-input-response",
    Outcome.RESPONSE_MALFORMED: _INVALID,
    Outcome.RESPONSE_UNKNOWN: _INVALID,
    Outcome.RESPONSE_UNSOLVED: _INVALID,
    Outcome.RESPONSE_USED: _OVER,
    Outcome.RESPONSE_EXPIRED: _OVER,
    Outcome.SITE_MISMATCH: _INVALID,
    Outcome.ADDRESS_MISMATCH: _INVALID,
    Outcome.ACTION_MISMATCH: _INVALID,
    Outcome.IDEMPOTENCY_INVALID: "invalid-idempotency-key",
    Outcome.INTERNAL: "internal-error",
}
_HCAPTCHA: Final[Codes] = {
    **_CODES,
    Outcome.RESPONSE_USED: "already-seen-response",
    Outcome.RESPONSE_EXPIRED: "expired-input-response",
    Outcome.SITE_MISMATCH: "sitekey-secret-mismatch",
    Outcome.SITEKEY_MISMATCH: "sitekey-secret-mismatch",
    Outcome.ADDRESS_UNREADABLE: "invalid-remoteip",
    Outcome.ADDRESS_MISMATCH: "invalid-remoteip",
}
_CAPUTCHIN: Final[Codes] = {**_CODES, Outcome.SITE_MISMATCH: "site-mismatch"}
_GOTCHA: Final[Codes] = {**_CODES, Outcome.ADDRESS_UNREADABLE: _BAD_REQUEST, Outcome.ADDRESS_MISMATCH: None}
_STATUSES: Final[Mapping[Outcome, int]] = {
    Outcome.ENCODED: 415,
    Outcome.RATE_LIMITED: 429,
    Outcome.INTERNAL: 503,
}

Members = dict[str, Any]


def _answers(
    codes: Codes,
    passed: Callable[[Finding, Passed], Members],
    failed: Callable[[list[str]], Members],
    statuses: Mapping[Outcome, int] = _STATUSES,
) -> Callable[[Finding], Response]:
    def answered(finding: Finding) -> Response:
        if finding.passed is not None:
            return answer(200, {"success": True, **passed(finding, finding.passed)})
        told = [code for outcome in finding.outcomes if (code := codes[outcome]) is not None]
        headers = {"Retry-After": str(finding.retry_after)} if finding.retry_after is not None else None
        return answer(statuses.get(finding.outcome, 200), {"success": False, **failed(told)}, headers)

    return answered


def timestamp(passed: Passed, timespec: str = "seconds") -> str:
    """When it was solved, as far as that is known: a native challenge tells when it was issued."""
    moment = datetime.fromtimestamp(passed.issued_at or 0, UTC)
    return moment.isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def _where(passed: Passed) -> Members:
    return {"hostname": passed.hostname} if passed.hostname is not None else {}


def _codes_alone(codes: list[str]) -> Members:
    return {"error-codes": codes}


# `error-codes` is missing on success where clients take its presence for a failure, and an empty list where they expect
# a list (siteverify-server.md 5).


def _recaptcha_passed(finding: Finding, passed: Passed) -> Members:
    """The score is a constant of the settings: work is no sign of humanity (siteverify-server.md 6)."""
    version3 = {"score": passed.score, "action": passed.action or ""} if passed.score is not None else {}
    return {"challenge_ts": timestamp(passed), **_where(passed), **version3}


def _hcaptcha_passed(finding: Finding, passed: Passed) -> Members:
    return {"challenge_ts": timestamp(passed, "microseconds"), **_where(passed)}


def _turnstile_passed(finding: Finding, passed: Passed) -> Members:
    by_test_key = {"result_with_testing_key": True} if finding.by_test_key else {}
    return {
        "error-codes": [],
        "challenge_ts": timestamp(passed, "milliseconds"),
        **_where(passed),
        "action": passed.action or "",
        "cdata": "",
        "metadata": {"interactive": False, **by_test_key},
    }


def _turnstile_failed(codes: list[str]) -> Members:
    return {"error-codes": codes, "messages": []}


def _caputchin_passed(finding: Finding, passed: Passed) -> Members:
    return {"error-codes": [], "platform": {"game_id": None, "score": None, "duration_ms": None}}


def _gotcha_passed(finding: Finding, passed: Passed) -> Members:
    return {"challenge_ts": timestamp(passed), "hostname": passed.hostname or ""}


def _gotcha_failed(codes: list[str]) -> Members:
    told = {"error-codes": codes} if codes else {}
    return {"challenge_ts": "1970-01-01T00:00:00Z", "hostname": "", **told}


RECAPTCHA: Final = Dialect(
    "recaptcha",
    Form.JSON | Form.URLENCODED | Form.MULTIPART | Form.QUERY,
    _answers(_CODES, _recaptcha_passed, _codes_alone),
    reports_action=lambda site: site.score is not None,
)
HCAPTCHA: Final = Dialect(
    "hcaptcha",
    Form.JSON | Form.URLENCODED | Form.MULTIPART | Form.QUERY,
    _answers(_HCAPTCHA, _hcaptcha_passed, _codes_alone),
    site_key="sitekey",
    readable_address=True,
)
TURNSTILE: Final = Dialect(
    "turnstile",
    Form.JSON | Form.URLENCODED | Form.MULTIPART,
    # Its clients repeat a call that was answered so, and know what the status means less well.
    _answers(_CODES, _turnstile_passed, _turnstile_failed, {**_STATUSES, Outcome.INTERNAL: 200}),
    longest_response=2048,
    idempotent=True,
    reports_action=lambda site: True,
)
CAPUTCHIN: Final = Dialect(
    "caputchin",
    Form.JSON | Form.URLENCODED,
    _answers(_CAPUTCHIN, _caputchin_passed, _codes_alone),
)
GOTCHA: Final = Dialect(
    "gotcha",
    Form.JSON | Form.URLENCODED,
    _answers(_GOTCHA, _gotcha_passed, _gotcha_failed),
    readable_address=True,
)
