"""Hardening through whole gates: floods and wrong tokens make challenges harder for everybody, and that ends.

Over real servers where processes have to agree, and with a clock of the test's own where time has to pass.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from caputchin_gate import Failed, Gate, Passed, Route
from caputchin_gate.clock import Clock
from caputchin_gate.difficulty import Hardening, base_targets, target_for
from caputchin_gate.effects import BodyEnd
from caputchin_gate.engines.altcha.solver import solve as solve_altcha
from caputchin_gate.engines.solver import solve
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit, Answer
from tests.redis_servers import RedisServer
from tests.servers import STARTUP, serve
from tests.test_asn import HOSTER, database
from tests.test_doors import fresh_token, wrong_token
from tests.test_workers import redis, sqlite

CALM, SUSPICIOUS, UNDER_ATTACK, CRITICAL = Hardening
NOON = 1_800_000_000.0
NATIVE, CAP, ALTCHA = "api/v1/captcha/challenge", "cap/default/challenge", "altcha/default/challenge"


def state_in(challenge: dict[str, Any]) -> Hardening:
    """The state that a native challenge was issued in, as its token tells."""
    return Hardening(base64.urlsafe_b64decode(challenge["token"])[4] >> 6)


# With a clock of our own


class Site:
    """A gate for all protocols. Its store is real, its clock is ours."""

    def __init__(self, store: str = "memory", **in_process: Any) -> None:
        self.now = NOON
        clock = Clock(lambda: self.now, lambda: self.now, lambda count: b"n" * count)
        self.gate = Gate(
            provider={"kind": "caputchin", "verification": "in-process"},
            providers={kind: {"kind": kind, "verification": "in-process"} for kind in ("cap", "altcha")},
            protect=[Route("POST /contact", provider=["caputchin", "cap", "altcha"])],
            store=store,
            clock=clock,
            in_process={"client_binding": "off", "challenges_per_minute": 10_000, **in_process},
        )

    def ask(self, path: str = NATIVE, *, peer: str = "203.0.113.9") -> tuple[int, dict[str, Any]]:
        head = RequestHead("GET" if path == ALTCHA else "POST", f"/.caputchin/{path}", peer=peer)
        body = iter((b"{}", BodyEnd.COMPLETE))
        answer = self.gate.handle(head, lambda _: next(body))
        assert isinstance(answer, Answer)
        return answer.response.status, json.loads(answer.response.body)

    def state(self, *, peer: str = "203.0.113.9") -> Hardening:
        status, challenge = self.ask(peer=peer)
        assert status == 200
        return state_in(challenge)

    def send(self, token: str, field: str = "caputchin-token") -> bool:
        """Whether a form with this token is let in."""
        headers = {"content-type": ("application/x-www-form-urlencoded",)}
        head = RequestHead("POST", "/contact", headers=headers, peer="203.0.113.9")
        body = iter((f"{field}={token}".encode(), BodyEnd.COMPLETE))
        return isinstance(self.gate.handle(head, lambda _: next(body)), Admit)

    def is_attacked(self, tokens: int = 60) -> None:
        for number in range(tokens):
            assert not self.send("A" * 32 + f".{number}")
        self.now += 1


def test_wrong_tokens_raise_the_work_of_every_protocol_and_time_lowers_it() -> None:
    site = Site()
    site.is_attacked()
    _, native = site.ask()
    _, cap = site.ask(CAP)
    _, altcha = site.ask(ALTCHA)
    assert (state_in(native), native["target"]) == (CRITICAL, 65535)
    assert cap["challenge"] == {"c": 50, "s": 32, "d": 5}
    assert altcha["maxnumber"] >= 2 * 16 * 4096
    assert site.gate.hardening() == {"default": "critical"}
    attacked = site.now
    for seconds, expected in ((59, CRITICAL), (599, CRITICAL), (661, CALM)):
        site.now = attacked + seconds
        assert site.state() is expected
    assert (site.ask(CAP)[1]["challenge"], site.gate.hardening()) == (
        {"c": 50, "s": 32, "d": 4},
        {"default": "normal"},
    )


def test_a_challenge_of_an_attack_is_solved_and_admitted_like_any_other() -> None:
    site = Site()
    site.is_attacked()
    _, native = site.ask()
    token = f"{native['token']}.{solve(native['token'], native['target'])}"
    assert site.send(token)
    assert not site.send(token)
    _, altcha = site.ask(ALTCHA)
    assert site.send(solve_altcha(altcha).replace("+", "%2B"), "altcha")


def test_right_tokens_and_what_is_no_token_raise_nothing() -> None:
    site = Site()
    for _ in range(60):
        _, challenge = site.ask()
        assert site.send(f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}")
        site.now += 1.5
    for _ in range(200):
        assert not site.send("garbage")
    site.now += 1
    assert site.state() is CALM


@pytest.mark.parametrize("path", [NATIVE, CAP, ALTCHA])
def test_the_verify_endpoint_of_another_back_end_counts_too(path: str) -> None:
    secret = "a secret of this site"
    site = Site(sites=[{"site_key": "default", "secret": secret}])
    headers = {"authorization": (f"Bearer {secret}",)}
    for number in range(60):
        if path == NATIVE:
            head = RequestHead("POST", "/.caputchin/api/v1/captcha/verify", headers=headers, peer="127.0.0.1")
            sent: dict[str, Any] = {"response": "A" * 32 + f".{number}"}
        elif path == CAP:
            head = RequestHead("POST", "/.caputchin/cap/default/siteverify", peer="127.0.0.1")
            sent = {"secret": secret, "response": f"default:{'0' * 32}:{number:060x}"}
        else:
            head = RequestHead("POST", "/.caputchin/cap/default/redeem", peer="203.0.113.9")
            sent = {"token": "A" * 84, "solutions": [number]}
        body = iter((json.dumps(sent).encode(), BodyEnd.COMPLETE))
        site.gate.handle(head, lambda _, body=body: next(body))  # type: ignore[misc]
    site.now += 1
    assert site.state() is CRITICAL


def test_verifying_by_hand_counts_too() -> None:
    site = Site()
    for number in range(60):
        assert isinstance(site.gate.verify("A" * 32 + f".{number}", remote_ip="203.0.113.9"), Failed)
    site.now += 1
    _, challenge = site.ask()
    assert state_in(challenge) is CRITICAL
    token = f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"
    assert isinstance(site.gate.verify(token), Passed)


def test_the_settings_decide() -> None:
    mild = {"multipliers": [1, 1.5, 2], "sticky": ["1s", "1s", "2m"], "failed": [0.1, 0.2, 0.3]}
    site = Site(hardening=mild)
    site.is_attacked()
    assert site.ask()[1]["target"] == target_for(base_targets(10_000)[0], 2)
    site.now += 61
    assert site.state() is CRITICAL
    site.now += 121
    assert site.state() is CALM


def test_hardening_can_be_switched_off() -> None:
    site = Site(hardening={"enabled": False})
    site.is_attacked(200)
    assert site.state() is CALM


def test_machines_in_datacenters_raise_the_state(tmp_path: Path) -> None:
    own = {"asn_database": database(tmp_path / "asn.mmdb"), "datacenter_asns": [HOSTER], "spike": False}
    site = Site(hardening=own)
    for number in range(400):
        site.ask(peer=("192.0.2.7", "192.0.2.8", "192.0.2.9", "198.51.100.1")[number % 4])
        site.now += 0.05
    assert site.state() is UNDER_ATTACK


@pytest.mark.parametrize("path", [NATIVE, CAP, ALTCHA])
def test_beyond_the_cap_on_all_nobody_gets_a_challenge_until_the_minute_is_over(path: str) -> None:
    site = Site(challenges_per_minute_in_all=100)
    statuses = [site.ask(path, peer=f"198.51.100.{number}")[0] for number in range(102)]
    assert statuses == [200] * 100 + [429] * 2
    site.now += 12.5
    status, told = site.ask()
    assert (status, told["error_code"], told["retry_after"]) == (429, "rate_limited", 48)
    site.now = NOON + 60
    assert site.ask(path)[0] == 200


def test_a_record_that_somebody_damaged_stops_nothing(tmp_path: Path) -> None:
    import sqlite3

    site = Site(f"sqlite:///{tmp_path}/gate.db")
    site.is_attacked()
    assert site.state() is CRITICAL
    with sqlite3.connect(tmp_path / "gate.db") as store:
        store.execute("UPDATE records SET value = x'00ff'")
    site.now += 1
    assert site.ask()[0] == 200
    site.now += 1
    assert site.ask()[0] == 200


def test_a_store_that_hangs_stops_no_submission_from_being_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        site = Site(server.url)
        site.is_attacked()
        assert site.state() is CRITICAL
        with server.hanging():
            started = time.monotonic()
            for number in range(50):
                assert not site.send("A" * 32 + f".{number}")
            assert time.monotonic() - started < 10  # one or two of them had to wait for the store
        site.now += 10
        assert site.state() is CRITICAL


# Over servers with two workers


class Worker:
    """A connection that is kept, and so stays with one worker."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        _, self.process, _ = self._ask("GET", "/runs")

    def _ask(self, method: str, path: str, body: str = "", kind: str = "json") -> tuple[int, str, bytes]:
        self._connection.request(method, path, body, {"Content-Type": f"application/{kind}"})
        answer = self._connection.getresponse()
        return answer.status, answer.getheader("X-Process", ""), answer.read()

    def close(self) -> None:
        self._connection.close()

    def challenge(self) -> dict[str, Any]:
        status, process, body = self._ask("POST", f"/.caputchin/{NATIVE}", "{}")
        assert (status, process) == (200, self.process)
        found: dict[str, Any] = json.loads(body)
        return found

    def post(self, token: str) -> int:
        status, process, _ = self._ask("POST", "/contact", f"caputchin-token={token}", "x-www-form-urlencoded")
        assert process == self.process
        return status


def two_workers(port: int) -> tuple[Worker, Worker]:
    """Both, as soon as both are up."""
    first, started = Worker(port), time.monotonic()
    while (second := Worker(port)).process == first.process:
        second.close()
        assert time.monotonic() - started < STARTUP
    return first, second


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


STACKS = [
    ("uvicorn-httptools", "tests.worker_processes:asgi", sqlite),
    ("uvicorn-httptools", "tests.worker_processes:asgi", redis),
    ("gunicorn-gthread", "tests.worker_processes:wsgi", sqlite),
    ("gunicorn-gthread", "tests.worker_processes:wsgi", redis),
]


@pytest.mark.parametrize(("stack", "app", "store"), STACKS)
def test_workers_agree_within_about_a_second(
    tmp_path: Path, opened: ExitStack, stack: str, app: str, store: Any
) -> None:
    environment = {
        "WEB_CONCURRENCY": "2",
        "GUNICORN_CMD_ARGS": "--keep-alive 60",
        "UVICORN_TIMEOUT_KEEP_ALIVE": "60",
        "GATE_STORE": store(tmp_path, opened),
    }
    server = opened.enter_context(serve(stack, app, environment=environment))
    attacked, other = two_workers(server.port)
    assert attacked.post(fresh_token()) == 200
    assert state_in(other.challenge()) is CALM
    for _ in range(60):
        assert attacked.post(wrong_token()) == 403
    told = time.monotonic()
    while state_in(challenge := attacked.challenge()) is CALM:
        assert time.monotonic() - told < 3
    while state_in(other.challenge()) is CALM:
        assert time.monotonic() - told < 3
    assert {state_in(attacked.challenge()), state_in(other.challenge())} == {CRITICAL}
    # What is harder is still solved, by whatever worker it is sent to.
    assert other.post(f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}") == 200


def test_a_flood_of_challenge_requests_raises_the_target(tmp_path: Path) -> None:
    with serve("uvicorn-httptools", "tests.worker_processes:asgi", environment={"GATE_STORE": "memory"}) as server:
        worker = Worker(server.port)
        calm = worker.challenge()
        started = time.monotonic()
        while state_in(flooded := worker.challenge()) is CALM:
            assert time.monotonic() - started < 10
        assert state_in(flooded) is SUSPICIOUS  # as the site is new, it is not known what is usual there
        assert flooded["target"] <= calm["target"] / 1.5
