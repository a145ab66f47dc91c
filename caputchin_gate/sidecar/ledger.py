"""What the supervisor knows: the sum of all that its workers counted, how each of them is, and its own acts.

Ledger     the supervisor's, filled from the reports of workers; those that ended are in it for ever
Snapshot   the same as it is told to the process of the admin address, and read there
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from caputchin_gate.sidecar.counters import Counts
from caputchin_gate.sidecar.reports import State, as_pairs, from_pairs


@dataclass(frozen=True, slots=True)
class Seen:
    """One worker as its supervisor sees it. `retired`: others have taken over."""

    process_id: int
    ready: bool
    retired: bool
    state: State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Times are Unix seconds."""

    counts: Counts
    workers: Sequence[Seen]
    started: float
    reloaded: float | None  # the last time that new settings were taken
    ending: bool

    def written(self) -> bytes:
        members = asdict(self) | {"counts": as_pairs(self.counts)}
        return json.dumps(members).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Snapshot:
        members: dict[str, Any] = json.loads(line)
        workers = [Seen(**{**seen, "state": State.read(seen["state"])}) for seen in members["workers"]]
        return cls(**{**members, "counts": from_pairs(members["counts"]), "workers": workers})

    @property
    def serving(self) -> list[Seen]:
        """The workers that take new connections."""
        return [seen for seen in self.workers if seen.ready and not seen.retired]


@dataclass(slots=True)
class Ledger:
    counts: Counts = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    reloaded: float | None = None

    def add(self, counts: Counts) -> None:
        for key, times in counts.items():
            self.counts[key] = self.counts.get(key, 0) + times

    def count(self, *key: str) -> None:
        self.add({key: 1})

    def snapshot(self, workers: Iterable[Seen], *, ending: bool) -> Snapshot:
        return Snapshot(self.counts, tuple(workers), self.started, self.reloaded, ending)
