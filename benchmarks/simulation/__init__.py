"""A site that is attacked, simulated: what the gate asks of whom, what that costs, what ordinary visitors feel.

Real: the gate. Every request for a challenge and every form goes through `Gate.handle`, with the store in memory, so
the curve, the cap, the counting and the states are those of the code. Only its clock and its randomness are ours.

Computed: the work. Nobody searches: the target of each challenge tells how many hashes it takes on average, and a
device's rate how long that is; the gate takes visitors' solutions for right and the forger's for wrong
(`world.work_is_free`). What attackers solve is not sent at all.

Assumed: everything in `assumptions.py`, with its source.

    world.py        the clock, the site, its clients as generators
    clients.py      who comes
    runs.py         what happens, and what came of it
    costs.py        hours and money
    page.py         docs/choosing.md, from its template
    picture.py      docs/simulation.png

`python -m benchmarks simulation` prints the rows, `python -m benchmarks.simulation` writes page and picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.harness import Row, at_most
from benchmarks.simulation import costs
from benchmarks.simulation.assumptions import CORE, DEVICES, GPU
from benchmarks.simulation.clients import ATTACKER, VISITORS
from benchmarks.simulation.runs import LOCKOUT, RUNS, Result
from caputchin_gate.difficulty import Hardening

LONGEST_WAIT = 1.0  # seconds that an old phone may search, in the median, whatever happens
NOTE = "Seeded, with a simulated clock: the same on every machine. What is real in it stands in benchmarks/simulation."


def rows() -> Iterator[Row]:
    for run in RUNS:
        yield from rows_of(run.result())
    yield from rows_of_work()
    yield Row(f"{LOCKOUT.name}: visitors' requests refused", LOCKOUT.result().refused(VISITORS) * 100, "%")


def rows_of(result: Result) -> Iterator[Row]:
    name, (*_, old) = result.run.name, DEVICES
    before, during, after = (result.median(VISITORS, phase) for phase in ("before", "during", "after"))
    most = result.most(VISITORS, "during")
    yield Row(
        f"{name}: a visitor's challenge",
        during,
        "hashes",
        (("before", before), ("after", after), ("at most", most)),
        note=NOTE,
    )
    yield Row(f"{name}: work of an {old.name}", during / old.rate, "s", (("at most", most / old.rate),), at_most(1))
    if result.run.attacker is not None:
        asked = result.median(ATTACKER, "during")
        yield Row(f"{name}: its challenge", asked, "hashes", (("at most", result.most(ATTACKER, "during")),))
        yield Row(f"{name}: its requests refused", result.refused(ATTACKER) * 100, "%")
    for state in (Hardening.UNDER_ATTACK, Hardening.CRITICAL):
        if (reached := result.reached(state)) is not None:
            title = state.name.lower().replace("_", " ")
            yield Row(f"{name}: {title} after", reached, "s", (("% of the event", result.share_of(state) * 100),))
    if result.run.counts:
        yield from rows_of_cost(costs.attack(result))


def rows_of_cost(attack: costs.Attack) -> Iterable[Row]:
    name = f"{attack.name}: a million submissions"
    yield Row(f"{name} take", attack.days, "days")
    for solver in (CORE, GPU):
        hours = costs.hours(attack.hardened, solver)
        calm = costs.hours(attack.calm, solver)
        yield Row(f"{name}, {solver.name} hours", hours, "h", (("without hardening", calm),))
        price = costs.dollars(attack.hardened, solver)
        yield Row(
            f"{name}, {solver.name}, price", price, "$", (("without hardening", costs.dollars(attack.calm, solver)),)
        )


def rows_of_work() -> Iterator[Row]:
    for kind in costs.kinds():
        name = kind.name.replace("`", "")
        yield Row(
            f"{name}: a million on a GPU", kind.million(GPU), "$", (("critical", kind.million(GPU, critical=True)),)
        )
        yield Row(f"{name}: a GPU is as fast as", kind.advantage, "phones")
