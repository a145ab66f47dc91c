"""What the gate's own code holds, whatever other threads of the test's process do meanwhile."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import caputchin_gate

GATE: Final = tracemalloc.Filter(True, str(Path(caputchin_gate.__file__).parent / "*"), all_frames=True)
FRAMES: Final = 3  # from a library that allocates back to the gate that called it


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Gives a function that tells how many bytes are held that were allocated since."""
    tracemalloc.start(FRAMES)
    try:
        yield lambda: sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([GATE]).traces)
    finally:
        tracemalloc.stop()
