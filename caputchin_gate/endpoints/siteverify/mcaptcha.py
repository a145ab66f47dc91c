"""mCaptcha's siteverify (others.md 7): `token`, `key` and `valid`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.siteverify.findings import SITE_TROUBLES, Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.request import Form
from caputchin_gate.messages import Response

_MISSING: Final = (400, "secret, key or token is missing")
_WRONG_SECRET: Final = (401, "Wrong password")

_ERRORS: Final[Mapping[Outcome, tuple[int, str]]] = {
    Outcome.BAD_REQUEST: _MISSING,
    Outcome.TOO_LARGE: (400, "the body is too large"),
    Outcome.ENCODED: (415, "the body is compressed"),
    Outcome.SECRET_MISSING: _MISSING,
    Outcome.RESPONSE_MISSING: _MISSING,
    Outcome.SECRET_MALFORMED: _WRONG_SECRET,
    Outcome.SECRET_UNKNOWN: _WRONG_SECRET,
    **dict.fromkeys(SITE_TROUBLES, _WRONG_SECRET),
    Outcome.SITEKEY_MISMATCH: (404, "Captcha not found."),
    Outcome.RATE_LIMITED: (429, "too many calls"),
    Outcome.INTERNAL: (503, "nobody could tell"),
}


def _answer(finding: Finding) -> Response:
    if finding.passed is not None:
        return answer(200, {"valid": True})
    match _ERRORS.get(finding.outcome):
        case (status, error):
            headers = {"Retry-After": str(finding.retry_after)} if finding.retry_after is not None else None
            return answer(status, {"error": error}, headers)
        case None:
            return answer(200, {"valid": False})


MCAPTCHA: Final = Dialect(
    "mcaptcha",
    Form.JSON,
    _answer,
    response="token",
    site_key="key",
    needs_site_key=True,
)
