"""Everything below the gate's mount, as conversations: captchaapi.md 4, 5 and 10, each check in its order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Claim, ClaimResult, Count, Counted, ReadBody, StoreDown, Swap
from caputchin_gate.endpoints.paths import respond
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.endpoints.widget import widget_script
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.secret import Secret
from caputchin_gate.traffic import Traffic
from tests.conversation import Conversation

NOW = 1_800_000_000.0
KEY = b"k" * 32
CLOCK = Clock(now=lambda: NOW, monotonic=lambda: NOW, random_bytes=lambda count: b"n" * count)
SHOP = Site(NativeChallenges([KEY], site_key="shop"), (Secret("shop-secret"),), frozenset({"shop.example"}))
BLOG = Site(NativeChallenges([KEY], site_key="blog"), (Secret("new-secret"), Secret("old-secret")))
BOTH = Endpoints("/.caputchin", {"shop": SHOP, "blog": BLOG}, CLOCK, TrustedProxies(), b"c" * 32)
ONLY = Endpoints("/.caputchin", {"blog": BLOG}, CLOCK, TrustedProxies(), b"c" * 32)
CHALLENGE = "/.caputchin/api/v1/captcha/challenge"
VERIFY = "/.caputchin/api/v1/captcha/verify"


def ask(
    path: str, *, method: str = "POST", headers: Mapping[str, str] | None = None, own: Endpoints = BOTH, root: str = ""
) -> Conversation[Response]:
    named = {name: (value,) for name, value in (headers or {}).items()}
    head = RequestHead(method, path, root_path=root, headers=named, peer="203.0.113.9")
    return Conversation(respond(head, own))


def send(conversation: Conversation[Response], body: object) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if content:
        conversation.expect(ReadBody, content)
    conversation.expect(ReadBody, BodyEnd.COMPLETE)


def said(response: Response) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(response.body)
    assert dict(response.headers)["Cache-Control"] == "no-store"
    return told


class TestChallenge:
    def test_a_challenge_is_what_the_page_says(self) -> None:
        conversation = ask(CHALLENGE, headers={"origin": "https://shop.example"})
        send(conversation, {"site_key": "shop"})
        conversation.expect(Count, Counted(1, NOW + 60))
        response = conversation.end()
        assert response.status == 200
        told = said(response)
        assert (len(told["token"]), told["target"], told["expires_at"]) == (32, 0x000FFFFF, int(NOW) + 120)
        assert dict(response.headers)["Access-Control-Allow-Origin"] == "https://shop.example"

    def test_the_only_site_need_not_be_named(self) -> None:
        conversation = ask(CHALLENGE, own=ONLY)
        send(conversation, {})
        conversation.expect(Count, Counted(1, NOW + 60))
        response = conversation.end()
        assert response.status == 200
        assert dict(response.headers)["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'"shop"',
            b"\xff",
            {},
            {"site_key": None},
            {"site_key": 1},
            {"site_key": "other"},
            b"[" * 60000,
            {"site_key": "shop" * 20000},
        ],
    )
    def test_an_unknown_site_is_refused_before_anything_is_counted(self, body: object) -> None:
        conversation = ask(CHALLENGE)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if content:
            conversation.expect(ReadBody, content)
        if len(content) <= 65536:
            conversation.expect(ReadBody, BodyEnd.COMPLETE)
        response = conversation.end()
        assert response.status == 422
        assert said(response) == {"success": False, "error_code": "invalid_site_key"}

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "https://shop.example.evil.example"},
            {"origin": "https://[::1"},
            {"referer": "https://evil.example/shop.example"},
            {"origin": "https://evil.example", "referer": "https://shop.example/"},
        ],
    )
    def test_a_page_of_another_domain_gets_no_challenge(self, headers: dict[str, str]) -> None:
        conversation = ask(CHALLENGE, headers=headers)
        send(conversation, {"site_key": "shop"})
        response = conversation.end()
        assert response.status == 403
        assert said(response)["error_code"] == "domain_not_allowed"
        assert "Access-Control-Allow-Origin" not in dict(response.headers)

    @pytest.mark.parametrize("headers", [{"origin": "http://SHOP.example:8080"}, {"referer": "https://shop.example/x"}])
    def test_an_allowed_domain_is_any_scheme_and_port_of_its_host(self, headers: dict[str, str]) -> None:
        conversation = ask(CHALLENGE, headers=headers)
        send(conversation, {"site_key": "shop"})
        conversation.expect(Count, Counted(1, NOW + 60))
        assert conversation.end().status == 200

    def test_difficulty_rises_and_the_cap_says_when_to_come_back(self) -> None:
        targets = []
        for count in (1, 50, 99, 100, 5000):
            conversation = ask(CHALLENGE, own=ONLY)
            send(conversation, {})
            conversation.expect(Count, Counted(count, NOW + 12.3))
            response = conversation.end()
            if count < 100:
                targets.append(said(response)["target"])
            else:
                assert response.status == 429
                assert said(response) == {"success": False, "error_code": "rate_limited", "retry_after": 13}
                assert dict(response.headers)["Retry-After"] == "13"
                assert dict(response.headers)["Access-Control-Allow-Origin"] == "*"
        assert targets == [0x000FFFFF, 0x0003FFFF, 0x0000FFFF]

    def test_a_store_that_does_not_count_gives_no_challenge(self) -> None:
        conversation = ask(CHALLENGE, own=ONLY)
        send(conversation, {})
        conversation.expect(Count, StoreDown())
        assert conversation.end().status == 503

    def test_a_store_that_keeps_no_records_gives_a_challenge_all_the_same(self) -> None:
        watched = replace(ONLY, traffic=Traffic(("blog",), b"c" * 32))
        for answers in ([StoreDown()], []):  # and is not asked again for some seconds
            conversation = ask(CHALLENGE, own=watched)
            send(conversation, {})
            conversation.expect(Count, Counted(1, NOW + 60))
            for answer in answers:
                conversation.expect(Swap, answer)
            assert said(conversation.end())["target"] == 0x000FFFFF

    @pytest.mark.parametrize(("peer", "counters"), [("203.0.113.9", 1), (None, 2)], ids=["a client", "a Unix socket"])
    def test_a_client_is_counted_once_over_all_sites_and_its_address_is_not_stored(
        self, peer: str | None, counters: int
    ) -> None:
        """Else each further site would be another cap, and an easy beginning of the curve."""
        keys = set()
        for site in ("shop", "blog"):
            head = RequestHead("POST", CHALLENGE, headers={"origin": ("https://shop.example",)}, peer=peer)
            conversation = Conversation(respond(head, BOTH))
            send(conversation, {"site_key": site})
            asked = conversation.expect(Count, Counted(1, NOW + 60))
            assert b"203.0.113.9" not in asked.key
            keys.add(asked.key)
        assert len(keys) == counters

    @pytest.mark.parametrize("action", [1, [], "x" * 257])
    def test_an_action_is_a_short_text(self, action: object) -> None:
        conversation = ask(CHALLENGE, own=ONLY)
        send(conversation, {"action": action})
        assert conversation.end().status == 400


def solved(site: Site, *, age: float = 0, client: str | None = None, action: str = "") -> str:
    challenge = site.challenges.issue(now=NOW - age, nonce=b"1234", step=1, client=client, action=action)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


class TestVerify:
    def verify(self, body: object, secret: str = "Bearer new-secret", *claims: ClaimResult) -> Response:
        conversation = ask(VERIFY, headers={"authorization": secret})
        conversation.expect(Count, Counted(1, NOW + 60))
        send(conversation, body)
        for claim in claims:
            conversation.expect(Claim, claim)
        return conversation.end()

    @pytest.mark.parametrize("secret", ["Bearer new-secret", "bearer old-secret", "BEARER  new-secret "])
    def test_a_solved_challenge_verifies_with_either_secret_of_a_rotation(self, secret: str) -> None:
        response = self.verify({"response": solved(BLOG)}, secret, ClaimResult.WON)
        assert said(response) == {"success": True, "error_code": None, "over_limit": False}

    @pytest.mark.parametrize(
        "secret", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic new-secret", "new-secret", "Bearer \xff"]
    )
    def test_a_wrong_secret_touches_no_token(self, secret: str) -> None:
        conversation = ask(VERIFY, headers={"authorization": secret})
        conversation.expect(Count, Counted(1, NOW + 60))
        send(conversation, {"response": solved(BLOG)})
        if secret not in ("", "Bearer", "Bearer ", "Basic new-secret", "new-secret"):
            conversation.expect(Count, Counted(1, NOW + 60))
        response = conversation.end()
        assert response.status == 401
        assert said(response) == {"success": False, "error_code": "invalid_secret", "over_limit": False}
        assert dict(response.headers)["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "invalid_token"),
            (b"{", "invalid_token"),
            ({}, "invalid_token"),
            ({"response": 1}, "invalid_token"),
            ({"response": ""}, "invalid_token"),
            ({"response": "x" * 32 + ".1"}, "invalid_token"),
            ({"response": solved(SHOP)}, "invalid_token"),
            ({"response": solved(BLOG, age=121)}, "invalid_token"),
            ({"response": solved(BLOG, action="login")}, "invalid_token"),
            ({"response": solved(BLOG, client="203.0.113.9"), "remoteip": "198.51.100.1"}, "invalid_token"),
            ({"response": solved(BLOG).split(".")[0] + ".+1"}, "invalid_solution"),
            ({"response": solved(BLOG).split(".")[0] + ".01"}, "invalid_solution"),
            ({"response": solved(BLOG).split(".")[0] + ".18446744073709551615"}, "invalid_solution"),
        ],
    )
    def test_what_does_not_verify_claims_nothing(self, body: object, code: str) -> None:
        response = self.verify(body)
        assert response.status == 200
        assert said(response) == {"success": False, "error_code": code, "over_limit": False}

    def test_a_token_verifies_once(self) -> None:
        assert said(self.verify({"response": solved(BLOG)}, "Bearer new-secret", ClaimResult.LOST))["success"] is False

    def test_the_address_of_the_back_end_is_not_the_visitors(self) -> None:
        body = {"response": solved(BLOG, client="198.51.100.1")}
        assert said(self.verify(body, "Bearer new-secret", ClaimResult.WON))["success"] is True

    def test_a_store_that_does_not_answer_is_never_a_success(self) -> None:
        response = self.verify({"response": solved(BLOG)}, "Bearer new-secret", ClaimResult.STORE_DOWN)
        assert response.status == 503
        assert said(response)["success"] is False


class TestTheRest:
    def test_a_preflight_allows_what_the_widget_sends(self) -> None:
        headers = {"origin": "https://shop.example"}
        response = ask(CHALLENGE, method="OPTIONS", headers=headers).end()
        told = dict(response.headers)
        assert response.status == 204
        assert told["Access-Control-Allow-Methods"] == "POST, OPTIONS"
        assert told["Access-Control-Allow-Headers"] == "content-type, accept"

    def test_a_browser_is_never_allowed_to_verify(self) -> None:
        response = ask(VERIFY, method="OPTIONS", headers={"origin": "https://shop.example"}).end()
        assert response.status == 204
        assert dict(response.headers) == {"Allow": "POST"}

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", CHALLENGE, 405),
            ("PUT", VERIFY, 405),
            ("POST", "/.caputchin/captcha.js", 405),
            ("GET", "/.caputchin/", 404),
            ("GET", "/.caputchin", 404),
            ("POST", "/.caputchin/../contact", 404),
            ("GET", "/.caputchin-else/captcha.js", 404),
        ],
    )
    def test_everything_else_is_answered_and_goes_nowhere(self, method: str, path: str, status: int) -> None:
        response = ask(path, method=method).end()
        assert response.status == status
        assert said(response)["success"] is False

    def test_the_widget_is_served_below_a_mount_prefix_too(self) -> None:
        response = ask("/app/.caputchin/captcha.js", method="GET", root="/app").end()
        assert response.body == widget_script().content
        assert ask("/.caputchin/captcha.js", method="GET", root="/app").end().status == 200

    def test_head_of_the_widget_has_its_headers(self) -> None:
        response = ask("/.caputchin/captcha.js", method="HEAD").end()
        assert dict(response.headers)["Content-Length"] == str(len(widget_script().content))
