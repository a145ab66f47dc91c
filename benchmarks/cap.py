"""Validating the fifty puzzles of a Cap challenge, beside node: what is published for it, and the same written out."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.harness import MICRO, Row, at_most, at_most_times, by_turns, cpu_seconds
from caputchin_gate.engines.cap import CapChallenges, Redeemed
from caputchin_gate.engines.cap_work import Work
from caputchin_gate.engines.rsw import TimeLock
from caputchin_gate.engines.solver import solve_cap

FOLDER: Final = Path(__file__).parent.parent
PACKAGE: Final = FOLDER / ".widgets" / "node_modules" / "@cap.js" / "server"
TIMES: Final = 500
NONCE: Final = bytes(16)

Measure = Callable[[], float]


def rows() -> Iterator[Row]:
    if not PACKAGE.exists():
        raise RuntimeError("the package to compare with is not there: run `make widgets`")
    engine, now = CapChallenges([b"k" * 32], site_key="shop", work=Work()), time.time()
    token = engine.issue(now=now, nonce=NONCE, client=None).token
    solutions = solve_cap({"token": token, "challenge": {"c": 50, "s": 32, "d": 4}})

    def redeem() -> None:
        for _ in range(TIMES):
            if not isinstance(engine.redeem(token, solutions, now=now, client=None), Redeemed):
                raise RuntimeError("a right solution was refused")

    with node(token, solutions) as measured_by:
        variants = {
            "gate": lambda: cpu_seconds(redeem, TIMES),
            "plain": lambda: measured_by("plain"),
            "package": lambda: measured_by("package"),
        }
        samples = by_turns(variants, rounds=9)
    peers = {"the same in node": samples.of("plain"), "@cap.js/server": samples.of("package")}
    yield Row(
        "validating 50 Cap puzzles",
        samples.of("gate") * MICRO,
        "us",
        tuple((name, seconds * MICRO) for name, seconds in peers.items()),
        at_most_times(1.25),
        note="Ours checks the signature of the challenge and makes the redeem token, too. The package hashes in "
        "threads of its own, which is slower; so the same work is also written out plainly for node.",
    )
    lock = TimeLock(b"s" * 32, 75_000)
    slow = CapChallenges([b"k" * 32], site_key="shop", work=Work(2, puzzles=0, squarings=75_000), time_lock=lock)
    issued = by_turns({"gate": lambda: issue(engine), "with squarings": lambda: issue(slow, 200)})
    yield Row("issuing a Cap challenge", issued.of("gate") * MICRO, "us", (), at_most(8))
    yield Row("issuing a Cap challenge of squarings, 2048 bits", issued.of("with squarings") * MICRO, "us")


@contextmanager
def node(token: str, solutions: list[int]) -> Iterator[Callable[[str], float]]:
    """A node process that has warmed up when the first round is dropped; gives what measures one of its variants."""
    challenge = {"token": token, "puzzles": 50, "saltLength": 32, "difficulty": 4, "solutions": solutions}
    script = str(FOLDER / "benchmarks" / "cap_reference.js")
    with subprocess.Popen(["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        write, read = process.stdin, process.stdout

        def tell(line: str) -> None:
            write.write(line + "\n")
            write.flush()

        def measured_by(variant: str) -> float:
            tell(f"{variant} {TIMES}")
            return float(read.readline())

        tell(json.dumps({**challenge, "folder": str(PACKAGE)}))
        yield measured_by
        write.close()


def issue(engine: CapChallenges, times: int = 5_000) -> float:
    now = time.time()

    def all_of_them() -> None:
        for number in range(times):
            engine.issue(now=now, nonce=number.to_bytes(16), client="203.0.113.9")

    return cpu_seconds(all_of_them, times)
