"""Prosopo Procaptcha's siteverify (procaptcha.md): `token` and `verified`, errors in an envelope of their own.

A success carries no score: beside `verified` a score of 0 means that nobody looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.siteverify.findings import SITE_TROUBLES, Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.request import Form
from caputchin_gate.messages import Response

_NOT_THE_SITES: Final = (400, "API.INVALID_SITE_KEY", "the secret is not that of the site")
_MISSING: Final = (400, "API.MISSING_BODY", "secret or token is missing")

_ERRORS: Final[Mapping[Outcome, tuple[int, str, str]]] = {
    Outcome.BAD_REQUEST: (400, "API.PARSE_ERROR", "the body is no JSON object"),
    Outcome.TOO_LARGE: (400, "API.PARSE_ERROR", "the body is too large"),
    Outcome.ENCODED: (415, "API.PARSE_ERROR", "the body is compressed"),
    Outcome.SECRET_MISSING: _MISSING,
    Outcome.RESPONSE_MISSING: _MISSING,
    Outcome.SECRET_MALFORMED: _NOT_THE_SITES,
    Outcome.SECRET_UNKNOWN: _NOT_THE_SITES,
    Outcome.SITE_MISMATCH: _NOT_THE_SITES,
    **dict.fromkeys(SITE_TROUBLES, (400, "API.SITE_KEY_NOT_REGISTERED", "the site is not served at the moment")),
    Outcome.RATE_LIMITED: (429, "API.RATE_LIMITED", "too many calls"),
    Outcome.INTERNAL: (503, "API.UNKNOWN", "nobody could tell"),
}


def _answer(finding: Finding) -> Response:
    if finding.passed is not None:
        return answer(200, {"status": "ok", "verified": True})
    match _ERRORS.get(finding.outcome):
        case (status, key, message):
            headers = {"Retry-After": str(finding.retry_after)} if finding.retry_after is not None else None
            return answer(status, {"error": {"code": status, "key": key, "message": message}}, headers)
        case None:
            score = {"score": 0} if finding.outcome is Outcome.RESPONSE_MALFORMED else {}
            return answer(200, {"status": "ok", "verified": False, **score})


PROCAPTCHA: Final = Dialect(
    "procaptcha",
    Form.JSON,
    _answer,
    response="token",
    longest_response=16384,
    remote_ip="ip",
)
