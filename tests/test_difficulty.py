"""The difficulty curve: captchaapi.md 7 and its vectors."""

from __future__ import annotations

from itertools import pairwise

import pytest

from caputchin_gate.difficulty import (
    EASIEST,
    GREATEST_CAP,
    HARDEST,
    Curve,
    Hardening,
    Multipliers,
    base_targets,
    target_for,
)
from caputchin_gate.errors import ConfigurationError

NORMAL = Hardening.NORMAL


@pytest.mark.parametrize(
    ("step", "target"),
    [
        (1, 0x000FFFFF),
        (2, 1019324),
        (10, 812862),
        (25, 531756),
        (50, 262143),
        (75, 129229),
        (90, 84539),
        (98, 67415),
        (99, 0x0000FFFF),
    ],
)
def test_the_default_curve_is_that_of_the_page(step: int, target: int) -> None:
    assert Curve().target(step, NORMAL) == target


@pytest.mark.parametrize("cap", [3, 4, 10, 99, 100, 101, 1000, GREATEST_CAP])
def test_every_step_is_harder_than_the_one_before_whatever_the_cap(cap: int) -> None:
    targets = base_targets(cap)
    assert len(targets) == cap - 1
    assert (targets[0], targets[-1]) == (EASIEST, HARDEST)
    assert all(harder < easier for easier, harder in pairwise(targets))


def test_every_step_of_the_default_curve_raises_the_work_by_the_same_factor() -> None:
    work = [2**32 / (target + 1) for target in base_targets(100)]
    factors = [harder / easier for easier, harder in pairwise(work)]
    assert all(abs(factor - 16 ** (1 / 98)) < 0.0002 for factor in factors)


@pytest.mark.parametrize(("count", "step"), [(0, 1), (1, 1), (2, 2), (99, 99), (100, None), (101, None), (10**9, None)])
def test_the_hundredth_challenge_in_a_window_is_refused(count: int, step: int | None) -> None:
    assert Curve().step_of(count) == step


def test_a_cap_of_two_serves_one_easy_challenge_a_minute() -> None:
    curve = Curve(2)
    assert [curve.step_of(count) for count in (1, 2)] == [1, None]
    assert curve.target(1, NORMAL) == EASIEST


@pytest.mark.parametrize("step", [-1, 0, 100, 16383])
@pytest.mark.parametrize("state", list(Hardening))
def test_a_step_off_the_curve_has_no_target(step: int, state: Hardening) -> None:
    assert Curve().target(step, state) is None


@pytest.mark.parametrize(
    ("base", "multiplier", "target"),
    [
        (1048575, 16, 65535),
        (65535, 16, 4095),
        (1048575, 1.5, 699050),
        (1048575, 1, 1048575),
        (1048575, 2**40, 1),
    ],
)
def test_a_multiplier_divides_the_target_and_never_makes_it_zero(base: int, multiplier: float, target: int) -> None:
    assert target_for(base, multiplier) == target


@pytest.mark.parametrize(
    ("state", "easy", "hard"),
    [
        (Hardening.NORMAL, 1048575, 65535),
        (Hardening.SUSPICIOUS, 699050, 43690),
        (Hardening.UNDER_ATTACK, 262143, 16383),
        (Hardening.CRITICAL, 65535, 4095),
    ],
)
def test_each_state_asks_for_its_multiple_of_the_work(state: Hardening, easy: int, hard: int) -> None:
    curve = Curve()
    assert (curve.target(1, state), curve.target(99, state)) == (easy, hard)


def test_no_step_and_state_is_easier_than_the_easiest_target() -> None:
    curve = Curve()
    targets = [curve.target(step, state) for step in range(1, 100) for state in Hardening]
    assert max(target for target in targets if target is not None) == EASIEST


def test_the_codes_of_the_states_never_change() -> None:
    assert {state.name: state.value for state in Hardening} == {
        "NORMAL": 0,
        "SUSPICIOUS": 1,
        "UNDER_ATTACK": 2,
        "CRITICAL": 3,
    }


@pytest.mark.parametrize("multipliers", [(1, 1.5, 1.5), (1.5, 16, 16), (16, 16, 16)])
def test_the_multiplier_of_an_attack_lies_between_1_5_and_16(multipliers: tuple[float, float, float]) -> None:
    assert Multipliers(*multipliers).of(Hardening.UNDER_ATTACK) == multipliers[1]


@pytest.mark.parametrize("cap", [-1, 0, 1, GREATEST_CAP + 1])
def test_a_cap_out_of_range_is_a_mistake_of_the_configuration(cap: int) -> None:
    with pytest.raises(ConfigurationError, match=r"in_process\.challenges_per_minute"):
        Curve(cap)


@pytest.mark.parametrize(
    "multipliers",
    [
        *((0.5, 4, 16), (1.5, 1.4, 16), (1.5, 17, 16), (1.5, 4, float("inf")), (1.5, float("nan"), 16)),
        *((1, 1.4, 16), (2, 8, 7), (1.5, 4, 16.1)),
    ],
)
def test_multipliers_that_do_not_rise_from_1_to_16_are_a_mistake_of_the_configuration(
    multipliers: tuple[float, float, float],
) -> None:
    with pytest.raises(ConfigurationError, match=r"in_process\.hardening\.multipliers"):
        Multipliers(*multipliers)
