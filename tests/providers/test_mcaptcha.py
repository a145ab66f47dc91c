"""mCaptcha: what is sent, and where (others.md 7). Its single replies are in `test_replies.py`."""

from __future__ import annotations

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.mcaptcha import MCaptcha
from caputchin_gate.verdict import Cause, Misconfigured, Passed, Unavailable, Verdict
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted

SETTINGS = {"secret": "secret-of-the-account", "site_key": "0123456789abcdef"}
SUBMISSION = Submission("6f1a0b7c0e5d4b8f", remote_ip="203.0.113.9")
YES = Scripted.json({"valid": True})


def test_secret_key_and_token_go_as_json_without_the_address_of_the_visitor() -> None:
    verified = verify(MCaptcha, SUBMISSION, YES, **SETTINGS)
    assert verified.verdict == Passed("mcaptcha")
    expected = b'{"secret":"secret-of-the-account","key":"0123456789abcdef","token":"6f1a0b7c0e5d4b8f"}'
    assert verified.request.body == expected
    assert as_sent(verified.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted(503), Unavailable(Cause.STATUS, codes=("http-503",))),
        (Scripted(pace=Pace.GONE), Unavailable(Cause.CONNECTION)),
        (Scripted.json({"error": "Wrong password"}, 401), Misconfigured(("Wrong password",))),
    ],
)
def test_asking_spends_the_token_so_it_is_done_once(reply: Scripted, verdict: Verdict) -> None:
    verified = verify(MCaptcha, SUBMISSION, reply, YES, **SETTINGS)
    assert verified.verdict == verdict
    assert len(verified.received) == 1


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://mcaptcha.example", "https://mcaptcha.example/api/v1/pow/siteverify"),
        ("https://mcaptcha.example/", "https://mcaptcha.example/api/v1/pow/siteverify"),
        ("https://mcaptcha.example/below/verify", "https://mcaptcha.example/below/verify"),
    ],
)
def test_the_host_of_an_instance_is_enough(endpoint: str, url: str) -> None:
    assert MCaptcha(endpoint=endpoint, **SETTINGS).url == url


def test_instance_and_site_key_have_to_be_typed() -> None:
    assert [str(problem) for problem in MCaptcha(secret="secret-of-the-account").problems()] == [
        "endpoint: is missing; set it to the URL of your own instance",
        "site_key: is missing; set it to the public key of the site, as its pages name it",
    ]
