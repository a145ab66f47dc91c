"""docs/simulation.png: one column a run, over the minutes around its event."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from benchmarks.simulation.assumptions import DEVICES
from benchmarks.simulation.clients import ATTACKER, MINUTE, VISITORS
from benchmarks.simulation.runs import Result
from benchmarks.simulation.world import Asked, Sent
from caputchin_gate.difficulty import Hardening

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Event = TypeVar("Event", Asked, Sent)

SHOWN_BEFORE = 10  # minutes
STEP = 1  # minutes
GREEN, RED = "#2a7f62", "#c0392b"
SHADES = {
    Hardening.SUSPICIOUS: "#fdf3d0",
    Hardening.UNDER_ATTACK: "#fbd9b0",
    Hardening.CRITICAL: "#f5b7ab",
}
LINES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")


def draw(results: Sequence[Result], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, grid = pyplot.subplots(3, len(results), figsize=(14, 7.4), sharex=True, sharey="row", squeeze=False)
    for column, result in zip(grid.T, results, strict=True):
        column[0].set_title(result.run.name, fontsize=10)
        for axes in column:
            _shade(axes, result)
        for who, colour in ((VISITORS, GREEN), (ATTACKER, RED)):
            asked = _by_step(result, who, result.asked)
            column[0].plot(*_points(asked, lambda some: len(some) / STEP), color=colour, linewidth=1.3)
            column[1].plot(*_points(asked, _median), color=colour, linewidth=1.6)
            column[1].plot(*_points(asked, _most), color=colour, linewidth=0.7, alpha=0.6)
        wrong = _by_step(result, ATTACKER, result.sent)
        column[0].plot(*_points(wrong, lambda some: len(some) / STEP), color=RED, linewidth=1.3, linestyle=":")
        visitors = _by_step(result, VISITORS, result.asked)
        for device, line in zip(DEVICES, LINES, strict=True):
            column[2].plot(*_points(visitors, _seconds(device.rate)), line, color=GREEN, linewidth=1.2)
        column[2].set_xlabel("minutes since it began", fontsize=8)
    for axes, label in zip(
        grid[:, 0],
        (
            "challenges asked for,\ntokens sent, in a minute",
            "hashes a challenge takes",
            "seconds of search,\non average",
        ),
        strict=True,
    ):
        axes.set_ylabel(label, fontsize=9)
    grid[0][0].set_ylim(0.8, 9000)
    grid[1][0].set_ylim(2500, 2e6)
    grid[2][0].set_ylim(0.0008, 2)
    grid[0][0].set_xlim(-SHOWN_BEFORE, results[0].run.lasts / MINUTE + 30)
    keys: list[Line2D | Patch] = [
        Line2D([], [], color=GREEN, label="visitors (thin: the hardest)"),
        Line2D([], [], color=RED, label="the attacker"),
        Line2D([], [], color=RED, linestyle=":", label="wrong tokens it sends"),
        *(
            Line2D([], [], color=GREEN, linestyle=line, label=device.name)
            for device, line in zip(DEVICES, LINES, strict=True)
        ),
        *(Patch(color=shade, label=state.name.lower().replace("_", " ")) for state, shade in SHADES.items()),
    ]
    figure.legend(handles=keys, loc="lower center", ncols=len(keys), fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _shade(axes: Axes, result: Result) -> None:
    """The states behind, the event between two lines."""
    end = (result.run.lasts + result.run.after) / MINUTE
    edges = [*((at / MINUTE, state) for at, state in result.states), (end, None)]
    for (begins, state), (ends, _) in pairwise(edges):
        if state in SHADES:
            axes.axvspan(begins, ends, color=SHADES[state], linewidth=0)
    for at in (0, result.run.lasts / MINUTE):
        axes.axvline(at, color="#777777", linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_yscale("log")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _by_step(result: Result, who: str, events: Iterable[Event]) -> dict[float, list[Event]]:
    steps: dict[float, list[Event]] = defaultdict(list)
    for event in events:
        minute = (event.at - result.run.begins) / MINUTE
        if event.who == who and minute >= -SHOWN_BEFORE:
            steps[minute // STEP * STEP].append(event)
    return steps


def _points(
    steps: dict[float, list[Event]], figure: Callable[[Sequence[Event]], float]
) -> tuple[list[float], list[float]]:
    at = sorted(steps)
    return [minute + STEP / 2 for minute in at], [figure(steps[minute]) for minute in at]


def _issued(asked: Iterable[Asked]) -> list[float]:
    return [one.hashes for one in asked if one.token]


def _median(asked: Sequence[Asked]) -> float:
    return statistics.median(_issued(asked) or [float("nan")])


def _most(asked: Sequence[Asked]) -> float:
    return max(_issued(asked), default=float("nan"))


def _seconds(rate: float) -> Callable[[Sequence[Asked]], float]:
    return lambda asked: _median(asked) / rate
