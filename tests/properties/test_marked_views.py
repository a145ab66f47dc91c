"""Marks at views and rules in the settings agree: whatever is sent, both refuse it, or both let it through."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate import flask, starlette
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Answer
from tests.at_home import METHODS, flask_site, gate_for_marks, starlette_site
from tests.echo import PROTECT, make_gate

BY_RULES = make_gate()
BY_MARKS = (
    gate_for_marks().guarding(flask.marked_views(flask_site.with_marks)),
    gate_for_marks().guarding(view for view, _ in starlette.marked_views(starlette_site.with_marks.routes)),
)
WORDS = sorted({word for rule in PROTECT for word in str(getattr(rule, "match", rule)).split()[-1].split("/")} - {""})
SEGMENTS = st.sampled_from([*WORDS, "7", "stripe", "..", ".", "", "%2e%2e", "x;y", "CONTACT", "%63ontact", "a%2fb"])
TARGETS = st.lists(SEGMENTS, max_size=4).map(lambda segments: "/" + "/".join(segments))
OVERRIDES = st.sampled_from(["", "_method=POST", "_method=PUT"])


@given(st.sampled_from(METHODS), TARGETS, OVERRIDES)
def test_marks_and_rules_decide_alike(method: str, target: str, query: str) -> None:
    path = unquote_to_bytes(target).decode("utf-8", "replace")
    head = RequestHead(method, path, target, query=query)
    expected = BY_RULES.handle(head)
    for gate in BY_MARKS:
        assert gate.untouched(path, target, "") == BY_RULES.untouched(path, target, "")
        found = gate.handle(head)
        assert type(found) is type(expected)
        assert isinstance(found, Answer) is isinstance(expected, Answer)
        decisions = [getattr(ruling, "decision", None) for ruling in (found, expected)]
        assert len({decision.reason if decision is not None else None for decision in decisions}) == 1
