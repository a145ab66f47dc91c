"""Runs the benchmarks: all, or those that are named. Exit status 1 when a budget was missed."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.report import as_page, as_text, plot

TOPICS = (
    "imports",
    "unprotected_asgi",
    "unprotected_wsgi",
    "served",
    "route_table",
    "protected_post",
    "native_challenges",
    "memory_store",
    "sqlite_store",
    "token_search",
    "upload",
    "upstream",
)
DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the gate against its budgets.")
    parser.add_argument("topics", metavar="NAME", nargs="*", help=f"some of: {', '.join(TOPICS)}")
    asked = parser.parse_args().topics
    unknown = [topic for topic in asked if topic not in TOPICS]
    if unknown:
        parser.error(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    measured = {topic: measure_in_a_fresh_process(topic) for topic in asked or TOPICS}
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


def measure_in_a_fresh_process(topic: str) -> list[Row]:
    """No topic finds the heap or the caches that another one left."""
    started = time.perf_counter()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        rows = fresh.submit(rows_of, topic).result()
    print(f"{topic}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    return rows


def rows_of(topic: str) -> list[Row]:
    return list(import_module(f"benchmarks.{topic}").rows())


if __name__ == "__main__":
    sys.exit(main())
