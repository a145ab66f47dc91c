"""What `import caputchin_gate` takes, and what it must leave out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.harness import Row, at_most, by_turns

# Every one of these costs more than the whole gate may, and most applications need few of them.
LEFT_OUT = (
    "aiohttp",
    "asyncio",
    "django",
    "fastapi",
    "flask",
    "httpcore2",
    "httpx2",
    "redis",
    "requests",
    "sqlite3",
    "starlette",
    "uvicorn",
)

_TIMED = "from time import perf_counter as now; started = now(); import {module}; print(now() - started)"
_LOADED = "import sys, caputchin_gate; print(*(name for name in {names!r} if name in sys.modules))"


def rows() -> Iterator[Row]:
    taken = by_turns({name: partial(seconds_of, name) for name in ("caputchin_gate", "asyncio", "httpx2")})
    yield Row(
        "import caputchin_gate",
        taken.of("caputchin_gate") * 1000,
        "ms",
        (("httpx2", taken.of("httpx2") * 1000), ("asyncio", taken.of("asyncio") * 1000)),
        at_most(60),
    )
    loaded = _run(_LOADED.format(names=LEFT_OUT)).split()
    yield Row(
        "frameworks, HTTP clients and event loops it imports",
        len(loaded),
        "modules",
        budget=at_most(0),
        note=f"It must not import {', '.join(LEFT_OUT)}." + (f" It does: {', '.join(loaded)}." if loaded else ""),
    )


def seconds_of(module: str) -> float:
    return float(_run(_TIMED.format(module=module)))


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
