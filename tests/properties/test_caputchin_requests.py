"""Whatever is sent to Caputchin's paths: one of the page's answers, and only what was rightly brought is used up.

Requests run against a real store in memory. Each example begins with two sessions, solved; then fields are made wrong
or exchanged, and after the refusal the right requests must still go through, once.
"""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.drivers import World, run
from caputchin_gate.effects import BodyEnd
from caputchin_gate.endpoints.paths import respond
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.engines import Solved
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.engines.caputchin import CaputchinSessions
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve_cap
from caputchin_gate.http_client import HttpClient
from caputchin_gate.messages import RequestHead
from caputchin_gate.stores.memory import MemoryStore

KEY = b"k" * 32
CLIENT = HttpClient()  # nobody is called
NOW = 1_800_000_000.0
SITES = ("cpt_pub_shop", "cpt_pub_blog")

ERRORS = {
    (400, "bad-request"),
    (400, "missing-session-id"),
    (400, "invalid-session"),
    (403, "invalid-challenge"),
    (403, "invalid-solution"),
    (404, "invalid-sitekey"),
}


@cache
def _solved(challenge: str) -> list[Any]:
    """Each server issues the same challenges in turn, so they are solved once."""
    return solve_cap(json.loads(challenge))


class Server:
    """The gate's side, with a store of its own and two sites."""

    def __init__(self) -> None:
        self.world = World(CLIENT, MemoryStore())
        numbers = itertools.count(1)
        clock = Clock(lambda: NOW, lambda: NOW, lambda count: next(numbers).to_bytes(count))
        sites = {
            key: Site(
                NativeChallenges([KEY], site_key=key, cap=10_000),
                caputchin=CaputchinSessions([KEY], site_key=key, work=Work(puzzles=2, difficulty=3)),
            )
            for key in SITES
        }
        self.own = Endpoints("/.caputchin", sites, clock, TrustedProxies(), b"c" * 32)

    def ask(self, act: str, body: object) -> tuple[int, dict[str, Any]]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        pieces = iter([content] if content else [])
        headers = {"content-type": ("application/json",), "origin": ("https://shop.example",)}
        head = RequestHead("POST", f"/.caputchin/v1/verify/{act}", headers=headers, peer="203.0.113.9")
        response = run(respond(head, self.own), self.world, lambda _: next(pieces, BodyEnd.COMPLETE))
        told: dict[str, Any] = json.loads(response.body)
        return response.status, told

    def solution(self, site_key: str) -> dict[str, Any]:
        status, issued = self.ask("start", {"platform": {"sitekey": site_key, "gameId": None}})
        assert status == 200
        return {"token": issued["token"], "solutions": _solved(json.dumps(issued)), "platform": issued["platform"]}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def spliced(one: str, other: str) -> st.SearchStrategy[str]:
    """Pieces of both, and one with a character dropped, doubled or changed."""
    cut = st.integers(0, len(one))
    return st.one_of(
        cut.map(lambda at: one[:at] + other[at:]),
        cut.map(lambda at: one[:at] + one[at + 1 :]),
        cut.map(lambda at: one[:at] + one[at : at + 1] + one[at:]),
        st.tuples(cut, st.sampled_from("AZaz09-_.= \u00e9\x00")).map(
            lambda change: one[: change[0]] + change[1] + one[change[0] + 1 :]
        ),
    )


def text_of(body: dict[str, Any]) -> str:
    """Compared as text: 1, 1.0 and True are equal and not the same."""
    platform = body.get("platform")
    session_id = platform.get("sessionId") if isinstance(platform, dict) else None
    return json.dumps([body.get("token"), body.get("solutions"), session_id])


@settings(max_examples=100)
@given(data=st.data(), sites=st.tuples(st.sampled_from(SITES), st.sampled_from(SITES)))
def test_no_wrong_field_passes_or_costs_the_visitor_the_session(data: st.DataObject, sites: tuple[str, str]) -> None:
    server = Server()
    right, other = map(server.solution, sites)
    ids = [one["platform"]["sessionId"] for one in (right, other)]
    sent = {
        "token": data.draw(
            st.sampled_from([right["token"], other["token"]]) | spliced(right["token"], other["token"]) | ANY_JSON
        ),
        "solutions": data.draw(
            st.sampled_from([right["solutions"], other["solutions"], right["solutions"][::-1]]) | ANY_JSON
        ),
        "platform": data.draw(
            (st.sampled_from(ids) | spliced(*ids) | ANY_JSON).map(lambda value: {"sessionId": value}) | ANY_JSON
        ),
        **data.draw(st.dictionaries(st.text(max_size=9), ANY_JSON)),
    }
    for name in data.draw(st.sets(st.sampled_from(["token", "solutions", "platform"]), max_size=1)):
        del sent[name]
    status, told = server.ask("pass", sent)
    whole = next((one for one in (right, other) if text_of(one) == text_of(sent)), None)
    assert (status == 200) is (whole is not None)
    if whole is None:
        assert (status, told["error"]) in ERRORS
    for one in (right, other):
        if one is not whole:
            assert server.ask("pass", one)[0] == 200
        again = server.ask("pass", one)
        assert (again[0], again[1]["error"]) == (403, "already-redeemed")


@settings(max_examples=60)
@given(body=st.binary(max_size=200) | ANY_JSON, act=st.sampled_from(["start", "pass"]))
def test_a_body_of_anything_is_answered_with_an_error_of_the_page(body: object, act: str) -> None:
    status, told = Server().ask(act, body)
    assert (status, told["error"]) in ERRORS
    assert told == {"success": False, "error": told["error"], "error-codes": [told["error"]]}


@settings(max_examples=100)
@given(data=st.data())
def test_pieces_of_two_right_tokens_are_none(data: st.DataObject) -> None:
    server = Server()
    tokens: list[str] = []
    for site_key in (SITES[0], SITES[0]):
        _, told = server.ask("pass", server.solution(site_key))
        tokens.append(told["platform"]["wrappedToken"])
    sessions = server.own.sites[SITES[0]].caputchin
    assert sessions is not None
    judged = [sessions.check(token, now=NOW, client="203.0.113.9") for token in tokens]
    claims = {each.claim_key for each in judged if isinstance(each, Solved)}
    assert len(claims) == 2
    changed = sessions.check(data.draw(spliced(*tokens)), now=NOW, client="203.0.113.9")
    assert not isinstance(changed, Solved) or changed.claim_key in claims
