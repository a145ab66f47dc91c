"""hCaptcha: what is sent (others.md 3). Its single replies are in `test_replies.py`."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.hcaptcha import HCaptcha
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted

SECRET = "ES_0123456789abcdef"
TOKEN = "P1_eyJ0eXAiOiJKV1Qi.c2ln"
SITE_KEY = "7f3b1c2d-0000-4000-8000-0123456789ab"
YES = Scripted.json({"success": True})


def test_the_request_is_a_form_without_the_address_of_the_visitor() -> None:
    verified = verify(HCaptcha, Submission(TOKEN, remote_ip="203.0.113.9"), YES, secret=SECRET)
    assert verified.verdict == Passed("hcaptcha")
    assert verified.request.body == b"secret=ES_0123456789abcdef&response=P1_eyJ0eXAiOiJKV1Qi.c2ln"
    assert as_sent(verified.request) == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


@pytest.mark.parametrize(
    ("settings", "address", "sent"),
    [
        ({"site_key": SITE_KEY}, "203.0.113.9", [("sitekey", SITE_KEY)]),
        ({"send_remote_ip": True}, "2001:db8::1", [("remoteip", "2001:db8::1")]),
        ({"send_remote_ip": True}, "unknown", []),
        ({"send_remote_ip": True}, None, []),
    ],
)
def test_the_site_key_binds_the_token_and_the_address_is_sent_when_it_is_wanted(
    settings: dict[str, object], address: str | None, sent: list[tuple[str, str]]
) -> None:
    verified = verify(HCaptcha, Submission(TOKEN, remote_ip=address), YES, secret=SECRET, **settings)
    assert parse_qsl(verified.request.body.decode())[2:] == sent


def test_a_token_can_not_add_a_field_to_the_request() -> None:
    hostile = "token&secret=other&response=x"
    verified = verify(HCaptcha, Submission(hostile), YES, secret=SECRET)
    assert parse_qsl(verified.request.body.decode()) == [("secret", SECRET), ("response", hostile)]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted(503), Unavailable(Cause.STATUS, codes=("http-503",))),
        (Scripted(pace=Pace.GONE), Unavailable(Cause.CONNECTION)),
        (
            Scripted.json({"success": False, "error-codes": ["invalid-input-secret"]}),
            Misconfigured(("invalid-input-secret",)),
        ),
    ],
)
def test_asking_spends_the_token_so_it_is_done_once(reply: Scripted, verdict: Verdict) -> None:
    verified = verify(HCaptcha, Submission(TOKEN), reply, YES, secret=SECRET)
    assert verified.verdict == verdict
    assert len(verified.received) == 1


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_tokens_of_the_test_keys_are_not_asked_about_unless_they_are_allowed(number: int) -> None:
    token = f"{number}0000000-aaaa-bbbb-cccc-00000000000{number}"
    assert HCaptcha(secret=SECRET).precheck(token) == Failed(Reason.TOKEN_ELSEWHERE, ("test-site-key",))
    assert HCaptcha(secret=SECRET, allow_test_keys=True).precheck(token) == token


def test_no_route_can_rely_on_the_hostname_which_is_no_check_of_security() -> None:
    assert "hostnames" not in HCaptcha.reports
