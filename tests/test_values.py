"""Values: compared and hashed by what they hold, and without room for anything else."""

from __future__ import annotations

import pytest

from caputchin_gate.values import value
from caputchin_gate.verdict import Cause, Decision, Failed, Misconfigured, Passed, Reason, Unavailable


@value
class Point:
    x: int
    y: int = 0


def test_values_are_equal_by_what_they_hold() -> None:
    assert {Point(1), Point(1, 0), Point(2)} == {Point(1), Point(2)}


def test_a_value_takes_no_attribute_that_it_does_not_name() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "matched",
    [
        Passed("caputchin"),
        Failed(Reason.TOKEN_REJECTED),
        Unavailable(Cause.TIMEOUT),
        Misconfigured(()),
        Decision(Reason.VERIFIED),
        Decision(Reason.TOKEN_MISSING),
    ],
)
def test_nobody_takes_a_refusal_for_a_yes_because_it_is_an_object(matched: object) -> None:
    with pytest.raises(TypeError, match="is neither true nor false: match it"):
        bool(matched)
