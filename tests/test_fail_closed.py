"""Whatever breaks between match and verdict is a refusal, and nothing of it shows (threats.md R5, R35)."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import time
from dataclasses import replace
from typing import Any

import pytest

from caputchin_gate import Decision, Gate, Reason
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.drivers import World
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from caputchin_gate.messages import RequestHead
from caputchin_gate.wsgi import GateMiddleware as WsgiGate
from tests.siteverify_server import Pace, Scripted, SiteverifyServer

SIGNING_KEY = "a signing key that only these tests use"
SECRET = "cpt_sec_canary-secret"
TOKEN = "canary-token-that-must-not-show"


class Failure(Exception):
    """An exception that nobody expected; its text is what must not show."""


class FaultyWorld(World):
    """Breaks at the n-th effect, as a bug in a driver, a store or a client would."""

    breaks_at = 0

    def perform(self, effect: Any, read: Any) -> Any:
        self.break_at_times()
        return super().perform(effect, read)

    def at_once(self, effect: Any) -> Any:
        self.break_at_times()
        return super().at_once(effect)

    def break_at_times(self) -> None:
        FaultyWorld.breaks_at -= 1
        if FaultyWorld.breaks_at < 0:
            raise Failure(TOKEN)


def in_process(**more: Any) -> Gate:
    return Gate(
        provider="caputchin",
        verification="in-process",
        store="memory",
        protect=["POST /contact"],
        in_process={"signing_key": SIGNING_KEY},
        **more,
    )


def fresh_token() -> str:
    import hashlib

    maker = NativeChallenges([hashlib.sha256(SIGNING_KEY.encode()).digest()], site_key="default")
    challenge = maker.issue(now=time.time(), nonce=os.urandom(4), step=1, client=None)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


def through_asgi(gate: Gate, token: str) -> tuple[int, bool]:
    """The status of a form post, and whether the application ran."""
    ran, statuses = [], []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        ran.append(True)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    messages = iter([{"type": "http.request", "body": f"caputchin-token={token}".encode()}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/contact", "headers": headers}
    asyncio.run(AsgiGate(application, gate=gate)(scope, receive, send))
    return statuses[0], bool(ran)


def through_wsgi(gate: Gate, token: str) -> tuple[int, bool]:
    ran, statuses = [], []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        ran.append(True)
        start_response("200 OK", [])
        return []

    body = f"caputchin-token={token}".encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/contact",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    WsgiGate(application, gate=gate)(environ, lambda status, headers: statuses.append(int(status[:3])))
    return statuses[0], bool(ran)


DOORS = {"asgi": through_asgi, "wsgi": through_wsgi}


@pytest.mark.parametrize("door", DOORS)
def test_a_failure_at_any_step_is_a_refusal_and_its_text_is_not_logged(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gate = in_process()
    gate._world = FaultyWorld(gate._world.client, gate._world.store)
    # Reading the body, which on an event loop is the door's own; the claim; and telling others what was counted.
    steps = {"asgi": 2, "wsgi": 3}[door]
    for step in range(steps):
        FaultyWorld.breaks_at = step
        assert DOORS[door](gate, fresh_token()) == (503, False)
    FaultyWorld.breaks_at = steps
    assert DOORS[door](gate, fresh_token()) == (200, True)
    assert "Failure at test_fail_closed.py" in caplog.text
    assert TOKEN not in caplog.text


def test_a_listener_that_fails_changes_no_decision(caplog: pytest.LogCaptureFixture) -> None:
    gate = in_process()
    seen: list[Decision] = []
    gate.on_decision(seen.append)

    @gate.on_decision
    def failing(decision: Decision) -> None:
        raise Failure(TOKEN)

    assert through_wsgi(gate, fresh_token()) == (200, True)
    assert through_wsgi(gate, "forged") == (403, False)
    assert [decision.reason for decision in seen] == [Reason.VERIFIED, Reason.TOKEN_MALFORMED]
    assert TOKEN not in caplog.text


def test_a_request_that_is_cancelled_while_it_waits_is_never_admitted() -> None:
    ran = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        ran.append(True)

    async def scenario() -> None:
        waiting = asyncio.Event()

        async def receive() -> Any:
            waiting.set()
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            raise AssertionError("nothing is answered")

        headers = [(b"content-type", b"application/x-www-form-urlencoded")]
        scope = {"type": "http", "method": "POST", "path": "/contact", "headers": headers}
        task = asyncio.create_task(AsgiGate(application, gate=in_process())(scope, receive, send))  # type: ignore[arg-type]
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert not ran


def test_a_body_that_stalls_is_answered_408() -> None:
    gate = in_process(limits={"body_timeout": "1s"})
    gate.body_timeout = 0.05  # what a test can wait for
    statuses = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application ran")

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"expect", b"100-continue")]
    scope = {"type": "http", "method": "POST", "path": "/contact", "headers": headers}
    asyncio.run(AsgiGate(application, gate=gate)(scope, receive, send))  # type: ignore[arg-type]
    assert statuses[0] == 408


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Scripted.json({"success": True}), 200),
        (Scripted.json({"success": False, "error-codes": ["\x1b[31m\r\n" + SECRET]}), 403),
        (Scripted.json({"success": False, "error-codes": ["invalid-input-secret"]}), 503),
        (Scripted.json({"secret": SECRET, "token": TOKEN}, 500), 503),
        (Scripted.json({"success": False, "error-codes": [TOKEN, "invalid-input-response"]}), 403),
        (Scripted(302, (("Location", "/elsewhere"),)), 503),
        (Scripted(pace=Pace.GONE), 503),
    ],
)
def test_no_secret_and_no_token_is_ever_logged(
    door: str, reply: Scripted, status: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with SiteverifyServer([reply]) as server:
        gate = Gate(provider="caputchin", secret=SECRET, endpoint=server.url, protect=["POST /contact"], store="memory")
        assert DOORS[door](gate, TOKEN)[0] == status
        assert "Passed" in repr(gate.verify(TOKEN)) or status != 200
    shown = caplog.text + "".join(capfd.readouterr()) + "".join(repr(vars(record)) for record in caplog.records)
    assert SECRET not in shown
    assert TOKEN not in shown
    assert "\x1b" not in caplog.text


def test_a_proxy_that_nobody_trusts_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    gate = in_process()
    proxied = RequestHead("POST", "/contact", headers={"x-forwarded-for": ("203.0.113.9",)}, peer="10.0.0.1")
    for head in (RequestHead("POST", "/contact", peer="10.0.0.1"), replace(proxied, peer="9.9.9.9")):
        gate.handle(head)
    assert "trusted_proxies" not in caplog.text
    for _ in range(2):
        gate.handle(proxied)
    assert caplog.text.count("10.0.0.1 forwards requests and is not in trusted_proxies") == 1


@pytest.mark.parametrize("peer", ["\x1b[2Jdecision verified", "x\r\ndecision verified", "\x9b31m", "é" * 5000])
def test_no_byte_of_a_client_is_logged_where_the_server_takes_its_word_for_an_address(
    peer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """uvicorn hands on what a forwarding header says, whatever that is."""
    caplog.set_level(logging.DEBUG)
    gate = in_process()
    gate.handle(RequestHead(peer, "/contact", headers={"x-forwarded-for": (peer,)}, peer=peer))
    gate.handle(RequestHead("POST", "/contact", headers={"x-forwarded-for": (peer,)}, peer=peer))
    shown = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert "a peer without an address forwards requests" in shown
    assert peer not in shown
    assert repr(peer)[1:-1] not in shown
