"""ALTCHA's challenge path as conversations (others.md 6.3), and a gate that takes its solutions once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from caputchin_gate import ConfigurationError, Gate
from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Count, Counted, ReadBody, StoreDown
from caputchin_gate.endpoints.paths import respond
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.engines import Solved
from caputchin_gate.engines.altcha import ALGORITHMS
from caputchin_gate.engines.altcha.challenges import AltchaChallenges
from caputchin_gate.engines.altcha.solver import solve
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.policy import Admit, Answer
from caputchin_gate.verdict import Failed, Passed, Reason
from tests.conversation import Conversation

NOW = 1_800_000_000.0
KEY = b"k" * 32
CLOCK = Clock(now=lambda: NOW, monotonic=lambda: NOW, random_bytes=lambda count: b"n" * count)


def own(*keys: str, bare: bool = False) -> Endpoints:
    """Pages of shop.example may ask for `shop`, pages of any origin for other sites."""
    sites = {
        key: Site(
            NativeChallenges([KEY], site_key=key),
            domains=frozenset({"shop.example"}) if key == "shop" else frozenset(),
            altcha=None if bare else AltchaChallenges([KEY], site_key=key),
        )
        for key in keys or ("shop", "blog")
    }
    return Endpoints("/.caputchin", sites, CLOCK, TrustedProxies(), b"c" * 32)


def ask(
    path: str,
    endpoints: Endpoints,
    *,
    method: str = "GET",
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> Conversation[Response]:
    named = {name: (value,) for name, value in (headers or {}).items()}
    head = RequestHead(method, f"/.caputchin/{path}", query=query, headers=named, peer="203.0.113.9")
    return Conversation(respond(head, endpoints))


def told(response: Response) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(response.body)
    headers = dict(response.headers)
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"].startswith("application/json")
    return said


@pytest.mark.parametrize(
    ("path", "sites"),
    [
        ("altcha/challenge", ("blog",)),
        ("altcha/blog/challenge", ("blog",)),
        ("altcha/blog/challenge", ("shop", "blog")),
    ],
)
def test_a_challenge_is_for_the_site_and_the_client_that_ask(path: str, sites: tuple[str, ...]) -> None:
    conversation = ask(path, own(*sites), query="action=log+in")
    counted = conversation.expect(Count, Counted(1, NOW + 60))
    assert b"203.0.113.9" not in counted.key
    response = conversation.end()
    assert response.status == 200
    assert dict(response.headers)["Access-Control-Allow-Origin"] == "*"
    engine, value = AltchaChallenges([KEY], site_key="blog"), solve(told(response))
    assert isinstance(engine.check(value, now=NOW, client="203.0.113.9", action="log in"), Solved)
    assert isinstance(engine.check(value, now=NOW, client="198.51.100.1", action="log in"), Failed)


def test_difficulty_rises_and_the_cap_says_when_to_come_back() -> None:
    largest = []
    for count in (1, 50, 99, 100, 5000):
        conversation = ask("altcha/challenge", own("blog"))
        conversation.expect(Count, Counted(count, NOW + 12.3))
        response = conversation.end()
        if count < 100:
            largest.append(told(response)["maxnumber"])
            continue
        assert response.status == 429
        assert told(response) == {
            "success": False,
            "error_code": "rate_limited",
            "error": "rate_limited",
            "retry_after": 13,
        }
        assert dict(response.headers)["Retry-After"] == "13"
        assert dict(response.headers)["Access-Control-Allow-Origin"] == "*"
    assert largest == [8192, 32768, 131072]


def test_clients_are_counted_over_all_protocols_together() -> None:
    altcha = ask("altcha/challenge", own("blog")).expect(Count, Counted(1, NOW + 60))
    native = ask("api/v1/captcha/challenge", own("blog"), method="POST")
    native.expect(ReadBody, b"{}")
    native.expect(ReadBody, BodyEnd.COMPLETE)
    assert native.expect(Count, Counted(1, NOW + 60)).key == altcha.key


def test_a_store_that_does_not_count_gives_no_challenge() -> None:
    conversation = ask("altcha/challenge", own("blog"))
    conversation.expect(Count, StoreDown())
    assert conversation.end().status == 503


@pytest.mark.parametrize("path", ["altcha/challenge", "altcha/other/challenge", "altcha//challenge"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_an_unknown_site_is_refused_before_anything_is_counted(path: str, method: str) -> None:
    response = ask(path, own(), method=method).end()
    assert response.status == 404
    assert told(response)["error_code"] == "invalid_site_key"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://shop.example"}, 200),
        ({"origin": "http://SHOP.example:8080"}, 200),
        ({"referer": "https://shop.example/contact"}, 200),
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://evil.example", "referer": "https://shop.example/"}, 403),
        ({"referer": "https://evil.example/shop.example"}, 403),
    ],
)
def test_only_pages_of_the_domains_of_a_site_get_its_challenges(headers: dict[str, str], status: int) -> None:
    conversation = ask("altcha/shop/challenge", own(), headers=headers)
    if status == 200:
        conversation.expect(Count, Counted(1, NOW + 60))
    response = conversation.end()
    assert response.status == status
    allowed = dict(response.headers).get("Access-Control-Allow-Origin")
    assert allowed == (headers.get("origin") if status == 200 else None)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("action=", 200),
        ("action=login&lang=de", 200),
        (urlencode({"action": "x" * 256}), 200),
        (urlencode({"action": "x" * 257}), 400),
        ("action=a&action=b", 400),
        ("action=%ff", 400),
        ("&".join("x=y" for _ in range(101)), 400),
    ],
)
def test_an_action_is_one_short_text(query: str, status: int) -> None:
    conversation = ask("altcha/challenge", own("blog"), query=query)
    if status == 200:
        conversation.expect(Count, Counted(1, NOW + 60))
    assert conversation.end().status == status


def test_a_preflight_allows_what_the_widgets_send() -> None:
    response = ask("altcha/shop/challenge", own(), method="OPTIONS", headers={"origin": "https://shop.example"}).end()
    headers = dict(response.headers)
    assert response.status == 204
    assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert headers["Access-Control-Allow-Methods"] == "GET, OPTIONS"
    assert headers["Access-Control-Allow-Headers"] == "content-type, accept, x-altcha-spam-filter"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "altcha/challenge", 405),
        ("HEAD", "altcha/challenge", 405),
        ("GET", "altcha", 404),
        ("GET", "altcha/blog", 404),
        ("GET", "altcha/blog/challenge/x", 404),
        ("POST", "altcha/blog/siteverify", 404),
    ],
)
def test_everything_else_is_answered_and_goes_nowhere(method: str, path: str, status: int) -> None:
    response = ask(path, own("blog"), method=method).end()
    assert response.status == status
    assert told(response)["success"] is False


@pytest.mark.parametrize("path", ["altcha/challenge", "altcha/blog/challenge"])
def test_without_a_provider_of_the_kind_there_are_no_paths(path: str) -> None:
    assert ask(path, own("blog", bare=True)).end().status == 404


# The whole gate


def gate(**options: Any) -> Gate:
    in_process = {"signing_key": "k" * 32, **options.pop("in_process", {})}
    provider = options.pop("provider", "altcha")
    protect = options.pop("protect", ["POST /contact"])
    return Gate(
        provider=provider,
        verification="in-process",
        store="memory",
        in_process=in_process,
        protect=protect,
        **options,
    )


def challenge(gate: Gate, path: str = "altcha/challenge") -> dict[str, Any]:
    ruling = gate.handle(RequestHead("GET", f"/.caputchin/{path}", peer="203.0.113.9"))
    assert isinstance(ruling, Answer)
    assert ruling.response.status == 200
    found: dict[str, Any] = json.loads(ruling.response.body)
    return found


def submit(gate: Gate, field: str, value: str) -> Reason:
    pieces = [urlencode({"name": "Ann", field: value}).encode()]
    headers = {"content-type": ("application/x-www-form-urlencoded",), "content-length": (str(len(pieces[0])),)}
    head = RequestHead("POST", "/contact", headers=headers, peer="203.0.113.9")
    ruling = gate.handle(head, lambda size: pieces.pop() if pieces else BodyEnd.COMPLETE)
    decision = ruling.decision if isinstance(ruling, Admit | Answer) else None
    assert decision is not None
    return decision.reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_form_is_admitted_once(algorithm: str) -> None:
    own_gate = gate(in_process={"altcha": {"algorithm": algorithm}})
    value = solve(challenge(own_gate))
    assert submit(own_gate, "altcha", value) is Reason.VERIFIED
    spaced = json.dumps(json.loads(base64.b64decode(value)), indent=2)
    for again in (value, value.rstrip("="), base64.b64encode(spaced.encode()).decode()):
        assert submit(own_gate, "altcha", again) is Reason.TOKEN_USED


def test_of_many_submissions_at_once_one_is_admitted() -> None:
    own_gate = gate()
    value = solve(challenge(own_gate))
    reasons: list[Reason] = []
    threads = [threading.Thread(target=lambda: reasons.append(submit(own_gate, "altcha", value))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reasons) == sorted([Reason.VERIFIED] + [Reason.TOKEN_USED] * 15)


def test_a_wrong_solution_spends_nothing() -> None:
    own_gate = gate()
    value = solve(challenge(own_gate))
    payload = json.loads(base64.b64decode(value))
    wrong = base64.b64encode(json.dumps({**payload, "number": payload["number"] + 1}).encode()).decode()
    for _ in range(3):
        assert submit(own_gate, "altcha", wrong) is Reason.TOKEN_REJECTED
    assert submit(own_gate, "altcha", value) is Reason.VERIFIED


def test_every_site_of_a_gate_issues_and_its_tokens_are_told_apart() -> None:
    own_gate = gate(in_process={"sites": [{"site_key": "shop"}, {"site_key": "blog"}]})
    for site in ("shop", "blog"):
        verdict = own_gate.verify(solve(challenge(own_gate, f"altcha/{site}/challenge")), remote_ip="203.0.113.9")
        assert isinstance(verdict, Passed)
        assert verdict.details == {"site_key": site}


def test_a_native_token_is_none_of_altchas_and_the_other_way_round() -> None:
    both = gate(providers={"native": {"kind": "caputchin", "verification": "in-process"}})
    value = solve(challenge(both))
    assert submit(both, "altcha", "A" * 32 + ".1") is Reason.TOKEN_MALFORMED
    assert isinstance(both.verify("A" * 32 + ".1"), Failed)
    assert submit(both, "altcha", value) is Reason.VERIFIED


def test_the_statement_of_a_sentinel_counts_where_its_secret_is_known_and_once() -> None:
    data = "expire=4102444800&id=abc123&time=1700000000&verified=true"
    digest = hashlib.sha256(data.encode()).digest()
    signature = hmac.new(b"altcha-test-secret", digest, "sha256").hexdigest()
    statement = {"algorithm": "SHA-256", "verificationData": data, "signature": signature, "verified": True}
    value = base64.b64encode(json.dumps(statement).encode()).decode()
    assert submit(gate(), "altcha", value) is Reason.TOKEN_MALFORMED
    knowing = gate(in_process={"altcha": {"sentinel_secret": "altcha-test-secret"}})
    assert submit(knowing, "altcha", value) is Reason.VERIFIED
    assert submit(knowing, "altcha", value) is Reason.TOKEN_USED
    assert submit(knowing, "altcha", solve(challenge(knowing))) is Reason.VERIFIED


@pytest.mark.parametrize(
    ("in_process", "problem"),
    [
        ({"altcha": {"algorithm": "MD5"}}, "in_process.altcha.algorithm"),
        ({"altcha": {"algorithm": "ARGON2ID"}}, "in_process.altcha.algorithm"),
        ({"altcha": {"algoritm": "v1/SHA-256"}}, "in_process.altcha.algoritm: unknown key; did you mean 'algorithm'"),
        ({"altcha": {"sentinel_secret": ""}}, "in_process.altcha.sentinel_secret"),
        ({"altcha": {"sentinel_secret": "short"}}, "in_process.altcha.sentinel_secret"),
        ({"altcha": "v1"}, "in_process.altcha: is not a table"),
        ({"sites": [{"site_key": "a/b"}]}, "can't stand in a path"),
    ],
)
def test_mistakes_of_the_settings_are_told(in_process: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        gate(in_process=in_process)
    assert problem in str(told.value)
    assert "short" not in str(told.value).replace("shorter", "")
