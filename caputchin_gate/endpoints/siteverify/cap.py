"""Cap Standalone's siteverify (cap.md 4): the status tells what went wrong, and `error` is a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.siteverify.findings import SITE_TROUBLES, Dialect, Finding, Outcome
from caputchin_gate.endpoints.siteverify.request import Form
from caputchin_gate.messages import Response

_MISSING: Final = (400, "Missing required parameters")
_NOT_FOUND: Final = (404, "Token not found")
_WRONG_SECRET: Final = (403, "Invalid site key or secret")
_OTHER_SITE: Final = (404, "Invalid site key or secret")

_ANSWERS: Final[Mapping[Outcome, tuple[int, str]]] = {
    Outcome.BAD_REQUEST: _MISSING,
    Outcome.TOO_LARGE: (413, "Request body too large"),
    Outcome.ENCODED: (415, "Unsupported content encoding"),
    Outcome.RATE_LIMITED: (429, "Rate limit exceeded"),
    Outcome.SECRET_MISSING: _MISSING,
    Outcome.SECRET_MALFORMED: _MISSING,
    Outcome.SECRET_UNKNOWN: _WRONG_SECRET,
    **dict.fromkeys(SITE_TROUBLES, _WRONG_SECRET),
    Outcome.SITE_UNKNOWN: _OTHER_SITE,
    Outcome.SITE_MISMATCH: _OTHER_SITE,
    Outcome.RESPONSE_MISSING: _MISSING,
    Outcome.RESPONSE_MALFORMED: _NOT_FOUND,
    Outcome.RESPONSE_UNKNOWN: _NOT_FOUND,
    Outcome.RESPONSE_UNSOLVED: _NOT_FOUND,
    Outcome.RESPONSE_USED: _NOT_FOUND,
    Outcome.RESPONSE_EXPIRED: (403, "Token expired"),
    Outcome.ADDRESS_MISMATCH: _NOT_FOUND,
    Outcome.ACTION_MISMATCH: _NOT_FOUND,
    Outcome.INTERNAL: (500, "Internal error"),
}

# A response that is no token of Cap's is told before these. One that is right is good here whatever its shape is.
_SHAPE_FIRST: Final = frozenset({Outcome.SECRET_UNKNOWN, Outcome.SITE_UNKNOWN, Outcome.RESPONSE_MALFORMED})


def _answer(finding: Finding) -> Response:
    if finding.passed is not None:
        return answer(200, {"success": True})
    status, error = _ANSWERS[finding.outcome]
    if finding.outcome in _SHAPE_FIRST and not _names_a_site(finding.response):
        status, error = _MISSING
    headers = {"Retry-After": str(finding.retry_after)} if finding.retry_after is not None else None
    return answer(status, {"success": False, "error": error}, headers)


def _names_a_site(response: str) -> bool:
    return response.count(":") == 2


def _named_site(in_path: str | None, response: str) -> str | None:
    """A redeem token begins with its site, which has to be the path's."""
    if not _names_a_site(response):
        return in_path
    in_token = response.partition(":")[0]
    return in_token if in_path in (None, in_token) else ""


# The visitor's address is no business of Cap's servers; here it counts where the settings require it.
CAP: Final = Dialect(
    "cap",
    Form.JSON | Form.URLENCODED | Form.QUERY,
    _answer,
    named_site=_named_site,
    compares_if_known=False,
)
