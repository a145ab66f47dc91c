"""What the authors of applications are promised of `caputchin_gate.testing`, with an event loop and without."""

from __future__ import annotations

import ast
import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route as StarletteRoute
from werkzeug.serving import make_server
from werkzeug.test import Client

from caputchin_gate import Decision, Gate, Reason, Route, asgi, fastapi, flask, starlette, wsgi
from caputchin_gate.config.settings import TOP
from caputchin_gate.gate import GateOptions
from caputchin_gate.providers import kinds
from caputchin_gate.testing import Captcha, solve
from caputchin_gate.verdict import ADMITTING, Cause, Failed, Misconfigured, Passed, Unavailable
from tests.servers import serve

PACKAGE = Path(__file__).parents[1] / "caputchin_gate"
SECRETS = {
    "altcha": "a-secret-of-a-sentinel",
    "cap": "a-secret-of-a-site-of-cap",
    "captchaapi": "sk_live_an-example",
    "caputchin": "cpt_sec_an-example",
    "gotcha": "R290Q0hBIGlzIGEgY2FwdGNoYSwgYW5kIHRoaXMgaXMgbm90IGEgc2VjcmV0LiE=",
    "procaptcha": "0xan-example-of-a-secret",
    **dict.fromkeys(
        ("friendly", "hcaptcha", "mcaptcha", "mtcaptcha", "recaptcha", "turnstile"), "an-example-of-a-secret"
    ),
}
NOWHERE = "http://127.0.0.1:9/siteverify"  # who asks the real provider is refused the connection
IN_PROCESS = ("caputchin", "captchaapi", "cap", "altcha")
EASY = {"cap": {"puzzles": 1, "difficulty": 1}}
REFUSING = sorted(set(Reason) - ADMITTING)


def asking(kind: str, *, timeout: float = 5, **options: Any) -> Gate:
    own = {"site_key": "shop"} if kind in ("cap", "mcaptcha") else {}
    provider = {"kind": kind, "secret": SECRETS[kind], "endpoint": NOWHERE, "timeout": timeout, **own}
    return Gate(provider=provider, store="memory", protect=["POST /contact"], **options)


def in_process(kind: str, **options: Any) -> Gate:
    own = {**EASY, **options.pop("in_process", {})}
    options.setdefault("protect", ["POST /contact"])
    return Gate(provider=kind, verification="in-process", store="memory", in_process=own, **options)


GATES: Mapping[str, Callable[[], Gate]] = {
    **{f"{kind} asked": lambda kind=kind: asking(kind) for kind in kinds()},  # type: ignore[misc]
    **{f"{kind} in process": lambda kind=kind: in_process(kind) for kind in IN_PROCESS},  # type: ignore[misc]
}


@pytest.fixture(params=GATES)
def gate(request: pytest.FixtureRequest) -> Iterator[Gate]:
    made = GATES[request.param]()
    yield made
    made.close()


def through_wsgi(gate: Gate) -> Client:
    site = Flask(__name__)
    site.add_url_rule("/contact", view_func=lambda: "sent", methods=["POST"])
    site.wsgi_app = wsgi.GateMiddleware(site.wsgi_app, gate=gate)  # type: ignore[method-assign]
    return site.test_client()


def post(client: Client, **options: Any) -> int:
    headers = {"Accept": "application/json", **options.pop("headers", {})}
    return client.post("/contact", headers=headers, **options).status_code


# Tokens


def test_a_token_passes_once(gate: Gate) -> None:
    client = through_wsgi(gate)
    with Captcha(gate) as captcha:
        fields = captcha.fields()
        assert [post(client, data=fields), post(client, data=fields)] == [200, 403]
        assert post(client, headers=captcha.headers()) == 200


def test_a_request_without_a_token_is_refused_as_always(gate: Gate) -> None:
    with Captcha(gate):
        assert post(through_wsgi(gate), data={"message": "hello"}) == 403


def test_a_token_that_nobody_made_is_refused(gate: Gate) -> None:
    field = next(iter(gate.verifiers.values())).token_field
    with Captcha(gate):
        assert post(through_wsgi(gate), data={field: "A" * 32 + ".1"}) == 403


@pytest.mark.parametrize("kind", IN_PROCESS)
@pytest.mark.parametrize("outcome", ["token-rejected", "token-expired"])
def test_tokens_of_other_outcomes_are_made_in_process(kind: str, outcome: str) -> None:
    gate = in_process(kind)
    with Captcha(gate) as captcha:
        verdict = gate.verify(captcha.token(outcome))
    assert isinstance(verdict, Failed)
    assert verdict.reason == outcome


@pytest.mark.parametrize("kind", IN_PROCESS)
def test_hundreds_of_tokens_stay_as_easy_as_the_first(kind: str) -> None:
    gate = in_process(kind, in_process={"challenges_per_minute": 10})
    with Captcha(gate) as captcha:
        assert all(isinstance(gate.verify(captcha.token()), Passed) for _ in range(20))


def test_a_token_is_made_for_an_action_a_site_and_a_client() -> None:
    sites = [
        {"site_key": "shop", "secret": "a-secret-of-the-shop"},
        {"site_key": "blog", "secret": "a-secret-of-the-blog"},
    ]
    own = {"sites": sites, "client_binding": "require"}
    protect = [Route("POST /contact", action="contact")]
    gate = in_process("caputchin", protect=protect, in_process=own)
    client = through_wsgi(gate)
    with Captcha(gate) as captcha:
        asked: Any = {"action": "contact", "remote_ip": "127.0.0.1"}
        assert post(client, data=captcha.fields(**asked)) == 200
        assert post(client, data=captcha.fields(site_key="blog", **asked)) == 200
        assert post(client, data=captcha.fields(action="another", remote_ip="127.0.0.1")) == 403
        assert post(client, data=captcha.fields(action="contact", remote_ip="203.0.113.9")) == 403


def test_each_provider_of_a_gate_has_tokens_of_its_own() -> None:
    old = {"kind": "caputchin", "secret": "cpt_sec_an-older-account", "token_field": "old-token"}
    gate = Gate(
        provider="caputchin",
        secret=SECRETS["caputchin"],
        providers={"old": old, "other": {"kind": "gotcha", "secret": SECRETS["gotcha"]}},
        store="memory",
        protect=[Route("POST /contact", provider=["caputchin", "old", "other"])],
    )
    client = through_wsgi(gate)
    with Captcha(gate) as captcha:
        for name, field in [(None, "caputchin-token"), ("old", "old-token"), ("other", "gotcha-response")]:
            fields = captcha.fields(provider=name)
            assert list(fields) == [field]
            assert [post(client, data=fields), post(client, data=fields)] == [200, 403]


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (lambda captcha: captcha.token("token-lost"), "no token comes to 'token-lost'"),
        (lambda captcha: captcha.fails("verified"), "'verified' admits"),
        (lambda captcha: captcha.fails("token-expird"), "no reason here; did you mean 'token-expired'?"),
        (lambda captcha: captcha.fails("no-reason"), "'no-reason' is no reason here; known: body-incomplete, "),
        (lambda captcha: captcha.token(provider="old"), "'old' is no provider here; known: caputchin"),
        (lambda captcha: captcha.fields(provider="captuchin"), "did you mean 'caputchin'?"),
        (lambda captcha: captcha.token(site_key="shop"), "'shop' is no site_key here; known: default"),
        (lambda captcha: captcha.latency(1), "nobody is asked, so nobody can be slow"),
    ],
)
def test_what_can_t_be_is_said_at_once(use: Callable[[Captcha], object], why: str) -> None:
    with Captcha(in_process("caputchin")) as captcha, pytest.raises(ValueError, match=why):
        use(captcha)


def test_a_captcha_that_was_not_begun_does_nothing() -> None:
    gate = in_process("caputchin")
    with pytest.raises(RuntimeError, match="with Captcha"):
        Captcha(gate).passes()
    assert isinstance(gate.verify("x"), Failed)


# Scenes


def test_in_a_scene_of_passing_everything_passes(gate: Gate) -> None:
    client = through_wsgi(gate)
    with Captcha(gate) as captcha:
        captcha.passes()
        assert [post(client, data={"message": "hello"}), post(client)] == [200, 200]
        assert isinstance(gate.verify("whatever"), Passed)
        assert gate.decide(None).admitted
        assert isinstance(asyncio.run(gate.averify(None)), Passed)


@pytest.mark.parametrize("reason", REFUSING)
def test_in_a_scene_of_failing_the_reason_is_told_as_it_would_be(reason: Reason) -> None:
    gate = asking("caputchin")
    decisions: list[Decision] = []
    gate.on_decision(decisions.append)
    with Captcha(gate) as captcha:
        captcha.fails(reason)
        status = post(through_wsgi(gate), data=captcha.fields())
    assert (status, decisions[-1].reason) == (Decision(reason).status, reason)


def test_a_scene_ends_with_its_block_or_its_captcha(gate: Gate) -> None:
    client = through_wsgi(gate)
    with Captcha(gate) as captcha:
        captcha.passes()
        with captcha.fails():
            assert post(client) == 403
        assert post(client) == 200
    assert post(client) == 403
    assert not isinstance(gate.verify("x"), Passed)


@pytest.mark.parametrize(("policy", "status"), [("refuse", 503), ("admit", 200)])
def test_in_an_outage_the_route_s_policy_decides(policy: Any, status: int) -> None:
    gate = asking("caputchin", on_outage=policy)
    with Captcha(gate) as captcha, captcha.is_down():
        assert post(through_wsgi(gate), data=captcha.fields()) == status


def test_in_process_an_outage_is_the_store_s_which_no_policy_admits() -> None:
    gate = in_process("caputchin", on_outage="admit")
    with Captcha(gate) as captcha, captcha.is_down():
        assert post(through_wsgi(gate), data=captcha.fields()) == 503


def test_a_provider_takes_its_time() -> None:
    gate = asking("caputchin", timeout=0.5)
    with Captcha(gate) as captcha:
        with captcha.latency(0.1):
            begun = time.monotonic()
            assert isinstance(gate.verify(captcha.token()), Passed)
            assert time.monotonic() - begun >= 0.1
            assert isinstance(asyncio.run(gate.averify(captcha.token())), Passed)
        with captcha.latency(60):  # half a second is what the settings allow
            assert gate.verify(captcha.token()) == Unavailable(Cause.TIMEOUT)
        assert isinstance(gate.verify(captcha.token()), Passed)


def test_outages_of_one_test_do_not_open_the_breaker_for_the_next() -> None:
    gate = asking("gotcha", timeout=0.02)
    with Captcha(gate) as captcha, captcha.latency(60):
        causes = [verdict.cause for _ in range(6) if isinstance(verdict := gate.verify(captcha.token()), Unavailable)]
        assert causes == [*[Cause.TIMEOUT] * 5, Cause.BREAKER]
    with Captcha(gate) as captcha:
        assert isinstance(gate.verify(captcha.token()), Passed)


def test_a_provider_s_word_about_our_secret_is_forgotten_too() -> None:
    gate = asking("caputchin")
    with Captcha(gate) as captcha:
        assert isinstance(gate.verify(captcha.token("misconfigured")), Misconfigured)
        assert gate.secrets()
    assert not gate.secrets()


# The real provider, before and after


def test_the_real_provider_is_asked_outside_of_a_captcha_alone() -> None:
    gate = asking("caputchin")
    token = "a-token-of-nobody"
    assert gate.verify(token) == Unavailable(Cause.CONNECTION)
    with Captcha(gate):
        assert gate.verify(token) == Failed(Reason.TOKEN_REJECTED, ("invalid-input-response",))
    assert gate.verify(token) == Unavailable(Cause.CONNECTION)


def test_a_test_says_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "caputchin_gate")
    with Captcha(in_process("caputchin")):
        pass
    assert [record.getMessage() for record in caplog.records if getattr(record, "event", None) == "rehearsal"] == [
        "verdicts of this gate are those of a test from now on"
    ]


def test_only_a_test_that_holds_the_gate_gets_there() -> None:
    """Nothing in the package begins a rehearsal but `testing`, and no setting is called like it."""
    begins = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "rehearsing"
    ]
    assert begins == ["testing/__init__.py"]
    imports = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if file.parent.name != "testing" and "caputchin_gate.testing" in file.read_text()
    ]
    assert imports == []
    assert not {key for key in (*TOP, *GateOptions.__annotations__) if "rehears" in key}


# Applications: of the gate in hand, marked views are guarded by a copy with their rules


async def sent(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse("sent")


def behind_middleware(gate: Gate) -> Any:
    site = Starlette(routes=[StarletteRoute("/contact", sent, methods=["POST"])])
    return asgi.GateMiddleware(site, gate=gate)


def marked_in_starlette(gate: Gate) -> Any:
    site = Starlette(routes=[StarletteRoute("/contact", starlette.require_human(sent), methods=["POST"])])
    starlette.install(site, gate)
    return site


def marked_in_fastapi(gate: Gate) -> Any:
    site = FastAPI()
    fastapi.install(site, gate)
    site.post("/contact", dependencies=[Depends(fastapi.require_human)])(lambda: "sent")
    return site


def marked_in_flask(gate: Gate) -> Flask:
    site = Flask(__name__)
    flask.install(site, gate)
    site.add_url_rule("/contact", view_func=flask.require_human(lambda: "sent"), methods=["POST"])
    return site


async def converse(app: Any, captcha: Captcha) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop.example") as client:
        fields = captcha.fields()
        answers = [await client.post("/contact", data=fields) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 403]
        with captcha.passes():
            assert (await client.post("/contact")).status_code == 200
        with captcha.fails("token-expired"):
            refused = await client.post("/contact", headers={"Accept": "application/json"})
            assert refused.json()["error-codes"] == ["timeout-or-duplicate"]
        assert (await client.post("/contact")).status_code == 403


@pytest.mark.parametrize("verifies", [asking, in_process])
@pytest.mark.parametrize("made", [behind_middleware, marked_in_starlette, marked_in_fastapi])
def test_on_an_event_loop_it_is_the_same(made: Callable[[Gate], Any], verifies: Callable[[str], Gate]) -> None:
    gate = verifies("caputchin")
    with Captcha(gate) as captcha:
        asyncio.run(converse(made(gate), captcha))


def test_an_application_that_was_open_before_the_test_is_part_of_it() -> None:
    """Marked views are read at the first request; the gate that is made then is the same to a test."""
    gate = in_process("caputchin", protect=[])
    client = marked_in_flask(gate).test_client()
    assert post(client) == 403
    with Captcha(gate) as captcha:
        captcha.passes()
        assert post(client) == 200
    assert post(client) == 403


def test_a_server_in_a_thread_sees_what_the_test_says() -> None:
    gate = in_process("caputchin", protect=[])
    server = make_server("127.0.0.1", 0, marked_in_flask(gate), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with Captcha(gate) as captcha:
            url = f"http://127.0.0.1:{server.port}/contact"
            assert httpx2.post(url).status_code == 403
            captcha.passes()
            assert httpx2.post(url).status_code == 200
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# Solving as a browser does


WIDGETS = {
    "caputchin": "caputchin",
    "captchaapi": "captchaapi",
    "caputchin-widget": "caputchin",
    "cap": "cap",
    "altcha": "altcha",
}


@pytest.mark.parametrize("widget", WIDGETS)
def test_the_challenges_of_every_widget_are_solved_through_the_application(widget: str) -> None:
    kind = WIDGETS[widget]
    gate = in_process(kind)
    client = through_wsgi(gate)

    def ask(method: str, path: str, body: bytes) -> bytes:
        return client.open(path, method=method, data=body, content_type="application/json").data

    field = next(iter(gate.verifiers.values())).token_field
    token = solve(ask, widget)
    assert [post(client, data={field: token}), post(client, data={field: token})] == [200, 403]


def test_a_challenge_is_solved_for_an_action_at_a_site() -> None:
    own = {"sites": [{"site_key": "shop"}]}
    gate = in_process("altcha", protect=[Route("POST /contact", action="sign up")], in_process=own)
    client = through_wsgi(gate)

    def ask(method: str, path: str, body: bytes) -> bytes:
        return client.open(path, method=method, data=body).data

    assert post(client, data={"altcha": solve(ask, "altcha", site_key="shop", action="sign up")}) == 200
    assert post(client, data={"altcha": solve(ask, "altcha", site_key="shop")}) == 403
    with pytest.raises(ValueError, match=r"altcha/blog/challenge answers b'.*invalid_site_key"):
        solve(ask, "altcha", site_key="blog")
    with pytest.raises(ValueError, match="'turnstile' is none of"):
        solve(ask, "turnstile")


def test_challenges_of_a_server_in_another_process_are_solved_over_http(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    with serve("gunicorn-sync", "examples.flask_guestbook:app", environment=environment) as server:
        url = f"http://127.0.0.1:{server.port}"
        data = {"text": "A fine place", "caputchin-token": solve(url)}
        assert [httpx2.post(f"{url}/entries", data=data).status_code for _ in range(2)] == [303, 403]
