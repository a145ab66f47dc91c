"""docs/simulation.png: one row a run, over the minutes around its event: the site's states, and who paid how much."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.simulation.assumptions import DEVICES
from benchmarks.simulation.clients import ATTACKER, MINUTE, VISITORS
from benchmarks.simulation.runs import Result
from caputchin_gate.difficulty import Hardening

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = (-8, 68)  # minutes
LEAST, MOST = 2_000, 2_500_000  # hashes
NARROWEST = 6  # minutes of a state that has room for its name
GREEN, RED, GREY = "#1b7a5a", "#c0392b", "#666666"
SHADES = {
    Hardening.SUSPICIOUS: "#fdf3d0",
    Hardening.UNDER_ATTACK: "#fbd9b0",
    Hardening.CRITICAL: "#f5b7ab",
}
HASHES = {4_096: "4,096", 65_536: "65,536", 1_048_576: "1 million"}


def draw(results: Sequence[Result], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(results), 1, figsize=(9, 2.05 * len(results)), sharex=True, squeeze=False)
    for axes, result in zip(rows[:, 0], results, strict=True):
        _frame(axes)
        axes.set_title(result.run.name, fontsize=12, fontweight="bold", loc="left")
        axes.set_title(_pace(result), fontsize=10.5, color=GREY, loc="right")
        _shade(axes, result)
        for who, colour, width in ((ATTACKER, RED, 5.5), (VISITORS, GREEN, 2.4)):  # the red is seen below the green
            axes.plot(
                *_medians(result, who), color=colour, linewidth=width, drawstyle="steps-mid", solid_capstyle="butt"
            )
    first, last = rows[0][0], rows[-1][0]
    first.set_xlim(*SHOWN)
    last.set_xlabel("minutes; it lasts from one dashed line to the other", fontsize=10.5)
    figure.supylabel("hashes that a challenge takes, in the median", fontsize=10.5)
    figure.text(0.985, 0.5, f"seconds on an {DEVICES[-1].name}", fontsize=10.5, rotation=270, va="center", ha="center")
    figure.text(0.36, 0.985, "green: visitors", fontsize=12, color=GREEN, fontweight="bold", va="top")
    figure.text(0.56, 0.985, "red: the attacker", fontsize=12, color=RED, fontweight="bold", va="top")
    figure.tight_layout(rect=(0, 0, 0.97, 0.965))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _frame(axes: Axes) -> None:
    """Hashes on the left; on the right what they are in seconds."""
    *_, slowest = DEVICES
    axes.set_yscale("log")
    axes.set_ylim(LEAST, MOST)
    axes.minorticks_off()
    axes.set_yticks([*HASHES], [*HASHES.values()])
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for hashes in HASHES:
        at = (1.01, hashes)
        axes.annotate(
            f"{hashes / slowest.rate:.1g} s", at, xycoords=("axes fraction", "data"), fontsize=10, va="center"
        )


def _pace(result: Result) -> str:
    """What comes in a minute of the event, at its beginning."""
    begins = result.run.begins
    asked = sum(begins <= one.at < begins + 5 * MINUTE for one in result.asked if one.token) / 5
    refused = sum(begins <= sent.at < begins + 5 * MINUTE and not sent.admitted for sent in result.sent) / 5
    wrong = f", {refused:,.0f} wrong tokens" if refused else ""
    return f"{asked:,.0f} challenges{wrong} a minute"


def _shade(axes: Axes, result: Result) -> None:
    """The states behind, the event between two lines."""
    end = (result.run.lasts + result.run.after) / MINUTE
    edges = [*((at / MINUTE, state) for at, state in result.states), (end, None)]
    for (begins, state), (ends, _) in pairwise(edges):
        if state in SHADES:
            axes.axvspan(begins, ends, color=SHADES[state], linewidth=0)
            if ends - begins >= NARROWEST:
                name = state.name.lower().replace("_", " ")
                axes.text((begins + ends) / 2, MOST * 0.7, name, fontsize=10, color="#7a4a3a", ha="center", va="top")
    for at in (0, result.run.lasts / MINUTE):
        axes.axvline(at, color=GREY, linewidth=0.9, linestyle=(0, (3, 3)))


def _medians(result: Result, who: str) -> tuple[list[float], list[float]]:
    """What the challenges of each minute took."""
    minutes: dict[float, list[float]] = defaultdict(list)
    for asked in result.asked:
        minute = (asked.at - result.run.begins) // MINUTE
        if asked.who == who and asked.token and minute >= SHOWN[0]:
            minutes[minute].append(asked.hashes)
    return [minute + 0.5 for minute in sorted(minutes)], [statistics.median(minutes[at]) for at in sorted(minutes)]
