"""Writes what the simulation came to: docs/choosing.md and docs/simulation.png."""

from __future__ import annotations

import logging

from benchmarks.simulation.page import PAGE, PICTURE, page
from benchmarks.simulation.picture import draw
from benchmarks.simulation.runs import LOCKOUT, RUNS

logging.getLogger("caputchin_gate").setLevel(logging.ERROR)
results = [run.result() for run in RUNS]
PAGE.write_text(page(results, LOCKOUT.result()), encoding="utf-8")
draw(results, PICTURE)
