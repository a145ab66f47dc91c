"""ALTCHA Sentinel: the request, and what makes two payloads the same. Its replies are in `test_replies.py`."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from caputchin_gate import __version__
from caputchin_gate.clock import Clock
from caputchin_gate.effects import Call, Claim, Claimed, ClaimResult
from caputchin_gate.messages import HttpReply
from caputchin_gate.providers import Submission
from caputchin_gate.providers.altcha import Altcha
from caputchin_gate.verdict import Failed, Passed, Reason, Verdict
from caputchin_gate.verification import Demands, InFlight, Verification, Visitor, verify
from tests.conversation import Conversation
from tests.providers.conversations import as_sent
from tests.providers.conversations import verify as ask
from tests.siteverify_server import Scripted

NOW = 1_800_000_000.0
CLOCK = Clock(now=lambda: NOW, monotonic=lambda: NOW, random_bytes=bytes)
SECRET = "altcha-test-secret"
SIGNED = "classification=GOOD&expire=4102444800&id=abc123&score=1.5&time=1700000000&verified=true"
SIGNATURE = "1c848395c6273d4cdd7bbf297da505f022351056387fe1e64bc89673e2210d80"
SENTINEL = Altcha(secret=SECRET, endpoint="https://sentinel.example")


def payload(**changes: Any) -> dict[str, Any]:
    whole = {"algorithm": "SHA-256", "verificationData": SIGNED, "signature": SIGNATURE, "verified": True}
    return {name: value for name, value in (whole | changes).items() if value is not None}


def encoded(said: object, **dumping: Any) -> str:
    return base64.b64encode(json.dumps(said, **dumping).encode()).decode()


TOKEN = encoded(payload())


def test_the_request_is_json_with_the_payload_as_it_came() -> None:
    asked = ask(Altcha, Submission(TOKEN, remote_ip="203.0.113.9"), Scripted.json({"verified": True}), secret=SECRET)
    assert asked.verdict == Passed("altcha")
    assert json.loads(asked.request.body) == {"payload": TOKEN, "secret": SECRET}
    assert as_sent(asked.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://sentinel.example", "https://sentinel.example/v1/verify/signature"),
        ("https://sentinel.example/", "https://sentinel.example/v1/verify/signature"),
        ("https://sentinel.example:8443", "https://sentinel.example:8443/v1/verify/signature"),
        ("https://proxy.example/sentinel/v1/verify/signature", "https://proxy.example/sentinel/v1/verify/signature"),
        ("", ""),
        ("https://[::1", "https://[::1"),
    ],
)
def test_the_host_of_a_sentinel_is_enough(endpoint: str, url: str) -> None:
    assert Altcha(secret=SECRET, endpoint=endpoint).url == url


def test_there_is_no_sentinel_for_everybody() -> None:
    assert [problem.setting for problem in Altcha(secret=SECRET).problems()] == ["endpoint"]
    assert SENTINEL.problems() == []


@pytest.mark.parametrize(
    "token",
    [
        "A" * 16_385,
        "not base64!",
        "A",
        encoded([payload()]),
        encoded(payload(verified=False)),
        encoded(payload(verified=1)),
        encoded(payload(verified="true")),
        encoded(payload(verified=None)),
        encoded(payload(verificationData=None)),
        encoded(payload(verificationData={"verified": True})),
        encoded(payload(verificationData=SIGNED.replace("verified=true", "verified=false"))),
        encoded(payload(verificationData=SIGNED.replace("verified=true", "verified=1"))),
        encoded(payload(verificationData=SIGNED.replace("id=abc123&", ""))),
        encoded(payload(verificationData=SIGNED.replace("id=abc123&", "id=&"))),
        encoded(payload(verificationData=SIGNED.replace("id=abc123&", ""), id="abc123")),
        encoded(payload(verificationData=SIGNED.replace("expire=4102444800&", ""))),
        encoded(payload(verificationData=SIGNED.replace("4102444800", "-1"))),
        encoded(payload(verificationData=SIGNED.replace("4102444800", "1e9"))),
        encoded(payload(verificationData=SIGNED.replace("4102444800", "\u0661"))),
        encoded(payload(verificationData=SIGNED + "&id=another")),
        encoded(payload(verificationData=SIGNED + "&verified=true")),
        encoded(payload(verificationData=SIGNED + "&x=%ff")),
        encoded(payload(verificationData=SIGNED + "&x=\ud800")),
        encoded(payload(verificationData=SIGNED + "&x=y" * 200)),
        encoded(payload(signature=SIGNATURE.upper())),
        encoded(payload(signature="")),
        encoded({"challenge": {"parameters": {}, "signature": ""}, "solution": {"counter": 0, "derivedKey": ""}}),
        base64.b64encode(b'{"verified":true,' + json.dumps(payload()).encode()[1:]).decode(),
    ],
)
def test_what_no_sentinel_has_signed_is_not_asked_about(token: str) -> None:
    assert SENTINEL.precheck(token) == Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))


def test_a_verification_of_form_fields_is_refused_because_the_gate_does_not_compare_them() -> None:
    token = encoded(payload(verificationData=SIGNED + "&fields=name&fieldsHash=" + "0" * 64))
    assert SENTINEL.precheck(token) == Failed(Reason.TOKEN_REJECTED, ("fields-not-checked",))


SPELLINGS = {
    "as it is": TOKEN,
    "without padding": TOKEN.rstrip("="),
    "with blanks": encoded(payload(), indent=1),
    "in another order": encoded(dict(reversed(payload().items()))),
    "with another outer id": encoded(payload(id="another")),
    "with an API key": encoded(payload(apiKey="key_1")),
    "with another algorithm": encoded(payload(algorithm="SHA-512")),
    "in base64url": encoded(payload(took="???>>>")).translate(str.maketrans("+/", "-_")),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_verification_is_one_token_however_it_is_spelt(spelling: str) -> None:
    token = SPELLINGS[spelling]
    assert SENTINEL.precheck(token) == token
    assert SENTINEL.identity(token) == "abc123"


def test_a_store_that_lost_its_memory_refuses_only_statements_that_may_have_been_used_before() -> None:
    """What Sentinel says about its time counts, and that clocks differ; without it nothing is known."""
    timed, untimed = TOKEN, encoded(payload(verificationData=SIGNED.replace("&time=1700000000", "")))
    assert SENTINEL.born(timed, NOW) == 1_700_000_000 - 60
    assert SENTINEL.born(untimed, NOW) == 0


def verified(token: str, claim: ClaimResult, *, known: bool = False) -> tuple[Verdict, list[bytes], float]:
    shared = Verification(CLOCK, InFlight(10))
    talk = Conversation(verify((SENTINEL,), token, "altcha", Visitor(), Demands(), shared))
    keys = [talk.expect(Claimed, known).key]
    until = 0.0
    if not known:
        talk.expect(Call, HttpReply(200, {}, b'{"verified":true}'))
        claimed = talk.expect(Claim, claim)
        keys.append(claimed.key)
        until = claimed.until
    return talk.end()[0], keys, until


def test_the_gate_claims_what_sentinel_signed_until_it_expires() -> None:
    keys = set()
    for token in SPELLINGS.values():
        verdict, asked, until = verified(token, ClaimResult.WON)
        assert verdict == Passed("altcha")
        assert until >= 4102444800
        keys |= set(asked)
    assert len(keys) == 1


def test_a_verification_that_ends_soon_is_remembered_long_enough_for_clocks_that_differ() -> None:
    token = encoded(payload(verificationData=SIGNED.replace("4102444800", str(int(NOW) + 10))))
    assert verified(token, ClaimResult.WON)[2] >= NOW + 70


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_verification_counts_once(spelling: str) -> None:
    assert verified(SPELLINGS[spelling], ClaimResult.LOST)[0] == Failed(Reason.TOKEN_USED)
    assert verified(SPELLINGS[spelling], ClaimResult.WON, known=True)[0] == Failed(Reason.TOKEN_USED)
