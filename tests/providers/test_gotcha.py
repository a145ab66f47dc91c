"""GotCHA: the tests of gotcha.md 7 that concern the request and the settings. Its replies are in `test_replies.py`."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.gotcha import GOTCHA_DOCUMENTED_URL, GotCHA
from caputchin_gate.verdict import Passed
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Scripted

SECRET = base64.b64encode(bytes(range(48))).decode()
TOKEN = "eyJ0eXAi.eyJleHAi.c2ln"
YES = Scripted.json({"success": True})


def test_8_the_request_is_a_form_by_our_agent_without_the_address_of_the_visitor() -> None:
    verified = verify(GotCHA, Submission(TOKEN, remote_ip="203.0.113.9"), YES, secret="c2Vj+ZXQ/example==")
    assert verified.verdict == Passed("gotcha")
    assert verified.request.body == b"secret=c2Vj%2BZXQ%2Fexample%3D%3D&response=eyJ0eXAi.eyJleHAi.c2ln"
    assert as_sent(verified.request) == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("203.0.113.9", [("remoteip", "203.0.113.9")]),
        ("2001:db8::1", [("remoteip", "2001:db8::1")]),
        ("unknown", []),
        ("", []),
        (None, []),
    ],
)
def test_the_address_is_sent_when_it_is_wanted_and_is_one(address: str | None, sent: list[tuple[str, str]]) -> None:
    verified = verify(GotCHA, Submission(TOKEN, remote_ip=address), YES, secret=SECRET, send_remote_ip=True)
    assert parse_qsl(verified.request.body.decode())[2:] == sent


def test_a_token_can_not_add_a_field_to_the_request() -> None:
    verified = verify(GotCHA, Submission("token&secret=other&response=x"), YES, secret=SECRET)
    assert parse_qsl(verified.request.body.decode()) == [
        ("secret", SECRET),
        ("response", "token&secret=other&response=x"),
    ]


def test_the_default_is_the_documented_host_over_tls() -> None:
    assert GotCHA(secret=SECRET).url == "https://api.gotcha.land/api/siteverify"
    assert GotCHA(secret=SECRET).problems() == []


@pytest.mark.parametrize("endpoint", ["documented", GOTCHA_DOCUMENTED_URL, "http://gotcha.example/api/siteverify"])
def test_7_a_plain_http_url_is_a_problem_that_names_the_setting(endpoint: str) -> None:
    (problem,) = GotCHA(secret=SECRET, endpoint=endpoint).problems()
    assert problem.setting == "endpoint"
    assert "allow_http = true" in problem.fix


def test_the_documented_url_is_one_setting_away_and_a_warning() -> None:
    documented = GotCHA(secret=SECRET, endpoint="documented", allow_http=True)
    assert documented.problems() == []
    assert documented.url == GOTCHA_DOCUMENTED_URL
    assert documented.warnings() == ["endpoint is http: secret and tokens travel unencrypted"]


def test_the_gate_has_to_claim_its_tokens_for_longer_than_one_lives() -> None:
    assert not GotCHA.single_use
    assert GotCHA.remember == 300
