"""What an ALTCHA Sentinel has verified and signed, checked without asking it (others.md 6.4)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from altcha_payloads import HOME, NOW, VECTORS, encoded, engine, respelt, solved

from caputchin_gate import Gate
from caputchin_gate.engines import Solved
from caputchin_gate.engines.altcha.server_signature import ServerSignatures
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import PassOn
from caputchin_gate.secret import Secret
from caputchin_gate.verdict import Reason
from tests.siteverify_server import Scripted, SiteverifyServer

SIGNED = VECTORS["server_signature"]
SIGNATURES = ServerSignatures(Secret(VECTORS["secret"]))


def statement(data: str = SIGNED["verificationData"], algorithm: str = "SHA-256", **changes: Any) -> str:
    name = algorithm.replace("-", "").lower()
    digest = hashlib.new(name, data.encode()).digest()
    signature = hmac.new(VECTORS["secret"].encode(), digest, name).hexdigest()
    whole = {"algorithm": algorithm, "verificationData": data, "signature": signature, "verified": True}
    return encoded(whole | changes)


def judge(value: str, now: float = NOW, action: str = "") -> Any:
    judged = SIGNATURES.check(value, now=now, client=HOME, action=action)
    return judged if isinstance(judged, Solved) else (judged.reason, judged.codes[0])


def test_the_vector_of_a_server_signature() -> None:
    judged = judge(encoded({**SIGNED, "verified": True}))
    assert isinstance(judged, Solved)
    assert (judged.issued_at, judged.site_key) == (1700000000, "")
    assert judged.until >= 4102444800 + 60


DATA = SIGNED["verificationData"]
MALFORMED, REJECTED = (Reason.TOKEN_MALFORMED, "invalid-payload"), (Reason.TOKEN_REJECTED, "invalid-signature")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (statement(algorithm="SHA-512"), Solved),
        (statement(algorithm="SHA-1"), MALFORMED),
        (statement(algorithm="MD5"), MALFORMED),
        (encoded({**SIGNED, "verified": True, "algorithm": "SHA-512"}), REJECTED),
        (encoded({**SIGNED, "verified": True, "algorithm": "SHA-384"}), MALFORMED),
        (statement(signature="0" * 64), REJECTED),
        (statement(signature=hmac.new(b"altcha-test-secret", DATA.encode(), "sha256").hexdigest()), REJECTED),
        (encoded({**SIGNED, "verified": True, "verificationData": DATA.replace("abc123", "abc124")}), REJECTED),
        (statement(verified=False), MALFORMED),
        (statement(verified=1), MALFORMED),
        (statement(DATA.replace("verified=true", "verified=false")), MALFORMED),
        (statement(DATA.replace("&id=abc123", "")), MALFORMED),
        (statement(DATA.replace("&id=abc123", ""), id="abc123"), MALFORMED),
        (statement(DATA.replace("expire=4102444800&", "")), MALFORMED),
        (statement(DATA + "&expire=1"), MALFORMED),
        (statement(DATA + "&time=2"), MALFORMED),
        (statement(DATA.replace("1700000000", str(NOW + 31))), REJECTED),
        (statement(DATA.replace("4102444800", str(NOW))), (Reason.TOKEN_EXPIRED, "expired")),
        (statement(DATA + "&fieldsHash=00"), (Reason.TOKEN_REJECTED, "fields-not-checked")),
        (solved(engine()), MALFORMED),
        ("garbage", MALFORMED),
    ],
)
def test_a_statement_counts_if_the_sentinel_signed_all_that_it_says(value: str, expected: object) -> None:
    judged = judge(value)
    assert isinstance(judged, Solved) if expected is Solved else judged == expected


def test_a_statement_knows_no_action() -> None:
    assert judge(statement(), action="login") == (Reason.TOKEN_ELSEWHERE, "action-mismatch")


def test_a_statement_without_a_time_is_as_old_as_can_be() -> None:
    judged = judge(statement(DATA.replace("&time=1700000000", "")))
    assert isinstance(judged, Solved)
    assert judged.issued_at == 0


def test_one_verification_is_one_token_whatever_stands_beside_it() -> None:
    values = [
        statement(),
        statement(id="x"),
        statement(apiKey="x"),
        statement(algorithm="SHA-512"),
        *respelt(statement()),
    ]
    assert len({judge(value).claim_key for value in values}) == 1
    assert judge(statement(DATA.replace("abc123", "abc124"))).claim_key != judge(statement()).claim_key


@pytest.mark.parametrize("first", ["/checked", "/asked"])
def test_one_statement_is_used_once_whether_it_is_checked_here_or_asked_about(first: str) -> None:
    secret = VECTORS["secret"]
    with SiteverifyServer([Scripted.json({"verified": True})]) as sentinel:
        gate = Gate(
            provider="altcha",
            verification="in-process",
            store="memory",
            providers={
                "asked": {"kind": "altcha", "secret": secret, "endpoint": sentinel.url, "allow_http": True},
            },
            route=[{"match": "POST /checked"}, {"match": "POST /asked", "provider": ["asked"]}],
            in_process={"altcha": {"sentinel_secret": secret}},
        )

        def reason(path: str) -> Reason | None:
            ruling = gate.handle(RequestHead("POST", path, headers={"x-caputchin-token": (statement(),)}))
            return None if isinstance(ruling, PassOn) or ruling.decision is None else ruling.decision.reason

        second = {"/checked": "/asked", "/asked": "/checked"}[first]
        assert [reason(first), reason(second), reason(first)] == [Reason.VERIFIED] + [Reason.TOKEN_USED] * 2
