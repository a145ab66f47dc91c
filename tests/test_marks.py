"""What a mark at a view means, whatever the framework: the rule that it adds, and what the view demands."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from caputchin_gate import ConfigurationError, Decision, Gate, Reason, Route
from caputchin_gate.marks import MarkedView, MarkOptions, Variable, mark, pattern, rules_of
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit

EVERY = frozenset({"GET", "HEAD", "OPTIONS", "POST"})


def make_gate(**options: Any) -> Gate:
    return Gate(provider="caputchin", verification="in-process", store="memory", **options)


def view(path: str, answered: frozenset[str] | None = EVERY, marked: object = None, **options: Any) -> MarkedView:
    return MarkedView("sign_up", path, answered, mark(options), marked or object())


def test_a_mark_has_the_options_of_a_route() -> None:
    fields = {field.name for field in dataclasses.fields(Route)}
    assert set(MarkOptions.__annotations__) - {"methods"} == fields - {"match"}


@pytest.mark.parametrize(
    ("options", "methods", "match"),
    [
        ({}, EVERY, "POST /signup"),
        ({}, frozenset({"PUT", "PATCH"}), "PATCH|PUT /signup"),
        ({}, None, "/signup"),
        ({"methods": ["GET"]}, EVERY, "GET /signup"),
        ({"methods": "get|post"}, EVERY, "GET|POST /signup"),
        ({"methods": ["POST", "DELETE"]}, EVERY, "POST /signup"),
        ({"methods": ["GET"]}, None, "GET /signup"),
    ],
)
def test_a_mark_asks_for_a_token_where_the_view_may_change_something(
    options: dict[str, Any], methods: frozenset[str] | None, match: str
) -> None:
    assert rules_of([view("/signup", methods, **options)]) == ([], [Route(match)])


@pytest.mark.parametrize(
    ("options", "methods"), [({}, {"GET", "HEAD"}), ({}, {"OPTIONS"}), ({"methods": ["PUT"]}, {"POST"})]
)
def test_a_mark_that_asks_for_nothing_is_a_mistake(options: dict[str, Any], methods: set[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"view sign_up: answers .* require_human\(methods="):
        rules_of([view("/list", frozenset(methods), **options)])


def test_a_marked_router_may_have_pages_beside_its_forms() -> None:
    router = object()
    views = [view("/list", frozenset({"GET"}), router), view("/create", frozenset({"POST"}), router)]
    assert rules_of(views) == ([], [Route("POST /create")])


def test_an_option_that_no_route_has_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="require_human: acton: is no option"):
        mark({"acton": "signup"})
    with pytest.raises(ConfigurationError, match="require_human: match: is no option"):
        mark({"match": "/signup"})


@pytest.mark.parametrize(
    ("pieces", "path"),
    [
        (["/contact"], "/contact"),
        (["/t/", Variable(), "/reply"], "/t/{variable1}/reply"),
        (["/t/", Variable(), "-", Variable(), ".json"], "/t/{variable1}-{variable3}.json"),
        (["/files/", Variable(True)], "/files/{rest:path}"),
        (["/files/", Variable(True), "/edit"], "/files/{rest:path}"),
        (["/files/of-", Variable(True)], "/files/{rest:path}"),
        (["/a b/{c}/<d>/100%"], "/a%20b/%7Bc%7D/%3Cd%3E/100%25"),
        (["/café"], "/café"),
        ([""], "/"),
    ],
)
def test_a_path_of_a_framework_is_said_in_the_language_of_routes(pieces: Sequence[str | Variable], path: str) -> None:
    assert pattern(pieces) == path
    assert make_gate(protect=[f"POST {path}"])


def guards(gate: Gate, target: str) -> bool:
    return not gate.untouched(target, None, "")


def test_rules_of_marked_views_are_another_gate_s() -> None:
    gate = make_gate()
    one, other = gate.guarding([view("/one")]), gate.guarding([view("/other")])
    assert (guards(one, "/one"), guards(one, "/other")) == (True, False)
    assert (guards(other, "/one"), guards(other, "/other")) == (False, True)
    assert not guards(gate, "/one")
    with pytest.raises(ConfigurationError, match="nothing is protected"):
        gate.must_guard()
    with pytest.raises(ConfigurationError, match="nothing is protected"):
        gate.guarding([]).must_guard()
    one.must_guard()


def test_gates_with_the_rules_of_marked_views_share_listeners_and_room() -> None:
    gate = make_gate()
    heard: list[Decision] = []
    one = gate.guarding([view("/one")])
    gate.on_decision(heard.append)
    one.handle(RequestHead("POST", "/one"))
    assert [decision.reason for decision in heard] == [Reason.TOKEN_MISSING]
    assert one.budget is gate.budget


def route_of(gate: Gate, path: str) -> str | None:
    decisions: list[Decision] = []
    gate.on_decision(decisions.append)
    gate.handle(RequestHead("POST", path))
    return decisions[-1].route


def test_a_plain_mark_keeps_the_options_of_a_rule_that_guards_its_view() -> None:
    gate = make_gate(protect=[Route("POST /signup", receipt="2m"), "/admin/{rest:path}"])
    both = gate.guarding([view("/signup"), view("/admin/users"), view("/contact"), view("/contact/")])
    assert route_of(both, "/signup") == "POST /signup"
    assert route_of(both, "/admin/users") == "/admin/{rest:path}"
    assert route_of(both, "/contact") == "POST /contact"


def test_an_exemption_takes_out_what_only_a_mark_guards() -> None:
    gate = make_gate(exempt=["POST /hooks/stripe"])
    both = gate.guarding([view("/hooks/{name}")])
    assert both.handle(RequestHead("POST", "/hooks/stripe")) == Admit(
        Decision(Reason.EXEMPT, route="POST /hooks/stripe")
    )
    with pytest.raises(ConfigurationError, match="exempts nothing"):
        gate.guarding([view("/contact")])


def test_a_mark_with_options_comes_before_the_rules() -> None:
    gate = make_gate(protect=["/admin/{rest:path}"])
    assert route_of(gate.guarding([view("/admin/users", receipt="1m")]), "/admin/users") == "POST /admin/users"


@pytest.mark.parametrize(
    ("protect", "path", "is_passed_on"),
    [
        ([], "/t/7/comment", True),
        (["/other"], "/t/7/comment", True),
        (["/{rest:path}"], "/t/7/comment", False),
        (["/t/{slug}/{what}"], "/t/7/comment", False),
        (["GET /t/{slug}/{what}"], "/t/7/comment", True),
        (["/t/abc/comment"], "/t/7/comment", True),
        (["/t/abc/comment"], "/t/abc/comment", False),
        ([Route("/t/abc/comment", on_refuse="pass")], "/t/abc/comment", True),
        ([Route("/t/abc/comment", on_refuse="pass"), "/t/{rest:path}"], "/t/abc/comment", True),
        (["/t/{rest:path}"], "/t/abc/comment", False),
    ],
)
def test_a_view_gets_no_refusals_on_a_path_that_a_rule_guards_for_a_neighbour(
    protect: list[str | Route], path: str, is_passed_on: bool
) -> None:
    gate = make_gate(protect=protect).guarding([view("/t/{number}/comment", on_refuse="pass")])
    ruling = gate.handle(RequestHead("POST", path))
    assert isinstance(ruling, Admit) is is_passed_on
    assert ruling.decision.reason is Reason.TOKEN_MISSING  # type: ignore[union-attr]


def test_a_rule_and_a_mark_with_options_for_the_same_view_are_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="'POST /signup' before it matches all of it"):
        make_gate(protect=["POST /signup"]).guarding([view("/signup", receipt="1m")])


def test_marks_that_can_t_be_kept_are_told_with_their_view() -> None:
    with pytest.raises(ConfigurationError, match=r"view 'POST /signup'.provider: no provider is named 'old'"):
        make_gate().guarding([view("/signup", provider="old")])


REFUSED = Decision(Reason.TOKEN_MISSING)
UNREADABLE = Decision(Reason.BODY_UNREADABLE)


@pytest.mark.parametrize(
    ("options", "method", "decision", "runs", "reason"),
    [
        ({}, "POST", Decision(Reason.VERIFIED), True, Reason.VERIFIED),
        ({}, "POST", Decision(Reason.EXEMPT), True, Reason.EXEMPT),
        ({}, "POST", None, False, Reason.MISCONFIGURED),
        ({}, "post", None, False, Reason.MISCONFIGURED),
        ({}, "BREW", None, False, Reason.MISCONFIGURED),
        ({}, "POST", REFUSED, False, Reason.TOKEN_MISSING),
        ({}, "GET", None, True, Reason.UNGUARDED),
        ({}, "HEAD", None, True, Reason.UNGUARDED),
        ({}, "GET", REFUSED, False, Reason.TOKEN_MISSING),
        ({"methods": ["GET"]}, "GET", None, False, Reason.MISCONFIGURED),
        ({"methods": ["GET"]}, "HEAD", None, False, Reason.MISCONFIGURED),
        ({"methods": ["GET"]}, "POST", None, True, Reason.UNGUARDED),
        ({"on_refuse": "pass"}, "POST", REFUSED, True, Reason.TOKEN_MISSING),
        ({"on_refuse": "pass"}, "POST", UNREADABLE, False, Reason.BODY_UNREADABLE),
        ({"on_refuse": "pass"}, "POST", None, False, Reason.MISCONFIGURED),
    ],
)
def test_a_view_runs_with_an_admitting_decision_and_without_one_only_where_nothing_is_asked(
    options: dict[str, Any], method: str, decision: Decision | None, runs: bool, reason: Reason
) -> None:
    found = mark(options)
    decided = found.decided(method, decision, "sign_up")
    assert (found.lets_run(decided), decided.reason) == (runs, reason)


@pytest.mark.parametrize(
    ("options", "decision", "runs"),
    [
        ({"receipt": "1m"}, Decision(Reason.VERIFIED, route="POST /own"), True),
        ({"receipt": "1m"}, Decision(Reason.VERIFIED, route="POST /{other}"), False),
        ({"receipt": "1m"}, Decision(Reason.RECEIPT, route="POST /{other}"), False),
        ({"receipt": "1m"}, Decision(Reason.EXEMPT, route="POST /own"), True),
        ({"receipt": "1m"}, Decision(Reason.EXEMPT, route="POST /{other}"), True),
        ({"receipt": "1m"}, Decision(Reason.REPORT_ONLY, route="POST /{other}"), True),
        ({"on_refuse": "pass"}, Decision(Reason.TOKEN_MISSING, route="POST /{other}"), False),
        ({}, Decision(Reason.VERIFIED, route="POST /{other}"), True),
    ],
)
def test_the_decision_of_another_view_s_rule_is_none_for_one_that_asks_for_something_else(
    options: dict[str, Any], decision: Decision, runs: bool
) -> None:
    own = view("/own", **options)
    rules_of([own])
    assert own.mark.lets_run(own.mark.decided("POST", decision, "own")) is runs


def test_a_rule_may_guard_what_the_mark_asks_nothing_for() -> None:
    own = view("/own", receipt="1m")
    rules_of([own])
    by_a_rule = Decision(Reason.VERIFIED, route="GET /own")
    assert own.mark.decided("GET", by_a_rule, "own") is by_a_rule


def test_a_view_without_a_gate_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    mark({}).decided("POST", None, "sign_up")
    assert "view sign_up was reached without a decision" in caplog.text
