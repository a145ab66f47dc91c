"""docs/choosing.md, from its template: what the runs came to, in the words of somebody who has a site."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.report import number
from benchmarks.simulation import costs
from benchmarks.simulation.assumptions import CORE, DEVICES, GPU, MILLION
from benchmarks.simulation.clients import ATTACKER, MINUTE, VISITORS
from benchmarks.simulation.runs import BOTNET, FORGER, LOUD, PEAK, RUSH, Result, Run
from caputchin_gate.difficulty import Curve, Hardening, Multipliers, target_for

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "choosing.md"
TEMPLATE = DOCS / "choosing.md.template"
PICTURE = DOCS / "simulation.png"

_CENT = 0.01


def page(results: Sequence[Result], lockout: Result) -> str:
    by_run = {result.run.name: result for result in results}
    parts = {
        "events": _events(results),
        "devices": _devices(),
        "attacks": _attacks([costs.attack(result) for result in results if result.run.counts]),
        "kinds": _kinds(),
        "shared": _shared(),
        "sources": _sources(),
        **_figures(by_run, lockout),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], TEMPLATE.read_text(encoding="utf-8"))


def _figures(by_run: Mapping[str, Result], lockout: Result) -> dict[str, str]:
    """What the prose mentions."""

    def of(run: Run) -> Result:
        return by_run[run.name]

    *_, old = DEVICES
    return {
        "botnet_seen": _time(of(BOTNET).reached(Hardening.CRITICAL)),
        "botnet_over": _time(of(BOTNET).fell_to(Hardening.NORMAL)),
        "loud_state": _highest(of(LOUD)),
        "forger_state": _highest(of(FORGER)),
        "rush_state": _highest(of(RUSH)),
        "longest_search": _time(max(waited.searched for result in by_run.values() for waited in result.waited)),
        "longest_felt": _time(max(waited.felt for result in by_run.values() for waited in result.waited)),
        "old_worst": _time(max(result.most(VISITORS, "during") for result in by_run.values()) / old.rate),
        "locked_out": f"{lockout.sent_away(VISITORS) * 100:.0f} %",
        "peak": f"{PEAK:.0f}",
        "days_alone": _days(costs.refused_after(Curve().cap)),
    }


def _events(results: Iterable[Result]) -> str:
    rows = []
    for result in results:
        seen = result.reached(Hardening.SUSPICIOUS)
        rows.append(
            (
                result.run.name,
                _highest(result) if seen is not None else "normal",
                _time(seen),
                _time(result.fell_to(Hardening.NORMAL)),
                _range(result, ATTACKER) if result.run.attacker is not None else "",
                _range(result, VISITORS),
            )
        )
    headings = ("what comes", "highest state", "noticed after", "normal again after")
    return _table((*headings, "its challenges", "visitors' challenges"), rows)


def _range(result: Result, who: str) -> str:
    median, most = result.median(who, "during"), result.most(who, "during")
    return f"{median:,.0f} to {most:,.0f}" if most > median * 1.1 else f"{median:,.0f}"


def _highest(result: Result) -> str:
    return _state(max(state for _, state in result.states))


def _state(state: Hardening) -> str:
    return state.name.lower().replace("_", " ")


def _devices() -> str:
    """The first challenge in each state on each device, on average."""
    multipliers = Multipliers()
    easiest = Curve().target(1)
    assert easiest is not None
    work = {state: 2**32 / (target_for(easiest, multipliers.of(state)) + 1) for state in Hardening}
    rows = [
        (f"{_state(state)}, {hashes:,.0f} hashes", *(_time(hashes / device.rate) for device in DEVICES))
        for state, hashes in work.items()
    ]
    return _table(("first challenge", *(device.name for device in DEVICES)), rows)


def _attacks(attacks: Iterable[costs.Attack]) -> str:
    rows = [
        (
            attack.name,
            _days(attack.days),
            f"{attack.calm / MILLION:,.0f}",
            f"{attack.hardened / MILLION:,.0f}",
            f"{_time(attack.hardened / CORE.rate)}, {_money(costs.dollars(attack.hardened, CORE))}",
            f"{_time(attack.hardened / GPU.rate)}, {_money(costs.dollars(attack.hardened, GPU))}",
        )
        for attack in attacks
    ]
    headings = ("attacker", "it takes", "hashes each, without hardening", "with", "the work on a CPU core", "on a GPU")
    return _table(headings, rows)


def _kinds() -> str:
    rows = []
    for kind in costs.kinds():
        _, phone, _ = kind.calm_seconds
        _, phone_critical, old_critical = kind.critical_seconds
        rows.append(
            (
                kind.name,
                _time(phone),
                _time(phone_critical),
                _time(old_critical),
                *(_pair(kind.million(solver), kind.million(solver, critical=True)) for solver in (CORE, GPU)),
                f"{kind.advantage:,.0f}",
            )
        )
    headings = ("work", "phone", "phone, critical", "old phone, critical", "a million on CPU cores", "on a GPU")
    return _table((*headings, "phones that a GPU is worth"), rows)


def _pair(calm: float, critical: float) -> str:
    both = dict.fromkeys((_money(calm), _money(critical)))
    return " to ".join(both)


def _shared() -> str:
    """How hard a challenge is for the last of so many people behind one address, for some caps."""
    people = (1, 30, 99, 300, 900)
    rows = []
    for cap in (30, 100, 500, 1000):
        curve = Curve(cap)
        cells = [f"{2**32 / (target + 1):,.0f}" if (target := curve.target(one)) else "refused" for one in people]
        rows.append((f"`{cap}`", *cells, _days(costs.refused_after(cap))))
    ordinal = ("1st", "30th", "99th", "300th", "900th")
    return _table(("`challenges_per_minute`", *ordinal, "a million from one address takes"), rows)


def _sources() -> str:
    machines = [(device.name, device.rate, "", device.source) for device in DEVICES]
    machines += [(solver.name, solver.rate, f"${solver.price:.2f}", solver.source) for solver in (CORE, GPU)]
    rows = [(name, f"{number(rate / MILLION)} million", price, source) for name, rate, price, source in machines]
    return _table(("machine", "SHA-256 a second", "an hour, assumed", "where from"), rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows))


def _time(seconds: float | None) -> str:
    """In the unit in which one says it."""
    if seconds is None:
        return "never"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if 0 < seconds * 1000 < 9.95 else f"{seconds * 1000:.0f} ms"
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / MINUTE:.0f} min"


def _days(days: float) -> str:
    return f"{days:.1f} days" if days >= 2 else f"{days * 24:.0f} hours"


def _money(dollars: float) -> str:
    return "under 1 cent" if dollars < _CENT else f"${dollars:.2f}"
