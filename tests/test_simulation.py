"""What docs/choosing.md says of attacks holds for the gate as it is: the runs of the simulation, as they are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from benchmarks.simulation import clients, costs
from benchmarks.simulation.assumptions import CORE, DEVICES, GPU
from benchmarks.simulation.clients import ATTACKER, MINUTE, VISITORS
from benchmarks.simulation.course import STEPS, course, minutes_above
from benchmarks.simulation.page import PAGE, page
from benchmarks.simulation.runs import BOTNET, FORGER, LOCKOUT, LOUD, RUNS, RUSH, Result, Run
from benchmarks.simulation.world import World
from caputchin_gate import Gate
from caputchin_gate.difficulty import Curve, Hardening
from caputchin_gate.engines import native

pytestmark = pytest.mark.exhaustive


def forgers(world: World, until: float) -> Iterator[float]:
    """Three, as the page says."""
    for number in range(3):
        world.start(clients.forger(world, until, address=f"192.0.2.{number}"))
    yield from ()


SMALL = replace(BOTNET, attacker=partial(clients.botnet, size=1_000, every=300.0), lasts=5 * MINUTE, after=20 * MINUTE)


FORGERS = replace(FORGER, attacker=forgers)


@pytest.fixture(scope="module")
def results() -> Mapping[str, Result]:
    return {run.name: run.result() for run in RUNS}


@pytest.fixture(scope="module")
def lockout() -> Result:
    return LOCKOUT.result()


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: run.name)
def result(request: pytest.FixtureRequest, results: Mapping[str, Result]) -> Result:
    run: Run = request.param
    return results[run.name]


def test_the_page_says_what_the_simulation_came_to(results: Mapping[str, Result], lockout: Result) -> None:
    fix = "run `make simulation`, and read whether the page still draws the right conclusions"
    assert page(list(results.values()), lockout) == PAGE.read_text(encoding="utf-8"), fix


def test_a_seed_makes_the_same_run_again_and_another_seed_another_one() -> None:
    run = replace(LOUD, before=10 * MINUTE, lasts=2 * MINUTE, after=0)
    first, again, other = run.result(), run.result(), run.result(seed=1)
    assert (first.asked, first.sent, first.waited) == (again.asked, again.sent, again.waited)
    assert first.asked != other.asked


def test_nobody_who_visits_is_refused_or_waits_whatever_comes(result: Result) -> None:
    asked = [one for one in result.asked if one.who == VISITORS]
    assert len(asked) > 300
    assert all(one.token for one in asked)
    assert all(sent.admitted for sent in result.sent if sent.who == VISITORS)
    assert sum(waited.felt > 0 for waited in result.waited) <= len(result.waited) / 100


def test_an_old_phone_searches_for_less_than_a_second_whatever_comes(result: Result) -> None:
    *_, old = DEVICES
    assert result.most(VISITORS, "during") / old.rate < 1


def test_before_it_is_calm_and_afterwards_it_is_again(result: Result) -> None:
    assert {one.state for one in result.of(VISITORS, "before")} == {Hardening.NORMAL}
    *_, (_, last) = result.states
    assert last is Hardening.NORMAL
    assert result.median(VISITORS, "after") == result.median(VISITORS, "before") == pytest.approx(4096)


def test_a_botnet_of_clients_that_ask_for_little_is_noticed_within_half_a_minute() -> None:
    result = SMALL.result()
    reached = result.reached(Hardening.CRITICAL)
    assert reached is not None
    assert reached <= 30
    asked = [one for one in result.of(ATTACKER, "during") if one.at >= result.run.begins + reached]
    assert {one.step for one in asked} <= {1, 2}  # the curve sees nothing in them
    assert {one.state for one in asked} == {Hardening.CRITICAL}
    fell = result.fell_to(Hardening.NORMAL)
    assert fell is not None
    assert SMALL.lasts < fell <= SMALL.lasts + 12 * MINUTE


def test_an_attack_that_goes_on_stays_one(results: Mapping[str, Result]) -> None:
    botnet = results[BOTNET.name]
    assert botnet.share_of(Hardening.CRITICAL) > 0.99
    states = course(*botnet.paces(), 150)  # and as the same rules have it, in the hours after the run
    assert {*states[2 * STEPS :]} == {Hardening.CRITICAL}
    assert minutes_above(Hardening.NORMAL, course(100, 1000, 12 * 60)) < 3 * 60  # but growth for good ends it


@pytest.mark.parametrize("run", [LOUD, FORGER])
def test_one_client_does_not_make_the_site_harder_for_others(run: Run, results: Mapping[str, Result]) -> None:
    result = results[run.name]
    assert {state for _, state in result.states} == {Hardening.NORMAL}
    assert result.most(VISITORS, "during") == pytest.approx(4096, rel=0.03)  # some need a second challenge


def test_the_rules_alone_come_to_the_states_of_a_run(results: Mapping[str, Result]) -> None:
    for result in results.values():
        if result.run.counts:
            states = course(*result.paces(), result.run.lasts / MINUTE)
            *_, last = (one.state for one in result.of(ATTACKER, "during"))
            assert states[-1] is last, result.run.name


def test_one_network_gets_no_more_than_its_cap_and_pays_more_for_each(results: Mapping[str, Result]) -> None:
    loud = results[LOUD.name]
    issued = [one for one in loud.of(ATTACKER, "during") if one.token]
    assert len(issued) <= 99 * loud.run.lasts / MINUTE
    curve = Curve()
    assert max(one.step for one in issued) == curve.cap - 1
    assert loud.refused(ATTACKER) > 0


def test_hardening_makes_an_attack_dearer_and_it_stays_cheap(results: Mapping[str, Result]) -> None:
    for result in results.values():
        if result.run.counts:
            attack = costs.attack(result)
            assert attack.calm * 0.999 <= attack.hardened <= 16.1 * attack.calm
            if result.run is BOTNET:
                assert attack.hardened > 3 * attack.calm
            assert costs.dollars(attack.hardened, GPU) < costs.dollars(attack.hardened, CORE) < 1


@pytest.mark.parametrize(
    ("run", "in_process"),
    [
        (RUSH, {"hardening": {"least_challenges": 150}}),
        (FORGERS, {"hardening": {"failed": False}}),
    ],
)
def test_what_the_page_advises_keeps_a_site_calm(run: Run, in_process: Mapping[str, Any]) -> None:
    advised = replace(run, lasts=10 * MINUTE, after=0, in_process=in_process).result()
    assert {state for _, state in advised.states} == {Hardening.NORMAL}


def test_three_networks_raise_a_site_for_eleven_minutes_and_then_no_more() -> None:
    result = replace(FORGERS, after=0).result()
    assert result.reached(Hardening.CRITICAL) is not None
    fell = result.fell_to(Hardening.NORMAL)
    assert fell is not None
    assert 10 * MINUTE < fell < 12 * MINUTE
    assert [state for _, state in result.states].count(Hardening.CRITICAL) == 1


def test_the_cap_in_all_refuses_visitors_too(lockout: Result) -> None:
    assert 0.2 < lockout.sent_away(VISITORS) < 0.6


def test_work_is_free_in_a_run_alone() -> None:
    assert native.meets.__module__ == native.__name__
    gate = Gate(provider="caputchin", verification="in-process", store="memory", protect=["POST /contact"])
    gate.close()
    assert not native.meets(b"0" * 32, "1", 0)
