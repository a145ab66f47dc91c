"""reCAPTCHA: what is sent, and what a score decides (others.md 2). Its single replies are in `test_replies.py`."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from caputchin_gate import Gate, __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.recaptcha import ReCaptcha
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted

SECRET = "6Lexample-of-a-secret"
TOKEN = "03AGdBq2"
YES = Scripted.json({"success": True})
MISSING = Misconfigured(("score-missing",))
TOO_LOW = Failed(Reason.SCORE_TOO_LOW)


def scored(score: float) -> Scripted:
    return Scripted.json({"success": True, "score": score})


def test_the_request_is_a_form_without_the_address_of_the_visitor() -> None:
    verified = verify(ReCaptcha, Submission(TOKEN, remote_ip="203.0.113.9"), YES, secret=SECRET)
    assert verified.verdict == Passed("recaptcha")
    assert verified.request.body == b"secret=6Lexample-of-a-secret&response=03AGdBq2"
    assert as_sent(verified.request) == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


@pytest.mark.parametrize(
    ("address", "sent"),
    [("203.0.113.9", [("remoteip", "203.0.113.9")]), ("unknown", []), (None, [])],
)
def test_the_address_is_sent_when_it_is_wanted_and_is_one(address: str | None, sent: list[tuple[str, str]]) -> None:
    submission = Submission(TOKEN, remote_ip=address)
    verified = verify(ReCaptcha, submission, YES, secret=SECRET, send_remote_ip=True)
    assert parse_qsl(verified.request.body.decode())[2:] == sent


def test_a_token_can_not_add_a_field_to_the_request() -> None:
    hostile = "token&secret=other&response=x"
    verified = verify(ReCaptcha, Submission(hostile), YES, secret=SECRET)
    assert parse_qsl(verified.request.body.decode()) == [("secret", SECRET), ("response", hostile)]


@pytest.mark.parametrize(
    ("settings", "reply", "verdict"),
    [
        ({"version": "v3"}, scored(0.9), Passed("recaptcha", score=0.9)),
        ({"version": "v3"}, scored(0.4), TOO_LOW),
        ({"version": "v3"}, YES, MISSING),
        ({"version": "v3", "min_score": 0.3}, scored(0.4), Passed("recaptcha", score=0.4)),
        ({"version": "v3", "min_score": 0}, scored(0), Passed("recaptcha", score=0.0)),
        ({"version": "v2"}, scored(0.4), TOO_LOW),  # a key of version 3: its yes is no human
        ({"version": "v2"}, scored(0.9), Passed("recaptcha", score=0.9)),
        ({"version": "v2"}, YES, Passed("recaptcha")),
    ],
)
def test_in_version_3_the_score_decides_and_1_is_a_human(
    settings: dict[str, object], reply: Scripted, verdict: Verdict
) -> None:
    assert verify(ReCaptcha, Submission(TOKEN), reply, secret=SECRET, **settings).verdict == verdict


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted(503), Unavailable(Cause.STATUS, codes=("http-503",))),
        (Scripted(pace=Pace.GONE), Unavailable(Cause.CONNECTION)),
    ],
)
def test_asking_spends_the_token_so_it_is_done_once(reply: Scripted, verdict: Verdict) -> None:
    verified = verify(ReCaptcha, Submission(TOKEN), reply, YES, secret=SECRET)
    assert verified.verdict == verdict
    assert len(verified.received) == 1


def test_every_wrong_setting_is_told_at_once() -> None:
    wrong = ReCaptcha(secret=SECRET, version="v4", min_score=2)  # type: ignore[arg-type]
    assert [str(problem) for problem in wrong.problems()] == [
        "version: is unknown; use 'v2' or 'v3'",
        "min_score: is not a score; use a number from 0 to 1, where 1 is a human",
    ]


def test_where_google_com_is_blocked_there_is_another_host() -> None:
    other = ReCaptcha(secret=SECRET, endpoint="recaptcha.net")
    assert (other.problems(), other.url) == ([], "https://www.recaptcha.net/recaptcha/api/siteverify")


def test_version_3_is_a_script_that_the_page_asks_itself() -> None:
    provider = {"kind": "recaptcha", "secret": SECRET, "site_key": "6Lpublic", "version": "v3"}
    gate = Gate(provider=provider, store="memory", protect=["POST /contact"])
    address = "https://www.google.com/recaptcha/api.js?render=6Lpublic"
    assert gate.captcha_widget() == f'<script src="{address}" defer></script>'
    assert gate.captcha_widget(locale="de") == f'<script src="{address}&amp;hl=de" defer></script>'
