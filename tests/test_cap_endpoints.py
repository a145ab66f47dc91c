"""Cap's paths below the mount, as conversations: cap.md 2 to 5, 8 and 10, each status and text of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Claim, ClaimResult, Count, Counted, ReadBody, StoreDown
from caputchin_gate.endpoints.paths import respond
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.engines.cap import CapChallenges
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.rsw import TimeLock
from caputchin_gate.engines.solver import solve_cap
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.secret import Secret
from tests.conversation import Conversation

NOW = 1_800_000_000.0
KEY = b"k" * 32
WON, LOST, DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
SECRETS = {"shop": ("shop-secret",), "blog": ("new-secret", "old-secret")}


def own(*, now: float = NOW, work: Work | None = None, binding: Any = "if-known", bare: bool = False) -> Endpoints:
    """Two sites: pages of shop.example may ask for `shop`, pages of any origin for `blog`."""
    asked = work or Work(puzzles=2, difficulty=1)
    lock = TimeLock(b"s" * 32, asked.squarings, bits=256) if asked.squarings else None
    sites = {
        key: Site(
            NativeChallenges([KEY], site_key=key, binding=binding),
            tuple(map(Secret, SECRETS[key])),
            frozenset({"shop.example"}) if key == "shop" else frozenset(),
            cap=None if bare else CapChallenges([KEY], site_key=key, work=asked, binding=binding, time_lock=lock),
        )
        for key in SECRETS
    }
    clock = Clock(now=lambda: now, monotonic=lambda: now, random_bytes=lambda count: b"n" * count)
    return Endpoints("/.caputchin", sites, clock, TrustedProxies(), b"c" * 32)


def ask(
    path: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    query: str = "",
    peer: str = "203.0.113.9",
    **settings: Any,
) -> Conversation[Response]:
    named = {name: (value,) for name, value in (headers or {}).items()}
    head = RequestHead(method, f"/.caputchin/cap/{path}", headers=named, peer=peer, query=query)
    return Conversation(respond(head, own(**settings)))


def send(conversation: Conversation[Response], body: object) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if content:
        conversation.expect(ReadBody, content)
    conversation.expect(ReadBody, BodyEnd.COMPLETE)


def said(response: Response) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(response.body)
    headers = dict(response.headers)
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    return told


def challenge(site: str = "blog", **settings: Any) -> dict[str, Any]:
    headers = {"origin": "https://shop.example"}
    conversation = ask(f"{site}/challenge", headers=headers, **settings)
    conversation.expect(Count, Counted(1, NOW + 60))
    response = conversation.end()
    assert response.status == 200
    return said(response)


def solution(site: str = "blog", **settings: Any) -> dict[str, Any]:
    issued = challenge(site, **settings)
    return {"token": issued["token"], "solutions": solve_cap(issued)}


def redeem(body: object, *claims: ClaimResult, site: str = "blog", **settings: Any) -> Response:
    conversation = ask(f"{site}/redeem", headers={"content-type": "application/json"}, **settings)
    send(conversation, body)
    for claim in claims:
        conversation.expect(Claim, claim)
    return conversation.end()


def token(site: str = "blog", **settings: Any) -> str:
    return str(said(redeem(solution(site, **settings), WON, site=site, **settings))["token"])


class TestChallenge:
    def test_format_1_is_what_the_page_says(self) -> None:
        told = challenge(work=Work())
        assert told == {
            "challenge": {"c": 50, "s": 32, "d": 4},
            "token": told["token"],
            "expires": (int(NOW) + 600) * 1000,
        }

    def test_format_2_spells_out_its_challenges(self) -> None:
        told = challenge(work=Work(format=2, puzzles=2, difficulty=1, squarings=50))
        assert told.keys() == {"format", "challenges", "token", "expires"}
        assert told["format"] == 2
        assert [one["protocol"] for one in told["challenges"]] == ["sha256-pow", "sha256-pow", "rsw"]
        assert [set(one["payload"]) for one in told["challenges"]] == [{"salt", "target"}] * 2 + [{"N", "x", "t"}]
        lock = told["challenges"][2]["payload"]
        assert (len(lock["N"]), len(lock["x"]), lock["t"]) == (64, 64, 50)

    def test_the_body_is_not_looked_at(self) -> None:
        conversation = ask("blog/challenge", headers={"content-length": "9"})
        conversation.expect(Count, Counted(1, NOW + 60))
        assert conversation.end().status == 200

    def test_no_challenge_offers_instrumentation(self) -> None:
        for work in (Work(), Work(format=2)):
            assert "instrumentation" not in json.dumps(challenge(work=work))

    @pytest.mark.parametrize("site", ["other", "", "BLOG", "blog%00", "cap"])
    def test_an_unknown_site_is_refused_before_anything_is_counted(self, site: str) -> None:
        response = ask(f"{site}/challenge").end()
        assert response.status == 404
        assert said(response) == {"success": False, "error": "Invalid site key or secret"}
        assert dict(response.headers)["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.parametrize("headers", [{}, {"origin": "https://evil.example"}, {"origin": "null"}])
    def test_a_page_of_another_domain_gets_no_challenge(self, headers: dict[str, str]) -> None:
        response = ask("shop/challenge", headers=headers).end()
        assert response.status == 403
        assert said(response) == {"success": False, "error": "Blocked"}
        assert "Access-Control-Allow-Origin" not in dict(response.headers)

    def test_too_many_challenges_are_refused_until_the_minute_is_over(self) -> None:
        conversation = ask("blog/challenge")
        conversation.expect(Count, Counted(100, NOW + 12.3))
        response = conversation.end()
        headers = dict(response.headers)
        assert (response.status, said(response)["error"]) == (429, "Rate limit exceeded")
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("100", "0")
        assert (headers["Retry-After"], headers["Access-Control-Allow-Origin"]) == ("13", "*")

    def test_a_store_that_does_not_count_gives_no_challenge(self) -> None:
        conversation = ask("blog/challenge")
        conversation.expect(Count, StoreDown())
        response = conversation.end()
        assert (response.status, said(response)["success"]) == (503, False)

    def test_two_challenges_of_one_page_give_two_tokens(self) -> None:
        """The widget solves one before anybody clicks, and perhaps another one after (cap.md 7)."""
        site = own().sites["blog"].cap
        assert site is not None
        tokens = set()
        for nonce in (b"1" * 16, b"2" * 16):
            issued = site.issue(now=NOW, nonce=nonce, client="203.0.113.9")
            asked = {"challenge": {"c": 2, "s": 32, "d": 1}, "token": issued.token}
            body = {"token": issued.token, "solutions": solve_cap(asked)}
            tokens.add(said(redeem(body, WON))["token"])
        assert len(tokens) == 2
        for value in tokens:
            assert verify({"secret": "new-secret", "response": value}, WON).status == 200


WRONG = [5, 5]  # no work of any test is solved by these (asserted where it matters)


class TestRedeem:
    @pytest.mark.parametrize(
        "work",
        [
            Work(puzzles=2, difficulty=1),
            Work(format=2, puzzles=2, difficulty=1),
            Work(format=2, puzzles=0, squarings=50),
        ],
        ids=repr,
    )
    def test_a_solved_challenge_is_redeemed_once(self, work: Work) -> None:
        right = solution(work=work)
        response = redeem(right, WON, work=work)
        assert response.status == 200
        told = said(response)
        assert told == {"success": True, "token": told["token"], "expires": (int(NOW) + 1200) * 1000}
        again = redeem(right, LOST, work=work)
        assert again.status == 403
        assert said(again) == {"success": False, "error": "Challenge already redeemed"}

    @pytest.mark.parametrize(
        ("change", "status", "error"),
        [
            ({"token": None}, 400, "Missing required fields"),
            ({"token": ""}, 400, "Missing required fields"),
            ({"token": 0}, 400, "Missing required fields"),
            ({"solutions": None}, 400, "Missing required fields"),
            ({"solutions": ""}, 400, "Missing required fields"),
            ({"solutions": False}, 400, "Missing required fields"),
            ({"token": 7}, 400, "Invalid solutions"),
            ({"token": ["x"]}, 400, "Invalid solutions"),
            ({"token": {"a": 1}}, 400, "Invalid solutions"),
            ({"solutions": 7}, 400, "Invalid solutions"),
            ({"solutions": "[1,2]"}, 400, "Invalid solutions"),
            ({"solutions": {"0": 1}}, 400, "Invalid solutions"),
            ({"solutions": []}, 400, "Invalid solutions"),
            ({"solutions": [1]}, 400, "Invalid solutions"),
            ({"solutions": [1, 2, 3]}, 400, "Invalid solutions"),
            ({"solutions": ["1", "2"]}, 400, "Invalid solutions"),
            ({"solutions": [1.0, 2.0]}, 400, "Invalid solutions"),
            ({"solutions": [True, True]}, 400, "Invalid solutions"),
            ({"solutions": [10**400, 1]}, 400, "Invalid solutions"),
            ({"token": "x"}, 403, "Invalid challenge token"),
            ({"token": "A" * 84}, 403, "Invalid challenge token"),
            ({"token": "x" * 5000}, 403, "Invalid challenge token"),
            ({"token": "a.b.c"}, 403, "Invalid challenge token"),
            ({"solutions": WRONG}, 403, "Invalid solution"),
        ],
    )
    def test_what_is_not_right_is_refused_as_the_page_says_and_claims_nothing(
        self, change: dict[str, Any], status: int, error: str
    ) -> None:
        right = solution()
        assert right["solutions"] != WRONG
        response = redeem({**right, **change})
        assert (response.status, said(response)) == (status, {"success": False, "error": error})
        assert dict(response.headers)["Access-Control-Allow-Origin"] == "*"
        assert redeem(right, WON).status == 200

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff{}", b"[" * 60_000, b'{"token":'])
    def test_a_body_that_is_no_object_misses_its_fields(self, body: bytes) -> None:
        response = redeem(body)
        assert (response.status, said(response)["error"]) == (400, "Missing required fields")

    def test_the_first_of_two_equal_members_counts(self) -> None:
        right = solution()
        twice = f'{{"token":"{right["token"]}","solutions":{right["solutions"]},"token":"x","solutions":[]}}'
        assert redeem(twice.encode(), WON).status == 200
        response = redeem(f'{{"token":"x","solutions":[1],{json.dumps(right)[1:]}'.encode())
        assert said(response)["error"] == "Invalid challenge token"

    def test_an_unknown_site_redeems_nothing(self) -> None:
        response = redeem(solution(), site="other")
        assert (response.status, said(response)["error"]) == (404, "Invalid site key")

    def test_a_challenge_of_another_site_is_told_apart(self) -> None:
        response = redeem(solution("shop"))
        assert (response.status, said(response)["error"]) == (403, "Challenge token does not match site key")

    @pytest.mark.parametrize(
        ("now", "error"), [(NOW + 601, "Challenge expired"), (NOW - 31, "Invalid challenge token")]
    )
    def test_a_challenge_of_another_time_is_refused(self, now: float, error: str) -> None:
        response = redeem(solution(), now=now)
        assert (response.status, said(response)["error"]) == (403, error)

    @pytest.mark.parametrize("easier", [Work(puzzles=1, difficulty=1), Work(format=2, puzzles=2, difficulty=1)])
    def test_a_challenge_of_less_or_other_work_is_refused(self, easier: Work) -> None:
        response = redeem(solution(work=easier))
        assert (response.status, said(response)["error"]) == (403, "Invalid challenge token")

    def test_another_client_does_not_redeem_it(self) -> None:
        response = redeem(solution(), peer="198.51.100.7")
        assert (response.status, said(response)["error"]) == (403, "Invalid challenge token")

    def test_a_store_that_does_not_answer_gives_no_token(self) -> None:
        response = redeem(solution(), DOWN)
        assert response.status == 403
        told = said(response)
        assert (told["success"], told["reason"]) == (False, "nonce_store_error")
        assert "token" not in told

    @pytest.mark.parametrize(
        "report",
        [
            {"instr_blocked": True},
            {"instr_timeout": True},
            {"instr": {"i": "x", "state": {}, "ts": 1}},
            {"instr": None, "instr_blocked": "yes"},
        ],
    )
    def test_reports_of_an_instrumentation_that_we_do_not_do_change_nothing(self, report: dict[str, Any]) -> None:
        assert redeem({**solution(), **report}, WON).status == 200
        assert said(redeem({**solution(), "solutions": WRONG, **report}))["error"] == "Invalid solution"

    def test_a_body_over_64_kib_is_not_read_to_its_end(self) -> None:
        conversation = ask("blog/redeem")
        conversation.expect(ReadBody, b"x" * 65_537)
        response = conversation.end()
        assert (response.status, said(response)["success"]) == (413, False)

    @pytest.mark.parametrize("end", [BodyEnd.CUT_SHORT, BodyEnd.GONE, BodyEnd.TOO_SLOW, BodyEnd.NO_ROOM])
    def test_a_body_that_ends_before_its_time_redeems_nothing(self, end: BodyEnd) -> None:
        conversation = ask("blog/redeem")
        conversation.expect(ReadBody, json.dumps(solution()).encode())
        conversation.expect(ReadBody, end)
        assert conversation.end().status == 400


def verify(
    body: object,
    *claims: ClaimResult,
    path: str = "blog/siteverify",
    content_type: str = "application/json",
    query: str = "",
    **settings: Any,
) -> Response:
    """A wrong secret is counted once more."""
    conversation = ask(path, headers={"content-type": content_type}, query=query, **settings)
    conversation.expect(Count, Counted(1, NOW + 60))
    send(conversation, body)
    if isinstance(conversation.asks, Count):
        conversation.expect(Count, Counted(1, NOW + 60))
    for claim in claims:
        conversation.expect(Claim, claim)
    return conversation.end()


class TestSiteverify:
    @pytest.mark.parametrize("secret", ["new-secret", "old-secret", " new-secret\n"])
    @pytest.mark.parametrize("path", ["blog/siteverify", "blog/siteverify/", "siteverify"])
    def test_a_redeem_token_verifies_with_either_secret_of_a_rotation(self, secret: str, path: str) -> None:
        response = verify({"secret": secret, "response": token(), "remoteip": "198.51.100.7"}, WON, path=path)
        assert (response.status, said(response)) == (200, {"success": True})

    def test_a_used_token_is_not_found(self) -> None:
        response = verify({"secret": "new-secret", "response": token()}, LOST)
        assert (response.status, said(response)) == (404, {"success": False, "error": "Token not found"})

    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            (b"", 400, "Missing required parameters"),
            (b"{", 400, "Missing required parameters"),
            (b"[]", 400, "Missing required parameters"),
            ({}, 400, "Missing required parameters"),
            ({"response": "{token}"}, 400, "Missing required parameters"),
            ({"secret": "new-secret"}, 400, "Missing required parameters"),
            ({"secret": "", "response": "{token}"}, 400, "Missing required parameters"),
            ({"secret": " ", "response": "{token}"}, 400, "Missing required parameters"),
            ({"secret": None, "response": "{token}"}, 400, "Missing required parameters"),
            ({"secret": ["new-secret"], "response": "{token}"}, 400, "Missing required parameters"),
            ({"secret": "new-secret", "response": 7}, 400, "Missing required parameters"),
            ({"secret": "new-secret", "response": ["{token}"]}, 400, "Missing required parameters"),
            ({"secret": "new-secret", "response": "{token}:x"}, 400, "Missing required parameters"),
            ({"secret": "new-secret", "response": "blog:0123"}, 400, "Missing required parameters"),
            ({"secret": "new-secret", "response": "blog:a:" + "0" * 9000}, 400, "Missing required parameters"),
            ({"secret": "new-secret", "response": "{other}"}, 404, "Invalid site key or secret"),
            ({"secret": "shop-secret", "response": "{other}"}, 404, "Invalid site key or secret"),
            ({"secret": "new-secret", "response": "nobody:0123:4567"}, 404, "Invalid site key or secret"),
            ({"secret": "wrong", "response": "{token}"}, 403, "Invalid site key or secret"),
            ({"secret": "shop-secret", "response": "{token}"}, 403, "Invalid site key or secret"),
            ({"secret": "new-secret\x00", "response": "{token}"}, 403, "Invalid site key or secret"),
            ({"secret": "\ud800", "response": "{token}"}, 403, "Invalid site key or secret"),
            ({"secret": "x" * 513, "response": "{token}"}, 403, "Invalid site key or secret"),
            ({"secret": "new-secret", "response": "blog:0123:4567"}, 404, "Token not found"),
            ({"secret": "new-secret", "response": "{forged}"}, 404, "Token not found"),
        ],
    )
    def test_what_does_not_verify_is_told_as_the_page_says_and_claims_nothing(
        self, body: object, status: int, error: str
    ) -> None:
        parts = {"{token}": token(), "{other}": token("shop"), "{forged}": token()[:-1] + "x"}
        if isinstance(body, dict):
            text = json.dumps(body)
            for name, value in parts.items():
                text = text.replace(name, value)
            body = text.encode()
        response = verify(body)
        assert (response.status, said(response)) == (status, {"success": False, "error": error})

    @pytest.mark.parametrize(
        ("now", "status", "error"), [(NOW + 1201, 403, "Token expired"), (0.0, 404, "Token not found")]
    )
    def test_a_token_of_another_time_claims_nothing(self, now: float, status: int, error: str) -> None:
        response = verify({"secret": "new-secret", "response": token()}, now=now)
        assert (response.status, said(response)["error"]) == (status, error)

    def test_a_store_that_does_not_answer_is_never_a_success(self) -> None:
        response = verify({"secret": "new-secret", "response": token()}, DOWN)
        assert (response.status, said(response)) == (500, {"success": False, "error": "Internal error"})

    @pytest.mark.parametrize(
        "content_type", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8", ""]
    )
    def test_a_form_is_read_too_and_the_first_field_of_a_name_counts(self, content_type: str) -> None:
        fields = [("secret", "new-secret"), ("response", token()), ("response", "x"), ("secret", "wrong")]
        assert verify(urlencode(fields).encode(), WON, content_type=content_type).status == 200
        assert verify(urlencode(fields[::-1]).encode(), content_type=content_type).status == 400

    def test_without_a_body_the_query_is_read_and_with_one_it_is_not(self) -> None:
        query = urlencode({"secret": "new-secret", "response": token()})
        assert verify(b"", WON, content_type="", query=query).status == 200
        assert verify({}, query=query).status == 400

    @pytest.mark.parametrize("body", [b"secret=%zz&response=a:b:c", b"secret=\xff&response=a:b:c", b"a&" * 1001])
    def test_a_form_that_can_not_be_read_misses_its_parameters(self, body: bytes) -> None:
        assert verify(body, content_type="application/x-www-form-urlencoded").status == 400

    @pytest.mark.parametrize("content_type", ["application/problem+json", "text/plain", ""])
    def test_json_is_known_by_its_type_or_its_first_character(self, content_type: str) -> None:
        body = {"secret": "new-secret", "response": token()}
        assert verify(body, WON, content_type=content_type).status == 200

    def test_a_compressed_or_too_large_body_is_not_read(self) -> None:
        compressed = ask("blog/siteverify", headers={"content-encoding": "gzip"})
        compressed.expect(Count, Counted(1, NOW + 60))
        response = compressed.end()
        assert (response.status, said(response)["success"]) == (415, False)
        large = ask("blog/siteverify")
        large.expect(Count, Counted(1, NOW + 60))
        large.expect(ReadBody, b"{" * 65_537)
        assert large.end().status == 413

    @pytest.mark.parametrize(
        ("visitor", "status"),
        [("203.0.113.9", 200), ("198.51.100.7", 404), ("unknown", 404), (None, 404), (7, 404)],
    )
    def test_the_visitor_is_compared_where_the_settings_require_it(self, visitor: object, status: int) -> None:
        body = {"secret": "new-secret", "response": token(binding="require"), "remoteip": visitor}
        claims = (WON,) if status == 200 else ()
        assert verify(body, *claims, binding="require").status == status


class TestTheRest:
    @pytest.mark.parametrize("path", ["shop/redeem", "shop/challenge", "blog/redeem"])
    def test_a_preflight_allows_what_the_widget_sends(self, path: str) -> None:
        response = ask(path, method="OPTIONS", headers={"origin": "https://shop.example"}).end()
        told = dict(response.headers)
        assert response.status == 204
        assert told["Access-Control-Allow-Origin"] == ("*" if path.startswith("blog") else "https://shop.example")
        assert told["Access-Control-Allow-Methods"] == "POST, OPTIONS"
        assert told["Access-Control-Allow-Headers"] == "content-type"
        assert told["Access-Control-Max-Age"] == "600"

    def test_a_preflight_of_a_foreign_page_allows_nothing(self) -> None:
        response = ask("shop/redeem", method="OPTIONS", headers={"origin": "https://evil.example"}).end()
        assert "Access-Control-Allow-Origin" not in dict(response.headers)
        assert dict(response.headers)["Vary"] == "Origin"

    @pytest.mark.parametrize("origin", ["https://shop.example", "https://evil.example"])
    def test_a_page_of_any_origin_is_not_allowed_to_verify(self, origin: str) -> None:
        response = ask("shop/siteverify", method="OPTIONS", headers={"origin": origin}).end()
        assert response.status == 204
        assert dict(response.headers) == {"Allow": "POST"}
        body = {"secret": "shop-secret", "response": token("shop")}
        assert "Access-Control-Allow-Origin" not in dict(verify(body, WON, path="shop/siteverify").headers)

    @pytest.mark.parametrize(
        ("method", "path", "status", "allow"),
        [
            ("GET", "blog/challenge", 405, "POST, OPTIONS"),
            ("HEAD", "blog/challenge", 405, "POST, OPTIONS"),
            ("PUT", "blog/redeem", 405, "POST, OPTIONS"),
            ("GET", "blog/siteverify", 405, "POST"),
            ("GET", "siteverify", 405, "POST"),
            ("POST", "blog", 404, None),
            ("POST", "blog/", 404, None),
            ("POST", "blog/verify", 404, None),
            ("POST", "blog/redeem/x", 404, None),
            ("POST", "/blog/redeem", 404, None),
            ("POST", "challenge", 404, None),
        ],
    )
    def test_everything_else_is_answered_and_goes_nowhere(
        self, method: str, path: str, status: int, allow: str | None
    ) -> None:
        response = ask(path, method=method).end()
        assert (response.status, dict(response.headers).get("Allow")) == (status, allow)
        assert said(response)["success"] is False

    @pytest.mark.parametrize("path", ["blog/challenge", "blog/redeem", "blog/siteverify", "siteverify"])
    def test_a_gate_without_cap_has_no_cap(self, path: str) -> None:
        assert ask(path, bare=True).end().status == 404
