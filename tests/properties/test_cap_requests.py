"""Whatever is sent to Cap's paths: one of the page's answers, and nothing is used up that was not rightly brought.

Requests run against a real store in memory. Each one begins with a fresh challenge, solved; then one field is made
wrong, and after the refusal the right request must still go through.
"""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.drivers import World, run
from caputchin_gate.effects import BodyEnd
from caputchin_gate.endpoints.paths import respond
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.engines.cap import CapChallenges
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.rsw import TimeLock
from caputchin_gate.engines.solver import solve_cap
from caputchin_gate.http_client import HttpClient
from caputchin_gate.messages import RequestHead
from caputchin_gate.secret import Secret
from caputchin_gate.stores.memory import MemoryStore

KEY = b"k" * 32
CLIENT = HttpClient()  # nobody is called
START = 1_800_000_000.0
SECRETS = {"shop": "shop-secret", "blog": "blog-secret"}
LOCK = TimeLock(b"s" * 32, 20, bits=256)
WORKS = {
    "format 1": Work(puzzles=2, difficulty=3),
    "format 2": Work(format=2, puzzles=2, difficulty=3, squarings=20),
}

REDEEM_ERRORS = {
    (400, "Missing required fields"),
    (400, "Invalid solutions"),
    (403, "Invalid challenge token"),
    (403, "Challenge token does not match site key"),
    (403, "Challenge expired"),
    (403, "Invalid solution"),
    (404, "Invalid site key"),
}
SITEVERIFY_ERRORS = {
    (400, "Missing required parameters"),
    (404, "Invalid site key or secret"),
    (403, "Invalid site key or secret"),
    (404, "Token not found"),
    (403, "Token expired"),
}


@cache
def _solved(challenge: str) -> list[Any]:
    """Each server issues the same challenges in turn, so they are solved once."""
    return solve_cap(json.loads(challenge))


class Server:
    """The gate's side: a clock that tests move, a store of its own, two sites."""

    def __init__(self, work: Work) -> None:
        self.now = START
        self.world = World(CLIENT, MemoryStore())
        numbers = itertools.count(1)
        clock = Clock(lambda: self.now, lambda: self.now, lambda count: next(numbers).to_bytes(count))
        self.own = Endpoints("/.caputchin", {}, clock, TrustedProxies(), b"c" * 32)
        self.configure(work)

    def configure(self, work: Work) -> None:
        lock = LOCK if work.squarings else None
        sites = {
            key: Site(
                NativeChallenges([KEY], site_key=key, cap=10_000),
                (Secret(secret),),
                cap=CapChallenges([KEY], site_key=key, work=work, time_lock=lock),
            )
            for key, secret in SECRETS.items()
        }
        clock, proxies = self.own.clock, self.own.trusted_proxies
        self.own = Endpoints(self.own.mount, sites, clock, proxies, self.own.counting_key)

    def ask(self, path: str, body: bytes = b"", content_type: str = "application/json") -> tuple[int, dict[str, Any]]:
        pieces = iter([body] if body else [])
        headers = {"content-type": (content_type,), "origin": ("https://shop.example",)}
        head = RequestHead("POST", f"/.caputchin/cap/{path}", headers=headers, peer="203.0.113.9")
        response = run(respond(head, self.own), self.world, lambda _: next(pieces, BodyEnd.COMPLETE))
        assert dict(response.headers)["Cache-Control"] == "no-store"
        told: dict[str, Any] = json.loads(response.body)
        return response.status, told

    def solution(self, site: str = "shop") -> dict[str, Any]:
        status, issued = self.ask(f"{site}/challenge")
        assert status == 200
        return {"token": issued["token"], "solutions": _solved(json.dumps(issued))}

    def redeem(self, body: object, site: str = "shop") -> tuple[int, dict[str, Any]]:
        return self.ask(f"{site}/redeem", body if isinstance(body, bytes) else json.dumps(body).encode())

    def token(self, site: str = "shop") -> str:
        status, told = self.redeem(self.solution(site), site)
        assert status == 200
        return str(told["token"])

    def verify(self, body: object, site: str = "shop") -> tuple[int, dict[str, Any]]:
        return self.ask(f"{site}/siteverify", body if isinstance(body, bytes) else json.dumps(body).encode())


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LONG = st.integers(1, 3).map(lambda times: "A" * 84 * 20 ** (times - 1))
FORMATS = pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)


def spliced(one: str, other: str) -> st.SearchStrategy[str]:
    """Pieces of both, and one with a character changed, dropped or doubled."""
    cut = st.integers(0, len(one))
    return st.one_of(
        cut.map(lambda at: one[:at] + other[at:]),
        cut.map(lambda at: one[:at] + one[at + 1 :]),
        cut.map(lambda at: one[:at] + one[at : at + 1] + one[at:]),
        st.tuples(cut, st.sampled_from("AZaz09-_:.= \u00e9\x00")).map(
            lambda change: one[: change[0]] + change[1] + one[change[0] + 1 :]
        ),
    )


@FORMATS
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_wrong_field_redeems_anything_or_costs_the_visitor_the_challenge(work: Work, data: st.DataObject) -> None:
    server = Server(work)
    right, other = server.solution(), server.solution()
    token = data.draw(
        st.one_of(st.just(right["token"]), spliced(right["token"], other["token"]), LONG, ANY_JSON), "token"
    )
    solutions = data.draw(
        st.one_of(
            st.just(right["solutions"]),
            st.just(other["solutions"]),
            st.just(right["solutions"][::-1]),
            st.lists(st.sampled_from([*right["solutions"], *other["solutions"]]) | ANY_JSON, max_size=5),
            ANY_JSON,
        ),
        "solutions",
    )
    sent = {"token": token, "solutions": solutions, **data.draw(st.dictionaries(st.text(max_size=9), ANY_JSON))}
    for name in data.draw(st.sets(st.sampled_from(["token", "solutions"])), "missing"):
        del sent[name]
    status, told = server.redeem(sent)
    whole = next((one for one in (right, other) if same(one, sent)), None)
    assert (status == 200) is (whole is not None)
    if whole is None:
        assert (status, told["error"]) in REDEEM_ERRORS
    for one in (right, other):
        if one is not whole:
            assert server.redeem(one)[0] == 200
        assert server.redeem(one) == (403, {"success": False, "error": "Challenge already redeemed"})


def same(right: dict[str, Any], sent: dict[str, Any]) -> bool:
    """Compared as text: 1, 1.0 and True are equal and not the same. Targets are long enough that no guess is right."""
    return json.dumps([sent.get("token"), sent.get("solutions")]) == json.dumps([right["token"], right["solutions"]])


@FORMATS
@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_a_body_of_any_bytes_is_answered_with_an_error_of_the_page(work: Work, body: bytes) -> None:
    server = Server(work)
    status, told = server.redeem(body)
    assert (status, told["error"]) in REDEEM_ERRORS
    status, told = server.verify(body)
    assert (status, told["error"]) in SITEVERIFY_ERRORS


ELSEWHERE = {
    "at another site": (lambda server: None, "blog", (403, "Challenge token does not match site key")),
    "at no site": (lambda server: None, "nobody", (404, "Invalid site key")),
    "too late": (lambda server: _move(server, 601), "shop", (403, "Challenge expired")),
    "before its time": (lambda server: _move(server, -31), "shop", (403, "Invalid challenge token")),
    "after the work was raised": (
        lambda server: server.configure(Work(server.own.sites["shop"].cap.work.format, 3, 32, 3)),
        "shop",
        (403, "Invalid challenge token"),
    ),
}


def _move(server: Server, seconds: float) -> None:
    server.now += seconds


@FORMATS
@pytest.mark.parametrize("case", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_solved_challenge_is_good_at_its_site_in_its_time_for_the_work_asked(work: Work, case: Any) -> None:
    change, site, error = case
    server = Server(work)
    right = server.solution()
    change(server)
    status, told = server.redeem(right, site)
    assert (status, told["error"]) == error
    server.now = START
    server.configure(work)
    assert server.redeem(right)[0] == 200


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_wrong_field_verifies_or_uses_a_token_up(data: st.DataObject) -> None:
    server = Server(WORKS["format 1"])
    token, same_site, other = server.token(), server.token(), server.token("blog")
    response = data.draw(
        st.one_of(st.sampled_from([token, other]), spliced(token, other), spliced(token, same_site), ANY_JSON),
        "response",
    )
    secret = data.draw(st.sampled_from([*SECRETS.values(), "", "wrong"]) | ANY_JSON, "secret")
    site = data.draw(st.sampled_from(["shop", "blog", "nobody"]), "site")
    sent = {"secret": secret, "response": response, **data.draw(st.dictionaries(st.text(max_size=9), ANY_JSON))}
    for name in data.draw(st.sets(st.sampled_from(["secret", "response"])), "missing"):
        del sent[name]
    status, told = server.verify(sent, site)
    tokens = {token: "shop", same_site: "shop", other: "blog"}
    spelt = sent["response"].strip(" \t\r\n") if isinstance(sent.get("response"), str) else None
    rightly = spelt in tokens and tokens[spelt] == site and sent.get("secret") == SECRETS[site]
    assert (status == 200) is rightly
    if not rightly:
        assert (status, told["error"]) in SITEVERIFY_ERRORS
    for one, key in tokens.items():
        if not (rightly and one == spelt):
            assert server.verify({"secret": SECRETS[key], "response": one}, key) == (200, {"success": True})
        again = server.verify({"secret": SECRETS[key], "response": one}, key)
        assert again == (404, {"success": False, "error": "Token not found"})


@pytest.mark.parametrize(
    ("moved", "error"), [(1201, (403, "Token expired")), (-31, (404, "Token not found"))], ids=["expired", "future"]
)
def test_a_token_is_good_in_its_time_and_is_not_used_up_outside_of_it(moved: float, error: tuple[int, str]) -> None:
    server = Server(WORKS["format 1"])
    asked = {"secret": "shop-secret", "response": server.token()}
    server.now += moved
    status, told = server.verify(asked)
    assert (status, told["error"]) == error
    server.now = START
    assert server.verify(asked)[0] == 200


@settings(max_examples=40, deadline=None)
@given(fields=st.permutations(["secret", "response", "secret", "response"]), wrong=st.integers(0, 3))
def test_of_repeated_fields_the_first_counts_in_a_form_and_in_json(fields: list[str], wrong: int) -> None:
    server = Server(WORKS["format 1"])
    right = {"secret": "shop-secret", "response": server.token()}
    pairs = [(name, "a:b:c" if place == wrong else right[name]) for place, name in enumerate(fields)]
    expected = fields.index(fields[wrong]) != wrong
    as_json = "{" + ",".join(f'"{name}":"{value}"' for name, value in pairs) + "}"
    form = "application/x-www-form-urlencoded"
    answers = [server.ask("shop/siteverify", urlencode(pairs).encode(), form)[0], server.verify(as_json.encode())[0]]
    assert [status == 200 for status in answers] == [expected, False]
    if not expected:
        assert server.verify(right)[0] == 200
