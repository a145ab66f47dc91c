"""Caputchin's protocol through a whole gate, over real servers: a recorded conversation and the form; settings."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from caputchin_gate import ConfigurationError, Failed, Gate, Passed, Reason
from caputchin_gate.clock import Clock
from caputchin_gate.effects import BodyEnd
from caputchin_gate.engines.caputchin import CaputchinSessions
from caputchin_gate.engines.solver import solve
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Answer
from tests.caputchin_client import Widget
from tests.scenarios import FORM
from tests.servers import Server, serve
from tests.wire import Answer as Reply
from tests.wire import exchange, request_bytes

STACKS = {"uvicorn-httptools": "tests.caputchin_site:app", "gunicorn-gthread": "tests.caputchin_site:wsgi"}
AT_ONCE = 20


@pytest.fixture(scope="module", params=STACKS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param, STACKS[request.param]) as started:
        yield started


def widget(server: Server, sitekey: str = "cpt_pub_shop") -> Widget:
    return Widget(server.port, sitekey, "https://shop.example")


def post(server: Server, token: str, path: str = "/contact", field: str = "caputchin-token") -> str:
    head = f"POST {path}\n{FORM}\nAccept: application/json"
    answer = exchange(server.port, request_bytes(head, f"message=hello&{field}={token}".encode()))
    return "admitted" if answer.status == 200 else str(json.loads(answer.body)["error-codes"][0])


def error(answer: Reply) -> tuple[int, str]:
    told = json.loads(answer.body)
    assert told == {"success": False, "error": told["error"], "error-codes": [told["error"]]}
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.status, told["error"]


def test_the_recorded_conversation_ends_with_a_token_that_lets_one_submission_in(server: Server) -> None:
    token = widget(server).goes_through()
    assert [post(server, token) for _ in range(2)] == ["admitted", "timeout-or-duplicate"]


def test_a_token_may_come_in_the_header(server: Server) -> None:
    head = f"POST /contact\n{FORM}\nX-Caputchin-Token: {widget(server).goes_through()}"
    answers = [exchange(server.port, request_bytes(head, b"message=hello")).status for _ in range(2)]
    assert answers == [200, 403]


def test_the_times_told_are_milliseconds_in_the_future_and_of_less_than_a_day(server: Server) -> None:
    """Else the widget tells of a mistake that there is none (caputchin.md 6.5)."""
    known = widget(server)
    known.goes_through()
    for name, lifetime in (("expires", 600), ("tokenExpires", 600)):
        assert type(known.known[name]) is int
        assert lifetime - 60 < known.known[name] / 1000 - time.time() <= lifetime


def test_however_a_token_is_spelt_it_lets_one_submission_in(server: Server) -> None:
    token = widget(server).goes_through()
    assert post(server, token + "==") == "admitted"
    assert [post(server, token + padding) for padding in ("", "=", "==")] == ["timeout-or-duplicate"] * 3


def test_another_token_is_refused_and_the_right_one_stays_good(server: Server) -> None:
    known = widget(server)
    token = known.goes_through()
    wrong = {
        "": "missing-input-response",
        token[:60] + ("A" if token[60] != "A" else "B") + token[61:]: "invalid-input-response",
        token[:-6]: "invalid-input-response",
        known.known["redeemToken"]: "invalid-input-response",
        known.known["sessionId"]: "invalid-input-response",
        known.known["token"]: "invalid-input-response",
        "null": "invalid-input-response",
    }
    assert {value: post(server, value) for value in wrong} == wrong
    assert post(server, token) == "admitted"


def test_one_solution_lets_one_submission_in_where_cap_is_in_process_too(server: Server) -> None:
    known = widget(server)
    token = known.goes_through()
    assert post(server, known.known["redeemToken"], "/cap", "cap-token") == "invalid-input-response"
    assert post(server, token, "/cap", "cap-token") == "invalid-input-response"
    redeem = request_bytes(
        "POST /.caputchin/cap/cpt_pub_shop/redeem\nContent-Type: application/json\nOrigin: https://shop.example",
        json.dumps({"token": known.known["token"], "solutions": [1, 2, 3, 4]}).encode(),
    )
    assert json.loads(exchange(server.port, redeem).body)["error"] == "Invalid challenge token"
    assert post(server, token) == "admitted"


def test_a_session_is_passed_once(server: Server) -> None:
    known = widget(server)
    known.goes_through()
    assert error(known.says("pass")) == (403, "already-redeemed")


def test_a_challenge_is_not_passed_with_another_session(server: Server) -> None:
    first, second = widget(server), widget(server)
    first.says("start")
    second.says("start")
    swapped = {"sessionId": second.known["sessionId"]}
    assert error(first.says("pass", lambda body: body.update(platform=swapped))) == (403, "invalid-challenge")
    assert [one.says("pass").status for one in (first, second)] == [200, 200]


def test_wrong_work_uses_nothing_up(server: Server) -> None:
    known = widget(server)
    known.says("start")
    assert error(known.says("pass", lambda body: body.update(solutions=[0] * 4))) == (403, "invalid-solution")
    assert error(known.says("pass", lambda body: body.update(platform={}))) == (400, "missing-session-id")
    assert known.says("pass").status == 200


def test_of_many_passes_of_one_session_at_once_one_gets_a_token(server: Server) -> None:
    known = widget(server)
    known.says("start")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: known.says("pass"), range(AT_ONCE)))
    assert Counter(answer.status for answer in answers) == {200: 1, 403: AT_ONCE - 1}
    assert {error(answer)[1] for answer in answers if answer.status == 403} == {"already-redeemed"}


def test_of_many_submissions_of_one_token_at_once_one_gets_in(server: Server) -> None:
    token = widget(server).goes_through()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda number: post(server, token + "=" * (number % 3)), range(AT_ONCE)))
    assert Counter(answers) == {"admitted": 1, "timeout-or-duplicate": AT_ONCE - 1}


def test_one_field_takes_tokens_of_both_widgets(server: Server) -> None:
    """A page may go over from our widget to Caputchin's, or have both."""
    asked = b'{"site_key": "cpt_pub_blog"}'
    head = "POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json"
    issued = json.loads(exchange(server.port, request_bytes(head, asked)).body)
    native = f"{issued['token']}.{solve(issued['token'], issued['target'])}"
    tokens = [native, widget(server, "cpt_pub_blog").goes_through()]
    assert [post(server, token) for token in tokens * 2] == ["admitted"] * 2 + ["timeout-or-duplicate"] * 2


def test_a_route_with_an_action_takes_no_wrapped_token_and_uses_none_up(server: Server) -> None:
    token = widget(server).goes_through()
    assert post(server, token, "/signup") == "token-elsewhere"
    assert post(server, token) == "admitted"


def test_a_page_of_another_domain_is_told_so(server: Server) -> None:
    known = Widget(server.port, "cpt_pub_shop", "https://evil.example")
    assert error(known.says("start")) == (403, "origin-not-allowed")


@pytest.mark.parametrize("path", ["widget.js", "cap_wasm_bg.wasm", "pako_inflate.min.js"])
def test_no_bundle_is_served_where_the_operator_brings_none(server: Server, path: str) -> None:
    assert exchange(server.port, request_bytes(f"GET /.caputchin/caputchin/{path}", b"")).status == 404
    shim = exchange(server.port, request_bytes("GET /.caputchin/caputchin/shim.js", b""))
    assert (shim.status, shim.headers["content-type"]) == (200, "text/javascript; charset=utf-8")


@pytest.mark.parametrize(("stack", "app"), STACKS.items())
def test_all_workers_of_a_machine_take_part_in_one_conversation(stack: str, app: str, tmp_path: Path) -> None:
    environment = {"WEB_CONCURRENCY": "3", "GATE_STORE": f"sqlite:///{tmp_path}/gate.db"}
    with serve(stack, app, environment=environment) as server, ThreadPoolExecutor(AT_ONCE) as pool:
        token = widget(server).goes_through()  # each request on a connection of its own
        answers = list(pool.map(lambda _: post(server, token), range(2 * AT_ONCE)))
    assert Counter(answers) == {"admitted": 1, "timeout-or-duplicate": 2 * AT_ONCE - 1}


# Settings


def gate(**settings: Any) -> Gate:
    common: dict[str, Any] = {"provider": "caputchin", "verification": "in-process", "store": "memory"}
    return Gate(**{**common, "protect": ["POST /contact"], **settings})


@pytest.mark.parametrize(
    ("caputchin", "setting", "hint"),
    [
        (
            {"widget": "/nonexistent/widget.js"},
            "widget",
            "widget.js can't be read (No such file or directory)",
        ),
        ({"widget": "/"}, "widget", "can't be read (Is a directory)"),
        ({"widget": "a\0b"}, "widget", "can't be read (there is no such name)"),
        ({"widget": ""}, "widget", "is not a text"),
        ({"widget": 7}, "widget", "is not a text"),
        ({"public_origin": "https://shop.example/"}, "public_origin", "without a slash at the end"),
        ({"public_origin": "shop.example"}, "public_origin", "write it like"),
        ({"public_origin": "//shop.example"}, "public_origin", "write it like"),
        ({"public_origin": "ftp://shop.example"}, "public_origin", "write it like"),
        ({"public_origin": "https://user:word@shop.example"}, "public_origin", "write it like"),
        ({"public_origin": "https://shop.example/a?b"}, "public_origin", "write it like"),
        ({"public_origin": "https://shop.example/../a"}, "public_origin", "write it like"),
        ({"public_origin": 'https://shop.example"+alert(1)+"'}, "public_origin", "write it like"),
        ({"public_origin": "https://shop.example\n"}, "public_origin", "write it like"),
        ({"public_orgin": "https://shop.example"}, "public_orgin", "did you mean 'public_origin'?"),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(caputchin: dict[str, Any], setting: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gate(in_process={"caputchin": caputchin})
    (problem,) = caught.value.problems
    assert problem.setting == f"in_process.caputchin.{setting}"
    assert hint in str(problem)


def test_a_folder_beside_the_widget_with_the_name_of_a_file_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "widget.js").write_bytes(b"")
    (tmp_path / "cap_wasm_bg.wasm").mkdir()
    with pytest.raises(ConfigurationError, match=r"cap_wasm_bg\.wasm can't be read"):
        gate(in_process={"caputchin": {"widget": str(tmp_path / "widget.js")}})


def test_a_table_is_wanted() -> None:
    with pytest.raises(ConfigurationError, match=r"in_process\.caputchin: is not a table"):
        gate(in_process={"caputchin": "widget.js"})


def test_a_site_key_too_long_for_a_token_is_a_mistake_and_a_long_one_is_not() -> None:
    gate(in_process={"sites": [{"site_key": "\u00fc" * 256}]}).close()
    with pytest.raises(ConfigurationError, match=r"sites\[0\].site_key: is too long for a token"):
        gate(in_process={"sites": [{"site_key": "s" * 257}]})


def served(own: Gate, name: str, mount: str = "/.caputchin") -> bytes | None:
    ruling = own.handle(RequestHead("GET", f"{mount}/caputchin/{name}"))
    assert isinstance(ruling, Answer)
    return ruling.response.body if ruling.response.status == 200 else None


@pytest.mark.parametrize(
    ("in_process", "public_origin", "place"),
    [
        ({}, None, "/.caputchin"),
        ({"mount": "/captcha"}, None, "/captcha"),
        ({}, "https://shop.example", "https://shop.example/.caputchin"),
        ({"mount": "/captcha"}, "http://localhost:8000/shop", "http://localhost:8000/shop/captcha"),
        ({}, "http://[::1]:8000", "http://[::1]:8000/.caputchin"),
    ],
)
def test_the_widget_is_served_with_the_place_of_the_gate(
    tmp_path: Path, in_process: dict[str, Any], public_origin: str | None, place: str
) -> None:
    (tmp_path / "widget.js").write_bytes(b'fetch("https://verify.caputchin.com/v1/verify/start")')
    (tmp_path / "cap_wasm_bg.wasm").write_bytes(b"\0asm")
    caputchin = {"widget": str(tmp_path / "widget.js")} | ({"public_origin": public_origin} if public_origin else {})
    own = gate(in_process={**in_process, "caputchin": caputchin})
    mount = in_process.get("mount", "/.caputchin")
    assert served(own, "widget.js", mount) == f'fetch("{place}/v1/verify/start")'.encode()
    assert served(own, "cap_wasm_bg.wasm", mount) == b"\0asm"
    assert served(own, "pako_inflate.min.js", mount) is None
    assert [warning.setting for warning in own.warnings] == ["store"]
    own.close()


def test_the_files_are_read_at_the_start_and_not_again(tmp_path: Path) -> None:
    script = tmp_path / "bundle-3.5.0.js"
    script.write_bytes(b"https://verify.caputchin.com")
    own = gate(in_process={"caputchin": {"widget": str(script)}})
    script.unlink()
    assert served(own, "widget.js") == b"/.caputchin"
    own.close()


def test_a_bundle_that_was_built_for_another_host_is_served_as_it_is_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "widget.js").write_bytes(b'fetch("https://shop.example/.caputchin/v1/verify/start")')
    own = gate(in_process={"caputchin": {"widget": str(tmp_path / "widget.js")}})
    assert served(own, "widget.js") == b'fetch("https://shop.example/.caputchin/v1/verify/start")'
    assert any("https://verify.caputchin.com does not stand in it" in str(warning) for warning in own.warnings)
    own.close()


@pytest.mark.parametrize("kind", ["captchaapi", "cap", "altcha"])
def test_other_kinds_in_process_have_none_of_its_paths(kind: str) -> None:
    own = gate(provider=kind)
    for method, path in (
        ("GET", "v1/widget/bootstrap"),
        ("POST", "v1/verify/start"),
        ("POST", "v1/verify/pass"),
        ("GET", "caputchin/shim.js"),
    ):
        ruling = own.handle(RequestHead(method, f"/.caputchin/{path}"))
        assert isinstance(ruling, Answer)
        assert ruling.response.status == 404
    own.close()


# By hand, with the key of the gate

SIGNING_KEY = "a signing key that only these tests use"


def own_token(nonce: bytes = b"n" * 16, site_key: str = "default", ago: float = 0, host: str = "shop.example") -> str:
    """A token that this gate would have given out some seconds ago."""
    sessions = CaputchinSessions([hashlib.sha256(SIGNING_KEY.encode()).digest()], site_key=site_key)
    session_id, _ = sessions.start(now=time.time() - ago, nonce=nonce, client=None, host=host)
    return sessions.wrap(session_id, now=time.time() - ago).text


def test_a_token_is_verified_by_hand_once_and_tells_where_it_was_solved() -> None:
    own, token = gate(in_process={"signing_key": SIGNING_KEY}), own_token()
    verdicts = [own.verify(value) for value in (token, token, own_token(site_key="other"), "x", "")]
    own.close()
    passed = verdicts[0]
    assert isinstance(passed, Passed)
    assert (passed.hostname, passed.details) == ("shop.example", {"site_key": "default"})
    reasons = [verdict.reason for verdict in verdicts[1:] if isinstance(verdict, Failed)]
    assert reasons == [Reason.TOKEN_USED, Reason.TOKEN_REJECTED, Reason.TOKEN_MALFORMED, Reason.TOKEN_MISSING]


def test_a_token_of_any_site_of_the_gate_is_accepted_once() -> None:
    sites = [{"site_key": "shop"}, {"site_key": "blog"}]
    own = gate(in_process={"signing_key": SIGNING_KEY, "sites": sites})
    verdicts = [own.verify(own_token(site_key=key)) for key in ("shop", "blog", "shop", "default")]
    own.close()
    assert [type(verdict) for verdict in verdicts] == [Passed, Passed, Failed, Failed]


@pytest.mark.parametrize(
    ("ago", "verdict"), [(595, Passed), (601, Reason.TOKEN_EXPIRED), (10_000, Reason.TOKEN_EXPIRED)]
)
def test_a_token_is_good_for_ten_minutes(ago: float, verdict: Any) -> None:
    own = gate(in_process={"signing_key": SIGNING_KEY})
    judged = own.verify(own_token(ago=ago))
    own.close()
    assert isinstance(judged, Passed) if verdict is Passed else judged.reason is verdict


@pytest.mark.parametrize(("max_age", "admitted"), [("1m", False), ("5m", True)])
def test_a_route_may_ask_for_a_fresh_token(max_age: str, admitted: bool) -> None:
    two_minutes_on = Clock(now=lambda: time.time() + 120, monotonic=time.monotonic, random_bytes=os.urandom)
    route = [{"match": "POST /contact", "max_age": max_age}]
    own = gate(clock=two_minutes_on, protect=[], route=route, in_process={"signing_key": SIGNING_KEY})
    pieces = iter([f"caputchin-token={own_token()}".encode()])
    head = RequestHead("POST", "/contact", headers={"content-type": ["application/x-www-form-urlencoded"]})
    ruling = own.handle(head, lambda _: next(pieces, BodyEnd.COMPLETE))
    own.close()
    assert isinstance(ruling, Answer) is not admitted
