"""The limit on submissions of one client network: what counts, what does not, and the same at every door."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caputchin_gate import Gate, Route
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd, Count, Counted, ReadBody, StoreDown
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.policy import Admit, Answer, PassOn, decide
from caputchin_gate.submissions import SubmissionLimit, over_limit
from caputchin_gate.verdict import Reason
from tests.conversation import Conversation
from tests.scenarios import FORM
from tests.servers import serve
from tests.sidecar.running import sidecar
from tests.sidecar.scripted import Scripted
from tests.test_doors import fresh_token
from tests.test_policy import settings, terms
from tests.wire import exchange, request_bytes

NOW = 1_800_000_000.0
LIMIT = SubmissionLimit(3, b"key")


class Site:
    """A gate with a limit of three a minute, in process; time is the test's."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        clock = Clock(now=lambda: self.now, monotonic=lambda: self.now, random_bytes=lambda count: b"r" * count)
        self.read = 0
        self.gate = Gate(
            clock=clock,
            **{
                "provider": "caputchin",
                "verification": "in-process",
                "protect": ["POST /contact", "POST /other", Route("POST /passed", on_refuse="pass")],
                "store": "memory",
                "limits": {"submissions_per_minute": 3},
                **options,
            },
        )

    def send(self, path: str = "/contact", peer: str | None = "203.0.113.7", **headers: str) -> Reason | None:
        ruling = self.ruling(path, peer, **headers)
        return None if isinstance(ruling, PassOn) else ruling.decision.reason

    def ruling(self, path: str = "/contact", peer: str | None = "203.0.113.7", **headers: str) -> Any:
        fields = {"content-type": "application/x-www-form-urlencoded", **headers}
        head = RequestHead(
            "POST", path, peer=peer, headers={name.replace("_", "-"): (value,) for name, value in fields.items()}
        )
        return self.gate.handle(head, self._body)

    def _body(self, max_memory: int) -> BodyEnd:
        self.read += 1
        return BodyEnd.COMPLETE


def response_of(ruling: Any) -> Response:
    assert isinstance(ruling, Answer)
    return ruling.response


def test_the_fourth_in_a_minute_is_refused_unread_and_told_when_to_come_again() -> None:
    site = Site()
    assert [site.send() for _ in range(3)] == [Reason.TOKEN_MISSING] * 3
    site.now += 20
    response = response_of(site.ruling(accept="application/json"))
    assert (response.status, dict(response.headers)["Retry-After"]) == (429, "40")
    assert json.loads(response.body)["error-codes"] == ["rate-limited"]
    assert site.read == 3
    site.now += 40
    assert site.send() is Reason.TOKEN_MISSING


def test_all_rules_count_together_and_open_requests_do_not() -> None:
    site = Site()
    for _ in range(10):
        assert site.send("/open") is None
    assert [site.send("/contact"), site.send("/other"), site.send("/passed")] == [Reason.TOKEN_MISSING] * 3
    assert site.send("/other") is Reason.RATE_LIMITED
    ruling = site.ruling("/passed")
    assert response_of(ruling).status == 429, "on_refuse concerns the 403s alone"


@pytest.mark.parametrize(
    ("peers", "options"),
    [
        (["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::9"], {}),
        (["::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"], {}),
        (["2001:db8:1::1", "2001:db8:1:1::", "2001:db8:1:2::", "2001:db8:1:3::"], {"in_process": {"ipv6_prefix": 56}}),
    ],
)
def test_a_client_is_its_network(peers: list[str], options: dict[str, Any]) -> None:
    site = Site(**options)
    assert [site.send(peer=peer) for peer in peers] == [Reason.TOKEN_MISSING] * 3 + [Reason.RATE_LIMITED]
    assert site.send(peer="198.51.100.1") is Reason.TOKEN_MISSING


def test_behind_a_trusted_proxy_each_visitor_counts_alone_and_nobody_chooses_an_address() -> None:
    site = Site(trusted_proxies=["10.0.0.0/8"])
    for number in range(10):
        assert site.send(peer="10.0.0.1", x_forwarded_for=f"203.0.113.{number}") is Reason.TOKEN_MISSING
    sent = [site.send(peer="198.51.100.1", x_forwarded_for=f"203.0.113.{number}") for number in range(4)]
    assert sent[-1] is Reason.RATE_LIMITED


def test_a_client_without_an_address_is_not_counted() -> None:
    site = Site()
    assert {site.send(peer=None) for _ in range(10)} == {Reason.TOKEN_MISSING}
    conversation = Conversation(over_limit(None, LIMIT, NOW))
    assert conversation.end() is None


@pytest.mark.parametrize(
    ("answer", "pause"),
    [(Counted(3, NOW + 30), None), (Counted(4, NOW + 30), 30.0), (Counted(4, NOW - 1), 0.0), (StoreDown(), None)],
)
def test_only_a_count_above_the_limit_refuses(answer: Any, pause: float | None) -> None:
    conversation = Conversation(over_limit("203.0.113.7", LIMIT, NOW))
    asked = conversation.expect(Count, answer)
    assert (asked.window, b"203" in asked.key) == (60.0, False)
    assert conversation.end() == pause


def test_in_report_mode_it_is_only_told() -> None:
    site = Site(mode="report")
    for _ in range(4):
        ruling = site.ruling()
    assert isinstance(ruling, Admit)
    assert (ruling.decision.reason, ruling.decision.would_refuse) == (Reason.REPORT_ONLY, Reason.RATE_LIMITED)


def test_an_outage_policy_does_not_lift_it_and_nothing_is_counted_without_a_limit() -> None:
    site = Site(on_outage="admit")
    assert [site.send() for _ in range(4)][-1] is Reason.RATE_LIMITED
    free = Site(limits={})
    assert {free.send() for _ in range(50)} == {Reason.TOKEN_MISSING}


def test_forward_auth_counts_the_visitor_and_not_the_proxy() -> None:
    site = Site(forward_auth="caddy", trusted_proxies=["10.0.0.1"], token_from=["cookie"])

    def ask(visitor: str) -> int:
        told = {"x-forwarded-method": "POST", "x-forwarded-uri": "/contact", "x-forwarded-proto": "https"}
        headers = {name: (value,) for name, value in {**told, "x-forwarded-for": visitor}.items()}
        head = RequestHead("GET", "/.caputchin/forward-auth", peer="10.0.0.1", headers=headers)
        return response_of(site.gate.handle(head)).status

    assert [ask("203.0.113.7") for _ in range(4)] == [403, 403, 403, 429]
    assert ask("203.0.113.8") == 403


def test_a_token_that_is_decided_about_by_hand_counts_too() -> None:
    site = Site()
    reasons = [site.gate.decide("forged", remote_ip="203.0.113.9").reason for _ in range(4)]
    assert reasons == [Reason.TOKEN_MALFORMED] * 3 + [Reason.RATE_LIMITED]
    assert site.gate.decide("forged", remote_ip="198.51.100.9").reason is Reason.TOKEN_MALFORMED


def test_receipts_do_not_lift_it() -> None:
    conversation = Conversation(over_limit("203.0.113.7", LIMIT, NOW))
    conversation.expect(Count, Counted(4, NOW + 1))
    assert conversation.end() == 1.0
    site = Site(receipt="2m")
    assert [site.send(cookie="anything=1") for _ in range(4)][-1] is Reason.RATE_LIMITED


# What is sent, one after the other, and what becomes of it, at every door.
SENT = (
    ("GET /open", b"", 200),
    ("POST /contact", b"caputchin-token={fresh}", 200),
    ("POST /contact", b"x=y", 403),
    ("PUT /items/1", b"", 403),
    ("POST /contact", b"caputchin-token={fresh}", 429),
    ("PUT /items/1", b"", 429),
    ("GET /open", b"", 200),
)


@pytest.mark.parametrize(
    ("stack", "app"), [("uvicorn-httptools", "tests.echo:asgi"), ("gunicorn-gthread", "tests.echo:wsgi")]
)
def test_every_door_counts_alike(stack: str, app: str, tmp_path: Path) -> None:
    environment = {
        "GATE_STORE": f"sqlite://{tmp_path}/gate.db",
        "GATE_LIMITS": json.dumps({"submissions_per_minute": 3}),
    }
    with serve(stack, app, environment=environment) as server:
        assert_counts(server.port)


def assert_counts(port: int) -> None:
    for line, body, status in SENT:
        filled = body.replace(b"{fresh}", fresh_token().encode())
        answer = exchange(port, request_bytes(f"{line}\n{FORM}", filled))
        assert answer.status == status, line
        assert ("retry-after" in answer.headers) == (status == 429)


def test_the_workers_of_a_sidecar_count_together(tmp_path: Path) -> None:
    with (
        Scripted() as upstream,
        sidecar(tmp_path, upstream.url, limits={"submissions_per_minute": 3}, sidecar={"workers": 2}) as running,
    ):
        assert_counts(running.port)
        raw = request_bytes(f"POST /contact\n{FORM}", b"x=y")
        assert {exchange(running.port, raw).status for _ in range(20)} == {429}
        assert len(upstream.requests) == 3


def test_the_body_is_not_read_before_it_is_counted() -> None:
    world = replace(settings(), submissions=LIMIT)
    conversation = Conversation(decide(RequestHead("POST", "/", peer="203.0.113.7"), terms(), world, "POST /"))
    conversation.expect(Count, Counted(1, NOW))
    assert conversation.end().reason is Reason.TOKEN_MISSING
    form = RequestHead(
        "POST", "/", peer="203.0.113.7", headers={"content-type": ("application/x-www-form-urlencoded",)}
    )
    conversation = Conversation(decide(form, terms(), world, "POST /"))
    conversation.expect(Count, Counted(1, NOW))
    conversation.expect(ReadBody, BodyEnd.COMPLETE)
    assert conversation.end().reason is Reason.TOKEN_MISSING
