"""Procaptcha: the tests of procaptcha.md 7, by their numbers. Its single replies are in `test_replies.py`."""

from __future__ import annotations

import json

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.procaptcha import Procaptcha
from caputchin_gate.verdict import OUTAGES, Cause, Failed, Misconfigured, Passed, Reason, Unavailable
from tests.providers.conversations import Verified, as_sent, verify
from tests.siteverify_server import Pace, Scripted

SUBMISSION = Submission("0x0001a4f2", remote_ip="203.0.113.9")
SECRET = "secret-of-the-site"
YES = Scripted.json({"verified": True})
MALFORMED = Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))


def error(status: int, key: str) -> Scripted:
    return Scripted.json({"error": {"code": status, "key": key, "message": "localised", "data": {}}}, status)


def ask(*script: Scripted, submission: Submission = SUBMISSION, **settings: object) -> Verified:
    return verify(Procaptcha, submission, *script, secret=SECRET, **settings)


def test_14_the_request_names_the_token_token() -> None:
    verified = ask(YES)
    assert verified.verdict == Passed("procaptcha")
    assert verified.request.body == b'{"secret":"secret-of-the-site","token":"0x0001a4f2"}'
    assert as_sent(verified.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


CALLS = {
    "1 a bare yes": ([Scripted.json({"verified": True})], Passed("procaptcha"), 1),
    "2 a yes with a score": (
        [Scripted.json({"status": "ok", "verified": True, "score": 0.1})],
        Passed("procaptcha", score=0.1),
        1,
    ),
    "5 a no": ([Scripted.json({"status": "ok", "verified": False, "score": 0})], Failed(Reason.TOKEN_REJECTED), 1),
    "6 one is no yes": ([Scripted.json({"verified": 1})], Failed(Reason.TOKEN_REJECTED), 1),
    "6 text is no yes": ([Scripted.json({"verified": "true"})], Failed(Reason.TOKEN_REJECTED), 1),
    "7 the secret of another site": (
        [error(400, "API.INVALID_SITE_KEY"), YES],
        Misconfigured(("API.INVALID_SITE_KEY",)),
        1,
    ),
    "8 no key pair": (
        [error(500, "GENERAL.MISSING_SECRET_KEY"), YES],
        Misconfigured(("GENERAL.MISSING_SECRET_KEY",)),
        1,
    ),
    "9 down": ([Scripted(503)], Unavailable(Cause.STATUS, codes=("http-503",)), 2),
    "10 down for a moment": ([Scripted(503), YES], Passed("procaptcha"), 2),
    "11 a token it can not process": (
        [error(500, "API.BAD_REQUEST")],
        Failed(Reason.TOKEN_REJECTED, ("API.BAD_REQUEST",)),
        2,
    ),
    "a no after an outage": (
        [Scripted(503), Scripted.json({"verified": False})],
        Failed(Reason.TOKEN_REJECTED),
        2,
    ),
    "too many requests": ([Scripted(429), YES], Unavailable(Cause.RATE_LIMITED, codes=("http-429",)), 1),
    "a lost connection": ([Scripted(pace=Pace.GONE), YES], Unavailable(Cause.CONNECTION), 1),
    "HTML": ([Scripted(body=b"<p>"), YES], Unavailable(Cause.UNREADABLE), 1),
}


@pytest.mark.parametrize(("script", "verdict", "calls"), CALLS.values(), ids=CALLS)
def test_only_after_a_5xx_it_is_asked_once_more(script: list[Scripted], verdict: object, calls: int) -> None:
    verified = ask(*script)
    assert verified.verdict == verdict
    assert len(verified.received) == calls
    assert verified.pauses == [0.25] * (calls - 1)


def test_9_the_number_of_attempts_is_a_setting() -> None:
    assert len(ask(Scripted(503), attempts=1).received) == 1
    assert len(ask(Scripted(503), attempts=3).received) == 3


@pytest.mark.parametrize("score", [b"0", b"0.0", b"-0.0", b"0e5"])
def test_3_and_4_a_yes_with_a_score_of_zero_says_that_nobody_looked(score: bytes) -> None:
    signal = Scripted(body=b'{"status":"ok","verified":true,"score":' + score + b"}")
    outage = ask(signal).verdict
    assert outage == Unavailable(Cause.FAIL_OPEN, codes=("provider-fail-open",))
    assert Cause.FAIL_OPEN in OUTAGES
    assert ask(signal, on_fail_open="reject").verdict == Failed(Reason.TOKEN_REJECTED, ("provider-fail-open",))
    accepted = ask(signal, on_fail_open="accept").verdict
    assert isinstance(accepted, Passed)
    assert accepted.details["provider_fail_open"] is True
    assert "unchecked" in accepted.details["warning"]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"verified": True, "score": 0.3}, Passed("procaptcha", score=0.3)),
        ({"verified": True, "score": 0.5}, Passed("procaptcha", score=0.5)),
        ({"verified": True, "score": 0.51}, Failed(Reason.SCORE_TOO_LOW)),
        ({"verified": True}, Misconfigured(("score-missing",))),
        ({"verified": False, "score": 0.3}, Failed(Reason.TOKEN_REJECTED)),
        ({"verified": True, "score": 0}, Unavailable(Cause.FAIL_OPEN, codes=("provider-fail-open",))),
    ],
)
def test_a_highest_score_refuses_what_is_more_like_a_bot(answer: object, verdict: object) -> None:
    assert ask(Scripted.json(answer), max_score=0.5).verdict == verdict


TOKENS = {
    "0xABcd12": "0xABcd12",
    " 0xabcd\n": "0xabcd",
    '{"token":"0xabcd"}': "0xabcd",  # 12
    ' {"user": "x", "token": " 0xabcd "} ': "0xabcd",
    "0x" + "a" * 16382: "0x" + "a" * 16382,
    '{"token":"0x' + "a" * 16382 + '"}': "0x" + "a" * 16382,
    "0x" + "a" * 16383: MALFORMED,
    '{"token":"0x' + "a" * 16383 + '"}': MALFORMED,
    '{"token":"0xabcd","token":"0xabce"}': MALFORMED,
    '{"token":7}': MALFORMED,
    '{"token":{"token":"0xabcd"}}': MALFORMED,
    '{"response":"0xabcd"}': MALFORMED,
    '["0xabcd"]': MALFORMED,
    "{": MALFORMED,
    "0x": MALFORMED,
    "0xabcg": MALFORMED,
    "abcd": MALFORMED,
    "0X12": MALFORMED,
    "": Failed(Reason.TOKEN_MISSING, ("missing-input-response",)),
}


@pytest.mark.parametrize(("typed", "checked"), TOKENS.items(), ids=[key[:40] for key in TOKENS])
def test_12_a_token_is_hexadecimal_plain_or_in_a_json_object(typed: str, checked: object) -> None:
    assert Procaptcha(secret=SECRET).precheck(typed) == checked


@pytest.mark.parametrize(
    ("email", "sent"),
    [
        ("a.b@Example.com", {"email": "example.com"}),  # 13
        ("Example.com", {"email": "example.com"}),
        ('"odd@local"@example.com', {"email": "example.com"}),
        ("a.b@", {}),
        ("no domain at all", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_13_of_an_address_only_the_domain_is_sent(email: str | None, sent: dict[str, str]) -> None:
    verified = ask(YES, submission=Submission("0x0001a4f2", email=email))
    assert json.loads(verified.request.body) == {"secret": SECRET, "token": "0x0001a4f2", **sent}


@pytest.mark.parametrize(("wanted", "sent"), [(True, {"ip": "203.0.113.9"}), (False, {})])
def test_the_address_of_the_visitor_is_sent_when_it_is_wanted(wanted: bool, sent: dict[str, str]) -> None:
    body = json.loads(ask(YES, send_remote_ip=wanted).request.body)
    assert body == {"secret": SECRET, "token": "0x0001a4f2", **sent}


TEST_KEYS = ["5EARALUe4HXQwKo5KanZSGGKqJV4VTaytpezFwv8ZHbZewmh", "5ETtechmZkn3CUVeJX7Z511oiuiu742aHLm91D5ZZw4fqoAG"]


@pytest.mark.parametrize("key", TEST_KEYS)
def test_the_reserved_keys_let_nobody_in_unless_they_are_allowed(key: str) -> None:
    token = "0x00" + key.encode().hex().upper() + "01"
    (problem,) = Procaptcha(secret=key).problems()
    assert "public test key" in problem.what
    assert Procaptcha(secret=SECRET).precheck(token) == Failed(Reason.TOKEN_ELSEWHERE, ("test-site-key",))
    allowing = Procaptcha(secret=key, allow_test_keys=True)
    assert allowing.problems() == []
    assert allowing.precheck(token) == token
    assert allowing.warnings() == []  # that they are allowed is a warning of the gate


def test_every_wrong_setting_is_told_at_once() -> None:
    wrong = Procaptcha(
        secret="",
        endpoint="globl",
        timeout=0,
        attempts=9,
        on_fail_open="maybe",  # type: ignore[arg-type]
        max_score=2,
    )
    assert [str(problem) for problem in wrong.problems()] == [
        "secret: is missing; set it to the secret key of your account",
        "endpoint: unknown name 'globl'; did you mean 'global'?",
        "timeout: is not a time; use seconds, more than 0 and at most 60",
        "attempts: is not a number of attempts that this provider allows; use 1 to 5",
        "on_fail_open: is unknown; use 'policy', 'accept' or 'reject'",
        "max_score: is not a score; use a number from 0 to 1, where 1 is a bot",
    ]


def test_what_is_risky_is_a_warning() -> None:
    assert Procaptcha(secret=SECRET).warnings() == []
    assert len(Procaptcha(secret=SECRET, timeout=5, on_fail_open="accept").warnings()) == 2
