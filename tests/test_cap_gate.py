"""Cap through a whole gate, over real servers: challenge, redeem and form, alone and in a race; and its settings."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from caputchin_gate import ConfigurationError, Failed, Gate, Passed, Reason, Route
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd
from caputchin_gate.engines.cap import CapChallenges, Redeemed
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.engines.solver import solve_cap
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit, Answer
from tests.scenarios import FORM, JSON
from tests.servers import Server, serve
from tests.wire import Answer as Reply
from tests.wire import exchange, request_bytes

EASY = {"puzzles": 4, "difficulty": 2}
STACKS = {"uvicorn-httptools": "tests.cap_site:app", "gunicorn-gthread": "tests.cap_site:wsgi"}
AT_ONCE = 20


@pytest.fixture(scope="module", params=STACKS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, STACKS[request.param], environment={"GATE_CAP": json.dumps(EASY)}) as started:
        yield started


def ask(server: Server, act: str, body: object = None, site: str = "shop") -> Reply:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"POST /.caputchin/cap/{site}/{act}\nOrigin: http://localhost" + (f"\n{JSON}" if content else "")
    return exchange(server.port, request_bytes(head, content))


def solution(server: Server) -> dict[str, Any]:
    issued = json.loads(ask(server, "challenge").body)
    return {"token": issued["token"], "solutions": solve_cap(issued)}


def redeemed(server: Server) -> str:
    return str(json.loads(ask(server, "redeem", solution(server)).body)["token"])


def post(server: Server, token: str) -> str:
    head = f"POST /contact\n{FORM}\nAccept: application/json"
    answer = exchange(server.port, request_bytes(head, f"message=hello&cap-token={token}".encode()))
    return "admitted" if answer.status == 200 else str(json.loads(answer.body)["error-codes"][0])


def test_a_solved_challenge_lets_one_submission_in(server: Server) -> None:
    token = redeemed(server)
    assert [post(server, token) for _ in range(2)] == ["admitted", "timeout-or-duplicate"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda token: "", "missing-input-response"),
        (lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"), "invalid-input-response"),
        (lambda token: token.replace("shop:", "blog:"), "invalid-input-response"),
        (lambda token: token.partition(":")[2], "invalid-input-response"),
        (lambda token: token.upper(), "invalid-input-response"),
        (lambda token: "A" * 32 + ".1", "invalid-input-response"),
    ],
    ids=["none", "changed", "another site", "two parts", "capitals", "a native token"],
)
def test_another_token_is_refused_and_the_right_one_stays_good(server: Server, change: Any, code: str) -> None:
    token = redeemed(server)
    assert post(server, change(token)) == code
    assert post(server, token) == "admitted"


def test_a_challenge_that_was_not_redeemed_is_no_token(server: Server) -> None:
    solved = solution(server)
    assert post(server, solved["token"]) == "invalid-input-response"
    assert ask(server, "redeem", solved).status == 200


def test_of_many_submissions_of_one_token_at_once_one_gets_in(server: Server) -> None:
    token = redeemed(server)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: post(server, token), range(AT_ONCE)))
    assert sorted(answers) == ["admitted"] + ["timeout-or-duplicate"] * (AT_ONCE - 1)


def test_of_many_redemptions_of_one_challenge_at_once_one_gets_a_token(server: Server) -> None:
    solved = solution(server)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: ask(server, "redeem", solved), range(AT_ONCE)))
    assert sorted(answer.status for answer in answers) == [200] + [403] * (AT_ONCE - 1)
    errors = {json.loads(answer.body).get("error") for answer in answers} - {None}
    assert errors == {"Challenge already redeemed"}


def test_a_token_that_a_back_end_verified_is_used_up_for_the_gate_and_the_other_way_round(server: Server) -> None:
    first, second = redeemed(server), redeemed(server)
    secret = "shop-secret-of-the-test"
    assert json.loads(ask(server, "siteverify", {"secret": secret, "response": first}).body) == {"success": True}
    assert post(server, first) == "timeout-or-duplicate"
    assert post(server, second) == "admitted"
    assert ask(server, "siteverify", {"secret": secret, "response": second}).status == 404


def test_errors_can_be_read_by_the_sites_pages(server: Server) -> None:
    answer = ask(server, "redeem", {})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (400, "http://localhost")
    assert "origin" in answer.headers["vary"].lower()


# Settings


def gate(**settings: Any) -> Gate:
    common: dict[str, Any] = {"provider": "cap", "verification": "in-process", "store": "memory"}
    return Gate(**{**common, "protect": ["POST /contact"], **settings})


@pytest.mark.parametrize(
    ("change", "setting", "hint"),
    [
        ({"in_process": {"cap": {"format": 3}}}, "in_process.cap.format", "from 1 to 2"),
        ({"in_process": {"cap": {"salt_length": 45}}}, "in_process.cap.salt_length", "from 8 to 44"),
        ({"in_process": {"cap": {"salt_length": 7}}}, "in_process.cap.salt_length", "from 8 to 44"),
        ({"in_process": {"cap": {"difficulty": 0}}}, "in_process.cap.difficulty", "from 1 to 8"),
        ({"in_process": {"cap": {"puzzles": 1001}}}, "in_process.cap.puzzles", "from 0 to 1000"),
        ({"in_process": {"cap": {"puzzles": 0}}}, "in_process.cap.puzzles", "no work"),
        ({"in_process": {"cap": {"format": 2, "puzzles": 0}}}, "in_process.cap.puzzles", "no work"),
        ({"in_process": {"cap": {"squarings": 75_000}}}, "in_process.cap.squarings", "format = 2"),
        ({"in_process": {"cap": {"format": 2, "squarings": 5}}}, "in_process.cap.squarings", "from 10000 to 300000"),
        ({"in_process": {"cap": {"squarings": False}}}, "in_process.cap.squarings", "whole number"),
        ({"in_process": {"cap": {"token_lifetime": "24h"}}}, "in_process.cap.token_lifetime", "60 to 7200"),
        ({"in_process": {"cap": {"lifetime": "1h"}}}, "in_process.cap.lifetime", "60 to 900"),
        ({"in_process": {"cap": {"puzzels": 5}}}, "in_process.cap.puzzels", "did you mean 'puzzles'?"),
        ({"in_process": {"cap": 7}}, "in_process.cap", "is not a table"),
        ({"in_process": {"sites": [{"site_key": "a:b"}]}}, "in_process.sites[0].site_key", "path"),
        ({"in_process": {"sites": [{"site_key": "a/b"}]}}, "in_process.sites[0].site_key", "path"),
        ({"protect": [Route("POST /x", action="signup")]}, "protect[0].action", "not reported by provider cap"),
        ({"secret": "x"}, "provider.secret", "no meaning with in-process"),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(change: dict[str, Any], setting: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gate(**change)
    (problem,) = caught.value.problems
    assert problem.setting == setting
    assert hint in str(problem)


def test_a_site_key_that_can_stand_in_no_path_is_fine_without_cap() -> None:
    gate(provider="caputchin", in_process={"sites": [{"site_key": "a:b"}]}).close()


# By hand, with the key of the gate


SIGNING_KEY = "a signing key that only these tests use"


def own_token(nonce: bytes = b"n" * 16, site_key: str = "default") -> str:
    """A redeem token that this gate would have given out."""
    key = hashlib.sha256(SIGNING_KEY.encode()).digest()
    engine = CapChallenges([key], site_key=site_key, work=Work(puzzles=1, difficulty=1))
    challenge = engine.issue(now=time.time(), nonce=nonce, client=None)
    solutions = solve_cap({"token": challenge.token, "challenge": {"c": 1, "s": 32, "d": 1}})
    redeemed = engine.redeem(challenge.token, solutions, now=time.time(), client=None)
    assert isinstance(redeemed, Redeemed)
    return redeemed.token


def test_a_token_is_verified_by_hand_once() -> None:
    own, token = gate(in_process={"signing_key": SIGNING_KEY}), own_token()
    verdicts = [own.verify(value) for value in (token, token, own_token(site_key="other"), "default:x:y", "")]
    own.close()
    assert isinstance(verdicts[0], Passed)
    assert verdicts[0].details == {"site_key": "default"}
    reasons = [verdict.reason for verdict in verdicts[1:] if isinstance(verdict, Failed)]
    assert reasons == [Reason.TOKEN_USED, Reason.TOKEN_REJECTED, Reason.TOKEN_MALFORMED, Reason.TOKEN_MISSING]


def test_a_token_of_any_site_of_the_gate_is_accepted() -> None:
    sites = [{"site_key": "shop"}, {"site_key": "blog"}]
    own = gate(in_process={"signing_key": SIGNING_KEY, "sites": sites})
    verdicts = [own.verify(own_token(site_key=key)) for key in ("shop", "blog", "shop", "default")]
    own.close()
    assert [type(verdict) for verdict in verdicts] == [Passed, Passed, Failed, Failed]


def submit(own: Gate, body: str) -> Reason | None:
    pieces = iter([body.encode()])
    head = RequestHead("POST", "/contact", headers={"content-type": ["application/x-www-form-urlencoded"]})
    ruling = own.handle(head, lambda _: next(pieces, BodyEnd.COMPLETE))
    assert isinstance(ruling, Admit | Answer)
    return ruling.decision.reason if ruling.decision is not None else None


def test_a_route_takes_tokens_of_cap_and_of_our_own_widget_by_their_fields() -> None:
    """For a move from one widget to the other."""
    ours = {"kind": "caputchin", "verification": "in-process"}
    own = gate(
        in_process={"signing_key": SIGNING_KEY, "client_binding": "off"},
        providers={"ours": ours},
        protect=[Route("POST /contact", provider=["cap", "ours"])],
    )
    token = own_token()
    assert submit(own, f"caputchin-token={token}") is Reason.TOKEN_MALFORMED
    assert submit(own, f"cap-token={token}") is Reason.VERIFIED
    assert submit(own, f"cap-token={token}") is Reason.TOKEN_USED
    assert submit(own, f"cap-token={token}&caputchin-token=x") is Reason.TOKEN_AMBIGUOUS
    own.close()


@pytest.mark.parametrize(("max_age", "reason"), [("1m", Reason.TOKEN_EXPIRED), ("5m", Reason.VERIFIED)])
def test_a_route_may_ask_for_a_fresh_token(max_age: str, reason: Reason) -> None:
    two_minutes_on = Clock(now=lambda: time.time() + 120, monotonic=time.monotonic, random_bytes=os.urandom)
    protect = [Route("POST /contact", max_age=max_age)]
    own = gate(clock=two_minutes_on, in_process={"signing_key": SIGNING_KEY}, protect=protect)
    assert submit(own, f"cap-token={own_token()}") is reason
    own.close()
