"""Caputchin: what is sent, what its settings may be (caputchin.md 1 to 3). Its replies are in `test_replies.py`."""

from __future__ import annotations

import json

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.caputchin import Caputchin
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted

SUBMISSION = Submission("eyJ2IjoxLCJzIjoiYzJWemMybHZiaTB4In0", remote_ip="203.0.113.9", email="a@example.com")


def test_the_request_holds_secret_and_response_and_nothing_else() -> None:
    verified = verify(Caputchin, SUBMISSION, secret="cpt_sec_example")
    assert verified.verdict == Passed("caputchin")
    assert verified.request.method == "POST"
    assert verified.request.body == b'{"secret":"cpt_sec_example","response":"eyJ2IjoxLCJzIjoiYzJWemMybHZiaTB4In0"}'
    assert as_sent(verified.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


def test_a_token_can_not_add_a_field_to_the_request() -> None:
    injected = 'x","secret":"cpt_sec_other","response":"y'
    verified = verify(Caputchin, Submission(injected), secret="cpt_sec_example")
    assert json.loads(verified.request.body) == {"secret": "cpt_sec_example", "response": injected}


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("", "https://caputchin.com/api/v1/siteverify"),
        ("portal", "https://caputchin.com/api/v1/siteverify"),
        ("classic", "https://api.caputchin.com/siteverify"),
        ("sdk", "https://verify.caputchin.com/v1/siteverify"),
        ("https://captcha.example/verify", "https://captcha.example/verify"),
    ],
)
def test_an_endpoint_is_a_name_or_a_url(endpoint: str, url: str) -> None:
    caputchin = Caputchin(secret="cpt_sec_example", endpoint=endpoint)
    assert caputchin.problems() == []
    assert caputchin.request(SUBMISSION).url == url


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ("cpt_pub_example", "is the public site key (cpt_pub_...)"),
        ("cpt_pat_example", "is a management token (cpt_pat_...)"),
    ],
)
def test_another_key_than_the_secret_is_refused_and_not_repeated(secret: str, what: str) -> None:
    (problem,) = Caputchin(secret=secret).problems()
    assert problem.what == what
    assert secret not in str(problem)


def test_a_secret_without_the_usual_prefix_is_a_warning() -> None:
    assert Caputchin(secret="cpt_sec_example").warnings() == []
    unusual = Caputchin(secret="another-example")
    assert unusual.problems() == []
    assert unusual.warnings() == ["secret does not look like one of this provider, which begin with cpt_sec_"]


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        ([Scripted(503)], Unavailable(Cause.STATUS, codes=("http-503",))),
        ([Scripted(pace=Pace.GONE)], Unavailable(Cause.CONNECTION)),
        ([Scripted.json({"success": False})], Failed(Reason.TOKEN_REJECTED)),
        ([Scripted(404)], Misconfigured(("http-404",))),
    ],
)
def test_it_is_asked_once_because_asking_spends_the_token(script: list[Scripted], verdict: object) -> None:
    verified = verify(Caputchin, SUBMISSION, *script, Scripted.json({"success": True}), secret="cpt_sec_example")
    assert verified.verdict == verdict
    assert len(verified.received) == 1


@pytest.mark.parametrize(
    ("typed", "checked"),
    [
        ("eyJ2IjoxfQ", "eyJ2IjoxfQ"),
        (" \r\n\teyJ2IjoxfQ \n", "eyJ2IjoxfQ"),
        ("x" * 4096, "x" * 4096),
        ("x" * 4097, Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))),
        ("two words", Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))),
        ("caf\u00e9", Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))),
        ("line\x00end", Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))),
        ("", Failed(Reason.TOKEN_MISSING, ("missing-input-response",))),
        (" \n", Failed(Reason.TOKEN_MISSING, ("missing-input-response",))),
        (None, Failed(Reason.TOKEN_MISSING, ("missing-input-response",))),
        (["eyJ2IjoxfQ"], Failed(Reason.TOKEN_MISSING, ("missing-input-response",))),
    ],
)
def test_a_token_that_can_not_be_one_is_told_without_a_call(typed: object, checked: object) -> None:
    assert Caputchin(secret="cpt_sec_example").precheck(typed) == checked
