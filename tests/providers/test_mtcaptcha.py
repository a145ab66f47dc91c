"""MTCaptcha: a GET whose query holds the private key (others.md 8). Its single replies are in `test_replies.py`."""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl, urlsplit

import pytest

from caputchin_gate import Gate, __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.mtcaptcha import MTCaptcha
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted, SiteverifyServer

SECRET = "MTPrivat-example"
TOKEN = "v1(6d0e,2a9f,MTPublic-example,f3:1)"
YES = Scripted.json({"success": True})


def test_private_key_and_token_are_the_query_of_a_get_without_a_body() -> None:
    verified = verify(MTCaptcha, Submission(TOKEN, remote_ip="203.0.113.9"), YES, secret=SECRET)
    assert verified.verdict == Passed("mtcaptcha")
    request = verified.request
    assert (request.method, request.body) == ("GET", b"")
    sent = "privatekey=MTPrivat-example&token=v1%286d0e%2C2a9f%2CMTPublic-example%2Cf3%3A1%29"
    assert request.target == f"/siteverify?{sent}"
    assert as_sent(request) == {"Accept": "application/json", "User-Agent": f"caputchin-gate/{__version__}"}


def test_a_token_can_not_add_a_field_to_the_request() -> None:
    hostile = "v1()&privatekey=other#x"
    verified = verify(MTCaptcha, Submission(hostile), YES, secret=SECRET)
    assert parse_qsl(urlsplit(verified.request.target).query) == [("privatekey", SECRET), ("token", hostile)]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted(503), Unavailable(Cause.STATUS, codes=("http-503",))),
        (Scripted(pace=Pace.GONE), Unavailable(Cause.CONNECTION)),
        (
            Scripted.json({"success": False, "fail_codes": ["invalid-privatekey"]}),
            Misconfigured(("invalid-privatekey",)),
        ),
        (Scripted(302, (("Location", "http://127.0.0.1:9/"),)), Unavailable(Cause.STATUS, codes=("http-302",))),
    ],
)
def test_it_is_asked_once_and_no_redirect_is_followed(reply: Scripted, verdict: Verdict) -> None:
    verified = verify(MTCaptcha, Submission(TOKEN), reply, YES, secret=SECRET)
    assert verified.verdict == verdict
    assert len(verified.received) == 1


@pytest.mark.parametrize("reply", [YES, Scripted(503), Scripted(pace=Pace.GONE), Scripted(raw=b"SSH\r\n\r\n")])
def test_nothing_tells_the_private_key_or_the_token(reply: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with SiteverifyServer([reply]) as server:
        provider = {"kind": "mtcaptcha", "secret": SECRET, "endpoint": server.url}
        gate = Gate(provider=provider, store="memory", protect=["POST /contact"])
        told = repr(gate.verify(TOKEN))
        gate.close()
    records = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for canary in (SECRET, "MTPublic-example"):
        assert canary not in told + caplog.text + records


def test_a_development_host_passes_nobody_unless_test_keys_are_allowed() -> None:
    reply = Scripted.json({"success": True, "tokeninfo": {"isDevHost": True, "hostname": "localhost"}})
    refused = verify(MTCaptcha, Submission(TOKEN), reply, secret=SECRET).verdict
    assert refused == Failed(Reason.TOKEN_ELSEWHERE, ("development-host",))
    allowed = verify(MTCaptcha, Submission(TOKEN), reply, secret=SECRET, allow_test_keys=True).verdict
    assert allowed == Passed("mtcaptcha", hostname="localhost")


def test_the_public_key_is_no_secret() -> None:
    (problem,) = MTCaptcha(secret="MTPublic-example").problems()
    assert str(problem) == "secret: is the public site key (MTPublic-...); use the secret key"
    assert MTCaptcha(secret=SECRET).warnings() == []
