"""Caputchin's paths below the mount, as conversations: caputchin.md 6.2 to 6.7, each row of 6.6."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Claim, ClaimResult, Count, Counted, ReadBody, StoreDown
from caputchin_gate.endpoints.caputchin_files import HOST, files_of
from caputchin_gate.endpoints.paths import respond
from caputchin_gate.endpoints.sites import Endpoints, Site, count_key
from caputchin_gate.engines import Solved
from caputchin_gate.engines.cap import CapChallenges
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.engines.caputchin import CaputchinSessions
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve_cap
from caputchin_gate.messages import RequestHead, Response
from tests.conversation import Conversation

NOW = 1_800_000_000.0
KEY = b"k" * 32
WON, LOST, DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
SHOP, BLOG = "cpt_pub_shop", "cpt_pub_blog"
PAGE = {"origin": "https://shop.example"}
EASY = Work(puzzles=2, difficulty=1)


def own(
    *, now: float = NOW, work: Work = EASY, binding: Any = "if-known", bare: bool = False, nonce: bytes = b"n" * 16
) -> Endpoints:
    """Two sites: pages of shop.example may ask for SHOP, pages of any origin for BLOG. All sites know Cap too."""
    sites = {
        key: Site(
            NativeChallenges([KEY], site_key=key),
            domains=frozenset({"shop.example"}) if key == SHOP else frozenset(),
            cap=CapChallenges([KEY], site_key=key, work=work, binding=binding),
            caputchin=None if bare else CaputchinSessions([KEY], site_key=key, work=work, binding=binding),
        )
        for key in (SHOP, BLOG)
    }
    clock = Clock(now=lambda: now, monotonic=lambda: now, random_bytes=lambda count: nonce[:count])
    return Endpoints("/.caputchin", sites, clock, TrustedProxies(), b"c" * 32)


def ask(
    act: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] = PAGE,
    query: str = "",
    peer: str | None = "203.0.113.9",
    **settings: Any,
) -> Conversation[Response]:
    named = {name: (value,) for name, value in headers.items()}
    head = RequestHead(method, f"/.caputchin/v1/{act}", headers=named, peer=peer, query=query)
    return Conversation(respond(head, own(**settings)))


def send(conversation: Conversation[Response], body: object) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if content:
        conversation.expect(ReadBody, content)
    conversation.expect(ReadBody, BodyEnd.COMPLETE)


def said(response: Response, cache: str = "no-store") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(response.body)
    headers = dict(response.headers)
    assert len(headers) == len(response.headers)
    assert headers["Cache-Control"] == cache
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == ("*", "Origin")
    return told


def refusal(response: Response) -> tuple[int, str]:
    """The status and the code of a refusal, which has all three members of the page."""
    told = said(response)
    assert told == {"success": False, "error": told["error"], "error-codes": [told["error"]]}
    return response.status, told["error"]


def start(body: object = None, *counted: Any, **settings: Any) -> Response:
    conversation = ask("verify/start", **settings)
    send(conversation, {"platform": {"sitekey": SHOP, "gameId": None}} if body is None else body)
    for count in counted:
        conversation.expect(Count, count)
    return conversation.end()


def started(**settings: Any) -> dict[str, Any]:
    response = start(None, Counted(1, NOW + 60), **settings)
    assert response.status == 200
    return said(response)


def solution(**settings: Any) -> dict[str, Any]:
    issued = started(**settings)
    return {"token": issued["token"], "solutions": solve_cap(issued), "platform": issued["platform"]}


def passing(body: object, *claims: ClaimResult, **settings: Any) -> Response:
    conversation = ask("verify/pass", **settings)
    send(conversation, body)
    for claim in claims:
        conversation.expect(Claim, claim)
    return conversation.end()


class TestBootstrap:
    @pytest.mark.parametrize(
        "query",
        [
            f"sitekey={SHOP}",
            f"sitekey={SHOP}&locale=en-US&skin=light",
            f"locale=b64.eyJ0aXRsZSI6IiMwMDAifQ&sitekey={SHOP}&game=x&games=y",
        ],
    )
    @pytest.mark.parametrize("headers", [{}, PAGE, {"origin": "https://elsewhere.example"}])
    def test_a_known_site_looks_as_the_widget_comes(self, query: str, headers: dict[str, str]) -> None:
        response = ask("widget/bootstrap", method="GET", query=query, headers=headers).end()
        assert response.status == 200
        assert said(response, "private, max-age=300") == {"widget": None, "game": None, "requiresGame": False}

    @pytest.mark.parametrize(
        "query", ["", "sitekey=", "sitekey=other", f"sitekey={SHOP}&sitekey={BLOG}", "sitekey=%ff", "=&" * 200]
    )
    def test_an_unknown_site_is_told(self, query: str) -> None:
        assert refusal(ask("widget/bootstrap", method="GET", query=query).end()) == (404, "invalid-sitekey")


class TestStart:
    def test_the_answer_is_caps_with_a_session(self) -> None:
        told = started(work=Work())
        assert told == {
            "challenge": {"c": 50, "s": 32, "d": 4},
            "token": told["token"],
            "expires": (int(NOW) + 600) * 1000,
            "platform": {"sessionId": told["platform"]["sessionId"]},
        }
        assert isinstance(told["platform"]["sessionId"], str)
        assert told["platform"]["sessionId"]

    def test_format_2_goes_the_same_way(self) -> None:
        work = Work(format=2, puzzles=2, difficulty=1)
        told = started(work=work)
        assert told.keys() == {"format", "challenges", "token", "expires", "platform"}
        assert passing(solution(work=work), WON, work=work).status == 200

    def test_unknown_members_are_ignored(self) -> None:
        body = {"platform": {"sitekey": SHOP, "gameId": "x", "ticket": "y", "more": [1]}, "instr": {}, "token": 7}
        assert start(body, Counted(1, NOW + 60)).status == 200

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b'"x"', b"7", b"\xff{}", b"[" * 60_000, b'{"platform":', "[]", [], None]
    )
    @pytest.mark.parametrize("act", ["verify/start", "verify/pass"])
    def test_a_body_that_is_no_object_is_a_bad_request(self, act: str, body: object) -> None:
        conversation = ask(act)
        send(conversation, b"null" if body is None else body)
        assert refusal(conversation.end()) == (400, "bad-request")

    @pytest.mark.parametrize("act", ["verify/start", "verify/pass"])
    def test_a_body_over_64_kib_is_a_bad_request_and_not_read_to_its_end(self, act: str) -> None:
        conversation = ask(act)
        conversation.expect(ReadBody, b"x" * 65_537)
        assert refusal(conversation.end()) == (400, "bad-request")

    @pytest.mark.parametrize("act", ["verify/start", "verify/pass"])
    @pytest.mark.parametrize("end", [BodyEnd.CUT_SHORT, BodyEnd.GONE, BodyEnd.TOO_SLOW, BodyEnd.NO_ROOM])
    def test_a_body_that_ends_before_its_time_is_a_bad_request(self, act: str, end: BodyEnd) -> None:
        conversation = ask(act)
        conversation.expect(ReadBody, b'{"platform":{"sitekey":"cpt_pub_blog"}}')
        conversation.expect(ReadBody, end)
        assert refusal(conversation.end()) == (400, "bad-request")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"platform": None},
            {"platform": []},
            {"platform": "x"},
            {"platform": {}},
            {"platform": {"sitekey": None}},
            {"platform": {"sitekey": 7}},
            {"platform": {"sitekey": []}},
            {"platform": {"sitekey": "other"}},
            {"platform": {"sitekey": SHOP.upper()}},
            {"platform": {"sitekey": "\ud800"}},
            {"sitekey": SHOP},
        ],
    )
    def test_an_unknown_site_is_refused_before_anything_is_counted(self, body: object) -> None:
        assert refusal(start(body)) == (404, "invalid-sitekey")

    @pytest.mark.parametrize(
        "headers", [{}, {"origin": "https://evil.example"}, {"origin": "null"}, {"referer": "https://evil.example/"}]
    )
    def test_a_page_of_another_domain_gets_no_session_and_can_read_why(self, headers: dict[str, str]) -> None:
        assert refusal(start(None, headers=headers)) == (403, "origin-not-allowed")

    def test_too_many_sessions_are_refused_until_the_minute_is_over(self) -> None:
        response = start(None, Counted(100, NOW + 12.3))
        assert refusal(response) == (429, "rate-limited")
        assert dict(response.headers)["Retry-After"] == "13"

    def test_a_store_that_does_not_count_starts_no_session(self) -> None:
        response = start(None, StoreDown())
        assert refusal(response) == (503, "unavailable")
        assert dict(response.headers)["Retry-After"] == "5"

    def test_a_client_is_counted_together_with_the_other_protocols(self) -> None:
        conversation = ask("verify/start")
        send(conversation, {"platform": {"sitekey": SHOP}})
        asked = conversation.expect(Count, Counted(1, NOW + 60))
        endpoints = own()
        assert asked == Count(count_key(endpoints, endpoints.sites[SHOP], "203.0.113.9"), 60.0, NOW)


class TestPass:
    def test_a_solved_session_gives_a_wrapped_token_once(self) -> None:
        right = solution()
        response = passing(right, WON)
        assert response.status == 200
        told = said(response)
        expires = (int(NOW) + 600) * 1000
        assert told == {
            "success": True,
            "token": told["token"],
            "expires": expires,
            "platform": {"wrappedToken": told["platform"]["wrappedToken"]},
        }
        assert 0 < expires - NOW * 1000 < 24 * 3600 * 1000
        sessions = own().sites[SHOP].caputchin
        assert sessions is not None
        judged = sessions.check(told["platform"]["wrappedToken"], now=NOW, client="203.0.113.9")
        assert isinstance(judged, Solved)
        assert (judged.site_key, judged.hostname, judged.issued_at) == (SHOP, "shop.example", NOW)
        assert refusal(passing(right, LOST)) == (403, "already-redeemed")

    def test_the_token_of_cap_in_the_answer_is_good_for_nothing(self) -> None:
        """One solution lets one submission in, also where both kinds are in process."""
        told = said(passing(solution(), WON))
        cap = own().sites[SHOP].cap
        assert cap is not None
        assert not isinstance(cap.check(told["token"], now=NOW, client="203.0.113.9"), Solved)
        assert told["token"].count(":") == 2

    @pytest.mark.parametrize(
        "platform", [None, {}, [], "x", 7, {"sessionId": None}, {"sessionId": ""}, {"sessionId": 7}, {"sessionid": "x"}]
    )
    def test_a_pass_without_a_session_is_told_apart(self, platform: object) -> None:
        """Older widgets send one for an element that was removed (caputchin.md 6.9)."""
        right = solution()
        assert refusal(passing({**right, "platform": platform})) == (400, "missing-session-id")
        del right["platform"]
        assert refusal(passing(right)) == (400, "missing-session-id")

    @pytest.mark.parametrize("session_id", ["x", "c2Vzc2lvbi0x", "A" * 75, "\ud800", "A" * 60_000])
    def test_an_unknown_session_is_refused(self, session_id: str) -> None:
        assert refusal(passing({**solution(), "platform": {"sessionId": session_id}})) == (400, "invalid-session")

    @pytest.mark.parametrize("now", [NOW + 901, NOW - 31])
    def test_a_session_of_another_time_is_refused(self, now: float) -> None:
        assert refusal(passing(solution(), now=now)) == (400, "invalid-session")

    def test_another_client_does_not_pass_a_session(self) -> None:
        assert refusal(passing(solution(), peer="198.51.100.7")) == (400, "invalid-session")
        assert passing(solution(peer=None), WON, peer="198.51.100.7").status == 200

    @pytest.mark.parametrize("headers", [{}, {"origin": "https://evil.example"}])
    def test_a_page_of_another_domain_does_not_pass(self, headers: dict[str, str]) -> None:
        assert refusal(passing(solution(), headers=headers)) == (403, "origin-not-allowed")

    def test_a_challenge_of_another_session_is_refused(self) -> None:
        right, other = solution(), solution(nonce=b"o" * 16)
        for one, another in ((right, other), (other, right)):
            assert refusal(passing({**one, "platform": another["platform"]})) == (403, "invalid-challenge")
        assert passing(right, WON).status == 200

    def test_a_challenge_of_another_site_or_of_cap_is_refused(self) -> None:
        right = solution()
        of_blog = said(start({"platform": {"sitekey": BLOG}}, Counted(1, NOW + 60)))
        cap = own().sites[SHOP].cap
        assert cap is not None
        of_cap = cap.issue(now=NOW, nonce=b"n" * 16, client="203.0.113.9")
        for token in (of_blog["token"], of_cap.token):
            sent = {"challenge": {"c": 2, "s": 32, "d": 1}, "token": token}
            body = {**right, "token": token, "solutions": solve_cap(sent)}
            assert refusal(passing(body)) == (403, "invalid-challenge")

    def test_a_challenge_that_has_expired_in_a_session_that_lives_is_told_apart(self) -> None:
        assert refusal(passing(solution(), now=NOW + 601)) == (403, "challenge-expired")

    @pytest.mark.parametrize("easier", [Work(puzzles=1, difficulty=1), Work(format=2, puzzles=2, difficulty=1)])
    def test_a_challenge_of_less_or_other_work_is_refused(self, easier: Work) -> None:
        assert refusal(passing(solution(work=easier))) == (403, "invalid-challenge")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"token": None}, "invalid-challenge"),
            ({"token": 7}, "invalid-challenge"),
            ({"token": ["x"]}, "invalid-challenge"),
            ({"token": ""}, "invalid-challenge"),
            ({"token": "x"}, "invalid-challenge"),
            ({"token": "A" * 84}, "invalid-challenge"),
            ({"token": "A" * 60_000}, "invalid-challenge"),
            ({"solutions": None}, "invalid-solution"),
            ({"solutions": 7}, "invalid-solution"),
            ({"solutions": "[1,2]"}, "invalid-solution"),
            ({"solutions": {"0": 1}}, "invalid-solution"),
            ({"solutions": []}, "invalid-solution"),
            ({"solutions": [1]}, "invalid-solution"),
            ({"solutions": [1, 2, 3]}, "invalid-solution"),
            ({"solutions": ["1", "2"]}, "invalid-solution"),
            ({"solutions": [1.0, 2.0]}, "invalid-solution"),
            ({"solutions": [True, True]}, "invalid-solution"),
            ({"solutions": [10**400, 1]}, "invalid-solution"),
            ({"solutions": [-1, -1]}, "invalid-solution"),
        ],
    )
    def test_what_is_not_right_is_refused_and_claims_nothing(self, change: dict[str, Any], code: str) -> None:
        right = solution()
        assert refusal(passing({**right, **change})) == (403, code)
        assert passing(right, WON).status == 200

    def test_wrong_work_is_refused_and_claims_nothing(self) -> None:
        right = solution()
        wrong = [one + 1 for one in right["solutions"]]
        assert refusal(passing({**right, "solutions": wrong})) == (403, "invalid-solution")
        assert passing(right, WON).status == 200

    def test_a_store_that_does_not_answer_gives_no_token(self) -> None:
        response = passing(solution(), DOWN)
        assert refusal(response) == (503, "unavailable")
        assert dict(response.headers)["Retry-After"] == "5"

    def test_reports_of_an_instrumentation_or_a_game_change_nothing(self) -> None:
        right = solution()
        more = {"instr_blocked": True, "instr": {"i": "x"}, "platform": {**right["platform"], "trace": [1]}}
        assert passing({**right, **more}, WON).status == 200

    @given(body=st.binary(max_size=200) | st.dictionaries(st.text(max_size=9), st.text(max_size=9)))
    def test_a_body_of_anything_is_answered_with_an_error_of_the_page(self, body: object) -> None:
        for act in ("verify/start", "verify/pass"):
            conversation = ask(act)
            send(conversation, body)
            assert refusal(conversation.end())[0] in (400, 404)


ACTS = {"widget/bootstrap": "GET, OPTIONS", "verify/start": "POST, OPTIONS", "verify/pass": "POST, OPTIONS"}


class TestPaths:
    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("headers", [{}, PAGE, {"origin": "https://evil.example"}])
    def test_a_preflight_lets_every_page_ask_and_read(self, act: str, headers: dict[str, str]) -> None:
        response = ask(act, method="OPTIONS", headers=headers).end()
        assert response.status == 204
        assert dict(response.headers) == {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": ACTS[act],
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Max-Age": "600",
            "Vary": "Origin",
        }

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "GET", "POST"])
    def test_other_methods_are_told_which_there_are(self, act: str, method: str) -> None:
        if method in ACTS[act]:
            return
        response = ask(act, method=method).end()
        assert refusal(response) == (405, "method-not-allowed")
        assert dict(response.headers)["Allow"] == ACTS[act]

    @pytest.mark.parametrize(
        "act", ["verify/", "verify/other", "widget/start", "verify/start/x", "verify", "game/start"]
    )
    def test_other_paths_are_not_there(self, act: str) -> None:
        assert ask(act).end().status == 404

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    def test_nothing_is_there_where_the_kind_is_not_in_process(self, act: str, method: str) -> None:
        response = ask(act, method=method, bare=True, query=f"sitekey={SHOP}").end()
        assert response.status == 404
        assert json.loads(response.body)["error_code"] == "not_found"


# The files of pages

BUNDLE = (
    b'(()=>{var H="https://verify.caputchin.com",P=`https://verify.caputchin.com/v1/verify/start`;'
    b"/* https://verify.caputchin.com and https://verify.caputchin.community, https://caputchin.com,"
    b" http://verify.caputchin.com, HTTPS://VERIFY.CAPUTCHIN.COM */\xe2\x9c\x93\xff\0})()\n"
)
FILES = files_of(
    {"widget.js": BUNDLE, "cap_wasm_bg.wasm": b"\0asm" + HOST, "pako_inflate.min.js": b"pako"}, "/.caputchin"
)


def fetch(name: str, method: str = "GET", files: Any = FILES, **headers: str) -> Response:
    plain = own()
    endpoints = Endpoints(
        plain.mount, plain.sites, plain.clock, plain.trusted_proxies, plain.counting_key, caputchin_files=files
    )
    named = {key.replace("_", "-"): (value,) for key, value in headers.items()}
    head = RequestHead(method, f"/.caputchin/caputchin/{name}", headers=named, peer="203.0.113.9")
    return Conversation(respond(head, endpoints)).end()


class TestFiles:
    @pytest.mark.parametrize("place", ["/.caputchin", "https://shop.example/.caputchin", "http://[::1]:8000/a/b"])
    def test_the_rewritten_widget_differs_in_the_host_alone(self, place: str) -> None:
        rewritten = fetch("widget.js", files=files_of({"widget.js": BUNDLE}, place)).body
        pieces = BUNDLE.split(b"https://verify.caputchin.com")
        assert len(pieces) == 5  # the third is the beginning of a longer word, and replaced all the same: literally
        assert rewritten == place.encode().join(pieces)
        assert HOST not in rewritten

    def test_what_stands_beside_the_widget_is_served_as_it_is(self) -> None:
        assert fetch("cap_wasm_bg.wasm").body == b"\0asm" + HOST
        assert fetch("pako_inflate.min.js").body == b"pako"

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [
            ("widget.js", "text/javascript; charset=utf-8"),
            ("shim.js", "text/javascript; charset=utf-8"),
            ("pako_inflate.min.js", "text/javascript; charset=utf-8"),
            ("cap_wasm_bg.wasm", "application/wasm"),
        ],
    )
    def test_a_file_is_cached_and_asked_for_again_by_its_tag(self, name: str, media_type: str) -> None:
        response = fetch(name)
        headers = dict(response.headers)
        assert response.status == 200
        assert headers["Content-Type"] == media_type
        assert headers["Content-Length"] == str(len(response.body))
        assert headers["Cache-Control"] == "public, max-age=3600"
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["X-Content-Type-Options"] == "nosniff"
        again = fetch(name, if_none_match=headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert dict(again.headers)["ETag"] == headers["ETag"]
        assert fetch(name, if_none_match='"other"').status == 200
        assert dict(fetch(name, "HEAD").headers) == headers
        assert fetch(name, "POST").status == 405

    def test_the_tag_is_of_what_is_sent_and_not_of_what_was_read(self) -> None:
        places = [files_of({"widget.js": BUNDLE}, place)["widget.js"].tag for place in ("/a", "/b")]
        assert len({*places}) == 2

    @pytest.mark.parametrize("name", ["widget.js", "cap_wasm_bg.wasm", "pako_inflate.min.js"])
    def test_a_file_that_the_operator_does_not_have_is_not_there(self, name: str) -> None:
        assert fetch(name, files=files_of({}, "/.caputchin")).status == 404
        assert fetch("shim.js", files=files_of({}, "/.caputchin")).status == 200

    @pytest.mark.parametrize("name", ["", "other.js", "../captcha.js", "widget.js/x", "shim.js%00", "widget.mjs"])
    def test_no_other_file_is_there(self, name: str) -> None:
        assert fetch(name).status == 404

    def test_nothing_of_a_request_reaches_a_file(self) -> None:
        """threats.md R4, R34: who asks for the widget does not tell it where to call."""
        asked = fetch("widget.js", host="evil.example", x_forwarded_host="evil.example", origin="https://evil.example")
        assert asked == fetch("widget.js")


def test_a_wrapped_token_is_what_the_page_says() -> None:
    token = said(passing(solution(), WON))["platform"]["wrappedToken"]
    assert json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))).keys() == {*"vkstxh"}
