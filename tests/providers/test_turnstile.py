"""Turnstile: what is sent, and how often (others.md 4). Its single replies are in `test_replies.py`."""

from __future__ import annotations

import json
import re
from uuid import UUID

import pytest

from caputchin_gate import Gate, __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.turnstile import Turnstile
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable
from tests.providers.conversations import Verified, as_sent, verify
from tests.siteverify_server import Pace, Scripted, SiteverifyServer

SECRET = "0x4AAexample"
SUBMISSION = Submission("0.AbC", remote_ip="203.0.113.9", attempt_id="attempt-1")
YES = Scripted.json({"success": True, "error-codes": []})
INTERNAL = Scripted.json({"success": False, "error-codes": ["internal-error"]})
USED = Scripted.json({"success": False, "error-codes": ["timeout-or-duplicate"]})
HOSTILE = '0.AbC","secret":"other'


def ask(*script: Scripted, submission: Submission = SUBMISSION, **settings: object) -> Verified:
    return verify(Turnstile, submission, *script, secret=SECRET, **settings)


def test_the_request_is_json_with_a_key_and_without_the_address_of_the_visitor() -> None:
    verified = ask(YES)
    assert verified.verdict == Passed("turnstile")
    sent = json.loads(verified.request.body)
    assert list(sent) == ["secret", "response", "idempotency_key"]
    assert (sent["secret"], sent["response"]) == (SECRET, "0.AbC")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", sent["idempotency_key"])
    assert as_sent(verified.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


def test_a_token_can_not_add_a_field_to_the_request() -> None:
    sent = json.loads(ask(YES, submission=Submission(HOSTILE)).request.body)
    assert sent == {"secret": SECRET, "response": HOSTILE}


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::1", "unknown", None])
def test_the_address_is_sent_when_it_is_wanted_and_is_one(address: str | None) -> None:
    verified = ask(YES, submission=Submission("0.AbC", remote_ip=address), send_remote_ip=True)
    assert json.loads(verified.request.body).get("remoteip") == (None if address == "unknown" else address)


CALLS = {
    "its own trouble, then a yes": ([INTERNAL, YES], Passed("turnstile"), [0.25]),
    "its own trouble, for long": ([INTERNAL], Unavailable(Cause.STATUS, codes=("internal-error",)), [0.25] * 2),
    "down for a moment": ([Scripted(503), YES], Passed("turnstile"), [0.25]),
    "down": ([Scripted(503)], Unavailable(Cause.STATUS, codes=("http-503",)), [0.25] * 2),
    "a lost connection": ([Scripted(pace=Pace.GONE), YES], Passed("turnstile"), [0.25]),
    "connections that get lost": ([Scripted(pace=Pace.GONE)], Unavailable(Cause.CONNECTION), [0.25] * 2),
    "a no after a trouble": ([INTERNAL, USED], Failed(Reason.TOKEN_USED, ("timeout-or-duplicate",)), [0.25]),
    "a no": ([USED, YES], Failed(Reason.TOKEN_USED, ("timeout-or-duplicate",)), []),
    "too many requests": ([Scripted(429), YES], Unavailable(Cause.RATE_LIMITED, codes=("http-429",)), []),
    "HTML": ([Scripted(body=b"<p>"), YES], Unavailable(Cause.UNREADABLE), []),
}


@pytest.mark.parametrize(("script", "verdict", "pauses"), CALLS.values(), ids=CALLS)
def test_after_its_own_trouble_it_is_asked_again_with_the_same_key(
    script: list[Scripted], verdict: object, pauses: list[float]
) -> None:
    verified = ask(*script)
    assert verified.verdict == verdict
    assert verified.pauses == pauses
    assert len({request.body for request in verified.received}) == 1


def test_two_verifications_have_two_keys_and_the_attempts_of_one_have_one() -> None:
    with SiteverifyServer([INTERNAL, USED, USED]) as server:
        provider = {"kind": "turnstile", "secret": SECRET, "endpoint": server.url}
        gate = Gate(provider=provider, store="memory", protect=["POST /contact"])
        verdicts = [gate.verify("0.AbC") for _ in range(2)]
        gate.close()
        keys = [json.loads(request.body)["idempotency_key"] for request in server.received]
    assert verdicts == [Failed(Reason.TOKEN_USED, ("timeout-or-duplicate",))] * 2
    assert keys[0] == keys[1] != keys[2]
    assert {UUID(key).version for key in keys} == {4}


def test_what_test_keys_vouch_for_passes_nobody_unless_they_are_allowed() -> None:
    told = {"success": True, "hostname": "example.com", "metadata": {"result_with_testing_key": True}}
    assert ask(Scripted.json(told)).verdict == Misconfigured(("result-with-testing-key",))
    allowed = ask(Scripted.json(told), allow_test_keys=True).verdict
    assert allowed == Passed("turnstile", hostname="example.com")
    dummy = "XXXX.DUMMY.TOKEN.XXXX"
    assert Turnstile(secret=SECRET).precheck(f" {dummy}\n") == Failed(Reason.TOKEN_ELSEWHERE, ("test-site-key",))
    assert Turnstile(secret=SECRET, allow_test_keys=True).precheck(dummy) == dummy


@pytest.mark.parametrize(
    ("token", "possible"), [("x" * 2048, True), ("x" * 2049, False), ("0.A b", False), ("0.\u00e4", False)]
)
def test_a_token_has_at_most_2048_characters(token: str, possible: bool) -> None:
    checked = Turnstile(secret=SECRET).precheck(token)
    assert checked == (token if possible else Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",)))
