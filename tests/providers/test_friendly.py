"""Friendly Captcha: what is sent (others.md 5). Its single replies are in `test_replies.py`."""

from __future__ import annotations

import json

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.friendly import FriendlyCaptcha
from caputchin_gate.verdict import Cause, Misconfigured, Passed, Unavailable, Verdict
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted

SECRET = "an-api-key-of-the-account"
TOKEN = "AQIDBAUGBwg.c2ln"
YES = Scripted.json({"success": True})


def test_the_api_key_is_a_header_and_the_body_holds_the_response_alone() -> None:
    verified = verify(FriendlyCaptcha, Submission(TOKEN, remote_ip="203.0.113.9"), YES, secret=SECRET)
    assert verified.verdict == Passed("friendly")
    assert verified.request.body == b'{"response":"AQIDBAUGBwg.c2ln"}'
    assert as_sent(verified.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
        "X-API-Key": SECRET,
    }


def test_with_a_site_key_the_token_has_to_be_of_that_site() -> None:
    verified = verify(FriendlyCaptcha, Submission(TOKEN), YES, secret=SECRET, site_key="FCexample")
    assert json.loads(verified.request.body) == {"response": TOKEN, "sitekey": "FCexample"}
    missing = "site_key is not set: tokens of all sites of the account are good here"
    assert FriendlyCaptcha(secret=SECRET).warnings() == [missing]
    assert FriendlyCaptcha(secret=SECRET, site_key="FCexample").warnings() == []


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted(503), Unavailable(Cause.STATUS, codes=("http-503",))),
        (Scripted(200), Unavailable(Cause.UNREADABLE)),
        (Scripted(pace=Pace.GONE), Unavailable(Cause.CONNECTION)),
        (Scripted(401), Misconfigured(("http-401",))),
        (
            Scripted.json({"success": False, "error": {"error_code": "auth_invalid"}}, 401),
            Misconfigured(("auth_invalid",)),
        ),
    ],
)
def test_where_its_own_clients_accept_nobody_passes_and_it_is_asked_once(reply: Scripted, verdict: Verdict) -> None:
    verified = verify(FriendlyCaptcha, Submission(TOKEN), reply, YES, secret=SECRET)
    assert verified.verdict == verdict
    assert len(verified.received) == 1


def test_there_is_an_endpoint_in_the_european_union_and_the_widget_asks_the_same() -> None:
    european = FriendlyCaptcha(secret=SECRET, endpoint="eu")
    assert european.url == "https://eu.frcapi.com/api/v2/captcha/siteverify"
    assert european.widget.attributes["data-api-endpoint"] == "eu"
    assert FriendlyCaptcha(secret=SECRET).widget.attributes["data-api-endpoint"] is None
