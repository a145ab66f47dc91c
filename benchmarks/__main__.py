"""Runs the benchmarks: all, or those that are named. Exit status 1 when a budget was missed."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.report import as_page, as_text, plot
from benchmarks.topics import TOPICS, measure

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the gate against its budgets.")
    parser.add_argument("topics", metavar="NAME", nargs="*", help=f"some of: {', '.join(TOPICS)}")
    asked = parser.parse_args().topics
    unknown = [topic for topic in asked if topic not in TOPICS]
    if unknown:
        parser.error(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    measured = {}
    for topic in asked or TOPICS:
        started = time.perf_counter()
        measured[topic] = measure(topic)
        print(f"{topic}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    rows = [row for topic in measured.values() for row in topic]
    print(as_text(rows))
    if not asked:
        DOCS.mkdir(exist_ok=True)
        (DOCS / "benchmarks.md").write_text(as_page(measured), encoding="utf-8")
        plot(rows, DOCS / "benchmarks.png")
    missed = [row.what for row in rows if row.ok is False]
    if missed:
        print(f"\nmissed: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
