"""What a bot operator tries with real challenges, over a real server. Each was admitted by some captcha once."""

from __future__ import annotations

import hashlib
import json
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from tests.echo import SIGNING_KEY
from tests.scenarios import FORM
from tests.servers import Server, serve
from tests.wire import Answer, exchange, request_bytes

KEY = hashlib.sha256(SIGNING_KEY.encode()).digest()
CLIENT = "198.51.100.7"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("store") / "gate.db"
    # Not uvicorn: from loopback it believes X-Forwarded-For itself, before the gate can.
    with serve("hypercorn", "tests.bound:asgi", environment={"GATE_STORE": f"sqlite:///{store}"}) as started:
        yield started


def ask(server: Server, client: str = CLIENT, **body: Any) -> Answer:
    head = f"POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json\nX-Forwarded-For: {client}"
    return exchange(server.port, request_bytes(head, json.dumps({"site_key": "shop", **body}).encode()))


def post(server: Server, token: str, client: str = CLIENT) -> Answer:
    head = f"POST /contact\n{FORM}\nX-Forwarded-For: {client}\nAccept: application/json"
    return exchange(server.port, request_bytes(head, f"caputchin-token={token}".encode()))


def refused(answer: Answer, code: str) -> bool:
    return answer.status == 403 and json.loads(answer.body)["error-codes"] == [code]


def solved(challenge: dict[str, Any]) -> str:
    return f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"


def own_challenge(site_key: str = "shop", *, age: float = 0, **more: Any) -> str:
    """A challenge that this gate would have issued, at another time or for another site."""
    maker = NativeChallenges([KEY], site_key=site_key, cap=20)
    arguments = {"nonce": os.urandom(4), "step": 1, "client": None, **more}
    challenge = maker.issue(now=time.time() - age, **arguments)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


def test_a_solved_challenge_is_admitted_for_its_client_once(server: Server) -> None:
    token = solved(json.loads(ask(server).body))
    assert post(server, token).status == 200
    assert refused(post(server, token), "timeout-or-duplicate")
    other_solution = f"{token.split('.')[0]}.{next_solution(token)}"
    assert refused(post(server, other_solution), "timeout-or-duplicate")


def next_solution(token: str) -> int:
    """Another number that solves the same challenge: one challenge is one token, however it is solved."""
    challenge, first = token.split(".")
    number = int(first) + 1
    while int.from_bytes(hashlib.sha256(f"{challenge}{number}".encode()).digest()[:4]) > 0x000FFFFF:
        number += 1
    return number


def test_a_token_of_another_client_network_is_refused_and_stays_usable_for_its_own(server: Server) -> None:
    token = solved(json.loads(ask(server).body))
    assert refused(post(server, token, client="203.0.113.9"), "token-elsewhere")
    assert post(server, token).status == 200


def test_privacy_addresses_of_one_ipv6_network_are_one_client(server: Server) -> None:
    token = solved(json.loads(ask(server, client="2001:db8:0:1::1").body))
    assert refused(post(server, token, client="2001:db8:0:2::1"), "token-elsewhere")
    assert post(server, token, client="2001:db8:0:1:dead:beef:0:1").status == 200


def test_an_expired_challenge_is_refused(server: Server) -> None:
    assert refused(post(server, own_challenge(age=122)), "timeout-or-duplicate")


def test_a_challenge_from_the_future_is_refused(server: Server) -> None:
    assert refused(post(server, own_challenge(age=-60)), "invalid-input-response")


def test_cve_2025_24369_any_hash_and_a_lowered_difficulty_are_refused(server: Server) -> None:
    challenge = json.loads(ask(server).body)["token"]
    assert refused(post(server, f"{challenge}.0"), "invalid-input-response")
    raw = bytearray(urlsafe_b64decode(challenge))
    for difficulty in (b"\x00\x00", b"\x00\x01", b"\xff\xff", b"\xc0\x00"):
        raw[4:6] = difficulty
        forged = urlsafe_b64encode(raw).decode()
        assert (
            refused(post(server, f"{forged}.{solve(forged, 0x000FFFFF)}"), "invalid-input-response")
            or raw[4:6] == urlsafe_b64decode(challenge)[4:6]
        )


def test_a_spliced_lifetime_is_refused(server: Server) -> None:
    """GHSA-6gvq-jcmp-8959: every parameter lies inside the MAC."""
    raw = bytearray(urlsafe_b64decode(own_challenge(age=100).split(".")[0]))
    raw[:4] = int(time.time()).to_bytes(4)
    forged = urlsafe_b64encode(raw).decode()
    assert refused(post(server, f"{forged}.{solve(forged, 0x000FFFFF)}"), "invalid-input-response")


def test_a_challenge_of_another_key_or_site_or_action_is_refused(server: Server) -> None:
    foreign = NativeChallenges([b"x" * 32], site_key="shop", cap=20)
    challenge = foreign.issue(now=time.time(), nonce=b"1234", step=1, client=None)
    token = f"{challenge.token}.{solve(challenge.token, challenge.target)}"
    assert refused(post(server, token), "invalid-input-response")
    assert refused(post(server, own_challenge("elsewhere")), "invalid-input-response")
    assert refused(post(server, own_challenge(action="login")), "invalid-input-response")


def test_both_sites_of_the_gate_are_accepted(server: Server) -> None:
    assert post(server, own_challenge("shop")).status == 200
    assert post(server, own_challenge("blog")).status == 200


def test_a_client_that_asks_too_often_works_harder_and_is_then_told_to_wait(server: Server) -> None:
    client = "198.51.100.99"
    answers = [ask(server, client=client) for _ in range(21)]
    targets = [json.loads(answer.body)["target"] for answer in answers[:19]]
    assert targets == sorted(targets, reverse=True)
    assert (targets[0], targets[-1]) == (0x000FFFFF, 0x0000FFFF)
    assert [answer.status for answer in answers[19:]] == [429, 429]
    assert 1 <= int(answers[20].headers["retry-after"]) <= 60
    assert ask(server, client="198.51.100.98").status == 200


def test_a_forwarded_address_that_is_none_counts_as_the_proxy(server: Server) -> None:
    for garbled in ("not an address", "198.51.100.7, garbage", "", "198.51.100.7;", "\x80"):
        token = solved(json.loads(ask(server, client=garbled).body))
        assert refused(post(server, token), "token-elsewhere")
        assert post(server, token, client="127.0.0.1").status == 200
