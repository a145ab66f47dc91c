"""What a single client must not be able to do to everybody else (threats.md R5, R18, R30)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import math
import sqlite3
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from caputchin_gate import Gate, Reason, Unavailable
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.drivers import MOST_ASKING
from caputchin_gate.effects import BodyEnd
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from caputchin_gate.kept_body import DISK
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit, Answer
from caputchin_gate.routes import Ambiguous, RouteTable, Rule
from caputchin_gate.routes.target_views import LONGEST_TARGET, views_of
from caputchin_gate.wsgi import GateMiddleware as WsgiGate
from tests.echo import SIGNING_KEY
from tests.servers import STACKS, serve
from tests.siteverify_server import Scripted, SiteverifyServer
from tests.wire import connect, exchange, read_answer, request_bytes

FORM = {"content-type": ("application/x-www-form-urlencoded",)}


def test_more_junk_than_connections_is_no_outage() -> None:
    """Our own queue must never look like the provider's trouble: an outage policy would admit it."""
    with SiteverifyServer([Scripted.json({"success": False, "error-codes": ["invalid-input-response"]})]) as server:
        gate = Gate(
            provider="caputchin",
            secret="cpt_sec_example",
            endpoint=server.url,
            timeout="2s",
            protect=["POST /contact"],
            on_outage="admit",
            store="memory",
            limits={"verifications": 20},
        )

        async def junk(number: int) -> str:
            head = RequestHead("POST", "/contact", headers={"x-caputchin-token": (f"junk{number}",)})
            ruling = await gate.ahandle(head)
            assert isinstance(ruling, Answer)
            assert ruling.decision is not None
            return ruling.decision.reason

        async def burst() -> set[str]:
            return set(await asyncio.gather(*(junk(number) for number in range(300))))

        assert asyncio.run(burst()) <= {Reason.TOKEN_REJECTED, Reason.OVERLOADED}


@pytest.mark.parametrize(
    "target",
    [
        "/" + "\u0301" * 5250 + "\u0316" * 5250,
        "/" + "%CC%81" * 680 + "%CC%96" * 680,
        "/" + "\u0301" * 40 + "/..%5c" * 40,
        "/%" + "25" * 20_000,
        "/" + "ﷺ" * 8000,
        "/" + "a/../" * 1600,
        "/" + "x;y/" * 2000,
    ],
    ids=lambda target: f"{target[:12]!r}...{len(target)}",
)
def test_no_reading_of_a_target_is_long_or_piled_up(target: str) -> None:
    """Python normalises runs of combining marks in quadratic time: half a second for one line of a request."""
    views = views_of(target, target.encode("utf-8", "replace"), "")
    for view in (*views.usual, *views.doubled) if views is not None else ():
        assert len(view) <= LONGEST_TARGET
        assert sum(unicodedata.combining(character) > 0 for character in view) <= 32


def test_a_target_over_the_limit_counts_as_guarded() -> None:
    table = RouteTable([Rule("POST /contact", 1)])
    target = "/%61" + "/./x" * 4000
    assert isinstance(table.match(RequestHead("POST", target, target)), Ambiguous)
    assert table.match(RequestHead("GET", target, target)) is None


def reporting(**more: Any) -> Gate:
    return Gate(
        provider="caputchin",
        verification="in-process",
        store="memory",
        mode="report",
        protect=["POST /contact"],
        **more,
    )


SMALL = {"limits": {"kept_bytes": "64KiB"}}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DISK, "limit", 0)


BODY = b"x=" + bytes(range(33, 123)) * 4000


@pytest.mark.usefixtures("full_disk")
def test_in_report_mode_an_asgi_application_gets_every_byte_even_without_room_to_keep_it() -> None:
    pieces = [BODY[start : start + 50_000] for start in range(0, len(BODY), 50_000)]
    messages = iter({"type": "http.request", "body": p, "more_body": p is not pieces[-1]} for p in pieces)
    seen = bytearray()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            seen.extend(message["body"])
            more = message["more_body"]

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        raise AssertionError

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/contact", "headers": headers}
    asyncio.run(AsgiGate(application, gate=reporting(**SMALL))(scope, receive, send))
    assert bytes(seen) == BODY


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("content", [BODY, BODY[:100_000]], ids=["no room for a middle piece", "none for the last"])
def test_in_report_mode_a_wsgi_application_gets_every_byte_even_without_room_to_keep_it(content: bytes) -> None:
    seen = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["wsgi.input"].read())
        return []

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/contact",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": io.BytesIO(content),
    }
    WsgiGate(application, gate=reporting(**SMALL))(environ, lambda *_: None)
    assert seen == [content]


@pytest.mark.parametrize("then", [None, b"x"], ids=["nothing", "a byte now and then"])
def test_bytes_sent_fast_buy_no_time_to_stall(then: bytes | None) -> None:
    gate = Gate(provider="caputchin", verification="in-process", store="memory", protect=["POST /contact"])
    gate.body_timeout = 0.05  # what a test can wait for
    pieces = iter([b"x" * 1_000_000])
    statuses = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application ran")

    async def receive() -> Any:
        piece = next(pieces, then)
        if piece == then:
            await asyncio.sleep(math.inf if then is None else 0.02)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/contact", "headers": headers}
    asyncio.run(asyncio.wait_for(AsgiGate(application, gate=gate)(scope, receive, send), 10))
    assert statuses[0] == 408


def token_of_echo() -> str:
    keys = [hashlib.sha256(SIGNING_KEY.encode()).digest()]
    challenges = NativeChallenges(keys, site_key="default", binding="off", cap=10_000)
    challenge = challenges.issue(now=time.time(), nonce=b"none", step=1, client=None)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


LARGE = [200_000] * 4 + [20_000] * 8


@pytest.mark.parametrize(
    ("stack", "sizes"),
    [("uvicorn-httptools", [*LARGE, *[2000] * 12, *[200] * 12, *[20] * 12]), ("gunicorn-gthread", LARGE)],
    ids=["asgi", "wsgi, where a connection holds a thread"],
)
def test_clients_that_fill_the_memory_keep_nobodys_form_out(stack: str, sizes: list[int]) -> None:
    app = f"tests.echo:{STACKS[stack].interface}"
    head = "POST /contact\nContent-Type: application/x-www-form-urlencoded"
    with (
        serve(stack, app, environment={"GATE_LIMITS": json.dumps({"kept_bytes": "256KiB"})}) as server,
        contextlib.ExitStack() as open_still,
    ):
        for size in sizes:
            connection = open_still.enter_context(connect(server.port))
            connection.sendall(request_bytes(head, b"x" * (size + 1))[:-1])
        form = request_bytes(head, b"caputchin-token=" + token_of_echo().encode())
        assert exchange(server.port, form).status == 200


def test_a_locked_store_leaves_the_application_its_threads(tmp_path: Path) -> None:
    path = tmp_path / "gate.db"
    gate = Gate(provider="caputchin", verification="in-process", store=f"sqlite://{path}", protect=["POST /contact"])
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")

    async def scenario() -> tuple[float, int]:
        challenge = RequestHead("POST", "/.caputchin/api/v1/captcha/challenge", peer="203.0.113.9")

        async def read(max_memory: int) -> bytes | BodyEnd:
            return next(pieces)

        flood = []
        for _ in range(4 * MOST_ASKING):
            pieces = iter([b"{}", BodyEnd.COMPLETE])
            flood.append(asyncio.create_task(gate.ahandle(challenge, read)))
            await asyncio.sleep(0)
        started = time.monotonic()
        await asyncio.to_thread(lambda: None)
        waited = time.monotonic() - started
        rulings = await asyncio.gather(*flood)
        return waited, sum(isinstance(ruling, Answer) and ruling.response.status == 503 for ruling in rulings)

    waited, refused = asyncio.run(scenario())
    locker.close()
    assert waited < 1
    assert refused == 4 * MOST_ASKING


@pytest.mark.parametrize(
    "answer",
    [
        '{"success":true,"platform":{"score":1' + "0" * 400 + "}}",
        '{"success":true,"platform":{"score":1e400,"game_id":{},"duration_ms":[]}}',
        '{"success":true,"platform":[1]}',
        '{"success":true,"platform":"x"}',
    ],
)
def test_an_absurd_number_of_a_provider_is_no_exception(answer: str) -> None:
    with SiteverifyServer([Scripted(200, (), answer.encode())]) as server:
        gate = Gate(provider="caputchin", secret="cpt_sec_example", endpoint=server.url, store="memory")
        assert not isinstance(gate.verify("token"), Unavailable)


@pytest.mark.parametrize("token", [None, "", " ", 5, b"x", ["a"]])
def test_what_is_no_token_is_a_missing_one(token: Any) -> None:
    gate = Gate(provider="caputchin", secret="cpt_sec_example", store="memory")
    assert getattr(gate.verify(token), "reason", None) is Reason.TOKEN_MISSING


@pytest.mark.parametrize("stack", ["gunicorn-sync", "gunicorn-gthread", "werkzeug", "granian-wsgi"])
def test_a_refusal_does_not_wait_for_the_rest_of_the_body(stack: str) -> None:
    with serve(stack, "tests.echo:wsgi") as server, connect(server.port) as connection:
        raw = request_bytes("POST /contact\nContent-Type: application/x-www-form-urlencoded", b"a&" * 100_000)
        connection.sendall(raw[:70_000])
        assert read_answer(connection).status == 400


def test_an_admitted_request_is_the_very_scope_that_outer_middleware_has() -> None:
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    async def never(*_: Any) -> Any:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/contact", "headers": [(b"x-caputchin-verdict", b"admitted")]}
    asyncio.run(AsgiGate(application, gate=reporting())(scope, never, never))
    assert seen[0] is scope
    assert scope["headers"] == []
    assert isinstance(Admit(scope["caputchin_gate"]), Admit)  # type: ignore[arg-type]
    assert scope["caputchin_gate"].would_refuse is Reason.TOKEN_MISSING  # type: ignore[attr-defined]


def calls_of(act: Callable[[], object]) -> int:
    """How many functions are called, those written in C included: work by the piece, on any machine."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


LONG = 400_000
MOST_CALLS = 3000
TRUSTING = {"trusted_proxies": ["10.0.0.0/8"]}
HOPS = ",".join(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(LONG // 10))


@pytest.mark.parametrize(
    ("name", "value", "settings"),
    [
        ("accept", "a," * LONG, {}),
        ("accept", "a;" * LONG, {}),
        ("accept", ",".join(map(hex, range(LONG))), {}),
        ("accept-language", "a;q=1," * LONG, {}),
        ("x-http-method-override", "a," * LONG, {}),
        ("content-type", "a/b" + "".join(f";{number:x}=b" for number in range(LONG // 8)), {}),
        ("content-type", "application/json;" + " " * LONG, {}),
        ("cookie", "a=b;" * LONG, {"receipt": "1m"}),
        ("cookie", "a=b;" * LONG, {"token_from": ["cookie"]}),
        ("cookie", ";" * LONG, {"token_from": ["cookie"]}),
        ("x-forwarded-for", HOPS, TRUSTING),
        ("forwarded", "for=" + HOPS.replace(",", ",for="), {**TRUSTING, "forwarded_header": "forwarded"}),
        ("forwarded", 'for="' + "\\a" * LONG, {**TRUSTING, "forwarded_header": "forwarded"}),
        ("origin", "https://" + "a." * LONG, {}),
        ("authorization", "Bearer " + "a " * LONG, {}),
        ("x-caputchin-token", "a," * LONG, {}),
        ("query", "_method&" * LONG, {}),
        ("query", "_method" + "&%" * 30_000, {}),
        ("query", "a_method%5f" * 6000, {}),
        ("query", "&%5fmethod" * 6000, {}),
        ("query", "%" * 30_000 + "_method&" + "%" * 30_000, {}),
        ("query", "_method=" + "%20" * 20_000 + "PUT", {}),
        ("query", "a=b&" * LONG, {"token_from": ["query"]}),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else ",".join(value),
)
def test_no_header_is_so_long_that_reading_it_keeps_others_waiting(
    name: str, value: str, settings: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"provider": "caputchin", "verification": "in-process", "store": "memory", **settings}
    gate = Gate(protect=["POST /contact"], **options)
    headers = (
        {"accept": ("text/html",), "x-caputchin-token": ("a" * 32 + ".1",)} if "trusted_proxies" in settings else {}
    )
    query, typed = (value, {}) if name == "query" else ("", {name: (value,)})
    for method in ("POST", "GET"):
        head = RequestHead(method, "/contact", "/contact", query=query, headers={**headers, **typed}, peer="10.0.0.1")
        gate.handle(head)  # the first request imports and remembers
        assert calls_of(lambda head=head: gate.handle(head)) < MOST_CALLS  # type: ignore[misc]


@pytest.mark.parametrize("query", ["action=" + "%41" * LONG, "a=b&" * LONG, "action=" + "a" * LONG])
@pytest.mark.parametrize("line", ["GET altcha/challenge", "POST siteverify"])
def test_no_query_of_the_gates_own_paths_is_so_long_that_reading_it_keeps_others_waiting(line: str, query: str) -> None:
    gate = Gate(provider="altcha", verification="in-process", store="memory", protect=["POST /contact"])
    method, path = line.split()
    head = RequestHead(method, f"/.caputchin/{path}", query=query)
    gate.handle(head)
    assert calls_of(lambda: gate.handle(head)) < MOST_CALLS
