"""captchaapi.eu: what is sent and what is checked before (captchaapi.md 5, and the client's part of 12)."""

from __future__ import annotations

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.captchaapi import CaptchaApi
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted

TOKEN = "k3Jd82hSbq0ZpLw7Vt5RyNc1XeMf64Ua"
SUBMISSION = Submission(f"{TOKEN}.1133", remote_ip="203.0.113.9")
YES = Scripted.json({"success": True, "error_code": None, "over_limit": False})


def test_the_secret_is_a_bearer_and_the_body_holds_the_response_alone() -> None:
    verified = verify(CaptchaApi, SUBMISSION, YES, secret="sk_live_demo")
    assert verified.verdict == Passed("captchaapi")
    assert verified.request.body == b'{"response":"k3Jd82hSbq0ZpLw7Vt5RyNc1XeMf64Ua.1133"}'
    assert as_sent(verified.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
        "Authorization": "Bearer sk_live_demo",
    }


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted(503), Unavailable(Cause.STATUS, codes=("http-503",))),
        (Scripted(pace=Pace.GONE), Unavailable(Cause.CONNECTION)),
        (Scripted.json({"success": False, "error_code": "invalid_secret"}, 401), Misconfigured(("invalid_secret",))),
    ],
)
def test_12_an_outage_or_a_wrong_secret_is_told_after_exactly_one_call(reply: Scripted, verdict: object) -> None:
    verified = verify(CaptchaApi, SUBMISSION, reply, YES, secret="sk_live_demo")
    assert verified.verdict == verdict
    assert len(verified.received) == 1


def test_12_a_project_over_its_quota_still_passes_and_warns() -> None:
    over = Scripted.json({"success": True, "error_code": None, "over_limit": True})
    verdict = verify(CaptchaApi, SUBMISSION, over, secret="sk_live_demo").verdict
    assert isinstance(verdict, Passed)
    assert verdict.details["over_limit"] is True
    assert "quota" in verdict.details["warning"]


SOLUTIONS = {
    "0": True,
    "7": True,
    "1133": True,
    "9" * 20: True,
    "9" * 21: False,
    "": False,
    "01": False,
    "00": False,
    "+1": False,
    "-1": False,
    "1.0": False,
    "1e3": False,
    "0x1": False,
    "1_000": False,
    "1 ": True,  # blanks around the whole value are cut, as around every token
    " 1": False,
    "\u0661": False,
    "\u00b2": False,
}


@pytest.mark.parametrize(("solution", "possible"), SOLUTIONS.items())
def test_a_solution_is_a_plain_decimal_number(solution: str, possible: bool) -> None:
    typed = f"{TOKEN}.{solution}"
    malformed = Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))
    checked = CaptchaApi(secret="sk_live_demo").precheck(typed)
    assert checked == (typed.strip() if possible else malformed)


@pytest.mark.parametrize(
    ("pattern", "typed", "possible"),
    [
        ("[A-Za-z0-9_-]{16,128}", f"{TOKEN}.1", True),
        ("[A-Za-z0-9_-]{16,128}", "short.1", False),
        ("[A-Za-z0-9_-]{16,128}", "x" * 129 + ".1", False),
        ("[A-Za-z0-9_-]{16,128}", TOKEN, False),
        ("[A-Za-z0-9_-]{16,128}", "attestation-of-the-old-edition.c2lnbmF0dXJl", False),
        ("[0-9a-f]{8}|[0-9a-f]{16}", "0123abcd.1", True),
        ("[0-9a-f]{8}|[0-9a-f]{16}", f"{TOKEN}.1", False),
    ],
)
def test_the_part_before_the_dot_has_a_pattern_of_its_own(pattern: str, typed: str, possible: bool) -> None:
    checked = CaptchaApi(secret="sk_live_demo", token_pattern=pattern).precheck(typed)
    assert isinstance(checked, str) is possible


def test_a_pattern_that_is_none_and_a_public_key_are_problems_at_once() -> None:
    problems = CaptchaApi(secret="pk_live_demo", token_pattern="[").problems()
    assert [str(problem) for problem in problems] == [
        "secret: is the public site key (pk_live_...); use the secret key",
        "token_pattern: is not a regular expression; leave it out for the default",
    ]
