"""captchaapi.eu's verify (captchaapi.md 5, 10): the secret is a Bearer, and `over_limit` tells of the quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.endpoints.answers import answer, refused
from caputchin_gate.endpoints.sites import NOT_SERVED
from caputchin_gate.endpoints.siteverify.findings import Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.request import BLANKS, Form, NoText
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.site_terms import Status

_REFUSALS: Final[Mapping[Outcome, tuple[int, str]]] = {
    Outcome.SECRET_MISSING: (401, "invalid_secret"),
    Outcome.SECRET_MALFORMED: (401, "invalid_secret"),
    Outcome.SECRET_UNKNOWN: (401, "invalid_secret"),
    Outcome.SITE_SUSPENDED: NOT_SERVED[Status.SUSPENDED],
    Outcome.SITE_DEACTIVATED: NOT_SERVED[Status.DEACTIVATED],
    Outcome.SITE_INACTIVE: NOT_SERVED[Status.INACTIVE],
    Outcome.TOO_LARGE: (413, "invalid_token"),
    Outcome.ENCODED: (415, "invalid_token"),
    Outcome.RESPONSE_UNSOLVED: (200, "invalid_solution"),
    Outcome.RATE_LIMITED: (429, "rate_limited"),
    Outcome.INTERNAL: (503, "unavailable"),
}
_RETRY_INTERNAL: Final = 5


def _answer(finding: Finding) -> Response:
    if finding.passed is not None:
        return answer(200, {"success": True, "error_code": None, "over_limit": finding.over_limit})
    status, code = _REFUSALS.get(finding.outcome, (200, "invalid_token"))
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    retry_after = finding.retry_after if status != 503 else _RETRY_INTERNAL
    return refused(status, code, headers=headers, over_limit=finding.over_limit, retry_after=retry_after)


def _bearer(head: RequestHead) -> str | NoText:
    scheme, _, presented = (head.header("authorization") or "").partition(" ")
    secret = presented.strip(BLANKS)
    return secret if secret and scheme.lower() == "bearer" else NoText.MISSING


CAPTCHAAPI: Final = Dialect(
    "captchaapi",
    Form.JSON,
    _answer,
    secret_in_head=_bearer,
    reports_quota=True,
)
