"""What `import caputchin_gate` takes, and what it must leave out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
    with tempfile.TemporaryDirectory() as folder:
        modules = ("caputchin_gate", "asyncio", "httpx2")
        taken = by_turns({module: partial(seconds_of, module, folder) for module in modules})
        loaded = _run(_LOADED.format(names=LEFT_OUT), folder).split()
    yield Row(
        "import caputchin_gate",
        taken.of("caputchin_gate") * 1000,
        "ms",
        (("httpx2", taken.of("httpx2") * 1000), ("asyncio", taken.of("asyncio") * 1000)),
        at_most(60),
        note="In a fresh interpreter each time, with the bytecode at hand.",
    )
    yield Row(
        "frameworks, HTTP clients and event loops it imports",
        len(loaded),
        "modules",
        budget=at_most(0),
        note=f"It must not import {', '.join(LEFT_OUT)}." + (f" It does: {', '.join(loaded)}." if loaded else ""),
    )


def seconds_of(module: str, folder: str) -> float:
    return float(_run(_TIMED.format(module=module), folder))


def _run(program: str, folder: str) -> str:
    """The first run leaves its bytecode in the folder; that later ones find it must not depend on where we are."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPYCACHEPREFIX": folder},
    ).stdout
