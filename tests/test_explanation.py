"""`explain`: what it says is what the gate does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from caputchin_gate import Gate, Reason
from caputchin_gate.cli import main
from caputchin_gate.effects import BodyEnd
from caputchin_gate.explanation import EVENTS, explain
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit, Answer, PassOn
from caputchin_gate.verdict import ADMITTING
from tests.siteverify_server import Pace, Scripted, SiteverifyServer

FORM = {"content-type": ["application/x-www-form-urlencoded"]}
GATE_TOML = """
protect = ["POST /signup", "PUT /items/{item}", "/any"]
exempt = ["PUT /items/open"]
[provider]
kind = "gotcha"
secret = "R290Q0hBIGlzIGEgY2FwdGNoYSwgYW5kIHRoaXMgaXMgbm90IGEgc2VjcmV0LiE="
token_field = "caputchin-token"
[[route]]
match = "POST /t/{slug}/reply"
json_pointer = "/captcha/token"
token_from = ["json", "query", "cookie"]
on_outage = "admit"
on_refuse = "redirect:/t?captcha=failed"
receipt = "2m"
hostnames = ["shop.example"]
[[route]]
match = "POST /own-answer"
on_refuse = "pass"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    tmp_path.joinpath("gate.toml").write_text(GATE_TOML)
    return str(tmp_path / "gate.toml")


@pytest.mark.parametrize(
    ("request_line", "options", "found", "rule", "why", "code"),
    [
        ("POST /signup", [], "guarded", "POST /signup", "the path matches it", 0),
        ("POST /signup?a=/x", [], "guarded", "POST /signup", "the path matches it", 0),
        ("POST //%73ignup", [], "guarded", "POST /signup", "a reading of the target matches it", 0),
        ("POST http://h/signup", [], "guarded", "POST /signup", "a reading of the target matches it", 0),
        ("POST /SIGNUP/", [], "guarded", "POST /signup", "a reading of the target matches it", 0),
        ("POST /app/signup", ["--mount", "/app/"], "guarded", "POST /signup", "a reading of the target matches it", 0),
        ("POST /items/x", [], "guarded", "PUT /items/{item}", "the path matches it", 0),
        ("GET /items/x?_method=PUT", [], "guarded", "PUT /items/{item}", "the path matches it", 0),
        ("GET /items/x", ["-H", "X-HTTP-Method-Override: put"], "guarded", "PUT /items/{item}", "", 0),
        ("POST /own-answer", [], "guarded", "POST /own-answer", "", 0),
        ("POST /t/fixed%2freply", [], "guarded", "POST /t/{slug}/reply", "", 0),
        ("PUT /items/open", [], "exempt", "PUT /items/open", "an exemption", 1),
        ("PUT /items/%6fpen", [], "guarded", "PUT /items/{item}", "", 0),
        ("POST /t/..%2f..%2fsignup%3f/reply", [], "ambiguous", None, "readings of the target match both", 0),
        ("GET /signup", [], "unguarded", None, "matches 'POST /signup', which does not guard GET", 1),
        ("OPTIONS /any", [], "unguarded", None, "matches '/any', which does not guard OPTIONS", 1),
        ("POST /singup", [], "unguarded", None, "the nearest is 'POST /signup'", 1),
        ("POST /wholly-different", [], "unguarded", None, "no rule has a path like it", 1),
    ],
)
def test_it_names_the_rule_and_the_reason(
    request_line: str,
    options: Sequence[str],
    found: str,
    rule: str | None,
    why: str,
    code: int,
    file: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", file, *request_line.split(" ", 1), *options, "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert (told["found"], told["rule"], told["open"]) == (found, rule, code == 1)
    assert why in told["why"]
    assert main(["explain", file, *request_line.split(" ", 1), *options]) == code
    text, errors = capsys.readouterr()
    assert why in text
    assert errors == ""
    assert "R290Q0" not in text


@pytest.mark.parametrize(
    ("target", "way"),
    [
        ("/signup", ["/signup"]),
        ("//%73ignup", ["//%73ignup", "//signup", "/signup"]),
        ("/x/../signup", ["/x/../signup", "/signup"]),
        ("/signup%252f", ["/signup%252f", "/signup%2f", "/signup/"]),
        ("/SignUp", ["/SignUp", "/signup"]),
    ],
)
def test_it_shows_how_the_target_is_read_as_the_path_of_the_rule(
    target: str, way: list[str], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["explain", file, "POST", target, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert way in [reading["way"] for reading in told["readings"]]


def test_it_tells_where_a_token_is_looked_for_and_what_else_is_asked(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["explain", file, "POST", "/t/x/reply", "--json"])
    asks = json.loads(capsys.readouterr().out)["asks"]
    assert asks["token_in"] == ["JSON at /captcha/token", "query parameter caputchin-token", "cookie caputchin-token"]
    assert asks["receipt"] == {"seconds": 120, "uses": 3}
    assert asks["demands"] == {"hostnames": ["shop.example"]}
    assert (asks["on_outage"], asks["on_refuse"]) == ("admit", "/t?captcha=failed")
    assert asks["providers"][0]["verification"] == "upstream"


def test_every_reason_that_is_ever_decided_has_its_event() -> None:
    limits = {"submissions_per_minute": 5}
    gate = Gate(provider="recaptcha", secret="x" * 40, store="memory", protect=["POST /x"], limits=limits)
    told = explain(RequestHead("POST", "/x"), gate.policy)
    elsewhere = ADMITTING | {Reason.TARGET_AMBIGUOUS}
    assert {outcome.reason for outcome in told.outcomes} == set(Reason) - elsewhere | {Reason.VERIFIED}
    assert [outcome.when for outcome in told.outcomes] == list(EVENTS)


@pytest.mark.parametrize(
    ("provider", "cant"),
    [
        (
            {"kind": "caputchin", "verification": "in-process"},
            {"a score out of bounds", "the provider is down", "a wrong secret or plan"},
        ),
        ({"kind": "gotcha", "secret": "x" * 40}, {"a score out of bounds"}),
        ({"kind": "procaptcha", "secret": "x" * 40}, set()),
    ],
)
def test_what_can_t_happen_at_a_route_is_not_foretold(provider: dict[str, str], cant: set[str]) -> None:
    gate = Gate(provider=provider, store="memory", protect=["POST /x"])
    told = {outcome.when for outcome in explain(RequestHead("POST", "/x"), gate.policy).outcomes}
    assert set(EVENTS) - told == {"too many submissions", *cant}


@pytest.mark.parametrize("mode", ["enforce", "report"])
@pytest.mark.parametrize("on_refuse", ["respond", "pass", "redirect:/back"])
@pytest.mark.parametrize("on_outage", ["refuse", "admit"])
@pytest.mark.parametrize(
    ("when", "body", "reply"),
    [
        ("the token passes", b"caputchin-token=" + b"x" * 40, Scripted.json({"success": True})),
        ("no token", b"a=b", Scripted()),
        ("a malformed token", b"caputchin-token=x%20x", Scripted()),
        (
            "a rejected token",
            b"caputchin-token=" + b"x" * 40,
            Scripted.json({"success": False, "error-codes": ["invalid-input-response"]}),
        ),
        ("two different tokens", b"caputchin-token=x&caputchin-token=y", Scripted()),
        ("a body that breaks off", BodyEnd.CUT_SHORT, Scripted()),
        ("the provider is down", b"caputchin-token=" + b"x" * 40, Scripted(pace=Pace.GONE)),
        (
            "a wrong secret or plan",
            b"caputchin-token=" + b"x" * 40,
            Scripted.json({"success": False, "error-codes": ["invalid-input-secret"]}),
        ),
    ],
)
def test_what_it_foretells_is_what_happens(
    when: str, body: bytes | BodyEnd, reply: Scripted, on_outage: str, on_refuse: str, mode: str
) -> None:
    head = RequestHead("POST", "/x", headers=FORM)
    pieces: list[bytes | BodyEnd] = [body, BodyEnd.COMPLETE]
    with SiteverifyServer([reply]) as server:
        provider = {"kind": "caputchin", "secret": "cpt_sec_x" * 4, "endpoint": server.url}
        gate = Gate(provider=provider, store="memory", protect=["POST /x"], **options(mode, on_refuse, on_outage))
        told = explain(head, gate.policy)
        (foretold,) = (outcome for outcome in told.outcomes if outcome.when == when)
        match gate.handle(head, lambda _: pieces.pop(0)):
            case Admit(decision=decision):
                assert (foretold.reason, foretold.status) == (decision.reason, decision.status)
                assert foretold.becomes == ("admitted" if decision.admitted else "passed on")
            case Answer(response=response, decision=decision):
                assert decision is not None
                assert (foretold.reason, foretold.status) == (decision.reason, response.status)
                location = dict(response.headers).get("Location")
                assert (foretold.becomes, foretold.location) == ("redirected" if location else "refused", location)
            case PassOn():
                raise AssertionError("the rule guards it")
        gate.close()
    assert told.open == (mode == "report")


def options(mode: str, on_refuse: str, on_outage: str) -> dict[str, object]:
    return {"mode": mode, "on_refuse": on_refuse, "on_outage": on_outage}


def test_asking_makes_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = 'protect = ["POST /x"]\nstore = "sqlite:///{}"\n[provider]\nkind = "caputchin"\n'
    store = tmp_path / "gate.db"
    tmp_path.joinpath("gate.toml").write_text(settings.format(store) + 'verification = "in-process"\n')
    assert main(["explain", str(tmp_path / "gate.toml"), "GET", "/.caputchin/captcha.js"]) == 0
    assert "own path by '* /.caputchin/{rest:path}'" in capsys.readouterr().out
    assert not store.exists()
