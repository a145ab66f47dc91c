"""What ten thousand rules cost a request that none of them guards, beside what one rule costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import NANO, Row, at_most_times, by_turns
from benchmarks.unprotected_asgi import Application, application, fresh_cost, usual_cost
from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware

MANY = 10_000


def rows() -> Iterator[Row]:
    apps: dict[str, Application] = {
        "bare": application,
        "one rule": guarded(["POST /articles/{slug}/comments"]),
        "many rules": guarded([*many_rules(MANY - 1), "POST /articles/{slug}/comments"]),
    }
    usual = by_turns({name: partial(usual_cost, app) for name, app in apps.items()}, rounds=15)
    yield row(
        "unprotected request past 10,000 rules adds", usual.added("many rules", "bare"), usual.added("one rule", "bare")
    )
    fresh = by_turns({name: partial(fresh_cost, app) for name, app in apps.items()})
    yield row(
        "unprotected request past 10,000 rules, path never seen before, adds",
        fresh.added("many rules", "bare"),
        fresh.added("one rule", "bare"),
    )


def row(what: str, many: float, one: float) -> Row:
    note = "A third of the rules are plain paths, a third begin and a third end with a variable; none matches."
    return Row(what, many * NANO, "ns", (("one rule", one * NANO),), at_most_times(1.5), note)


def guarded(protect: list[str]) -> GateMiddleware:
    return GateMiddleware(
        application,
        gate=Gate(provider="caputchin", verification="in-process", store="memory", protect=protect),
    )


def many_rules(how_many: int) -> Iterator[str]:
    shapes = ("POST /articles/{number}/comments", "POST /{{slug}}/{number}/reply", "POST /boards/{number}/{{slug}}")
    for number in range(how_many):
        yield shapes[number % len(shapes)].format(number=number)
