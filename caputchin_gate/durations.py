"""Durations and sizes with units, as people type them into settings: "5s", "2m", "16MiB"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_GREATEST: Final = 2**63  # of any unit; what is larger is a mistake

_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_QUANTITY: Final = re.compile(rf"({_NUMBER})\s*([a-zA-Z]*)")

# How the texts are written, for editors: in the regular expressions that JSON Schema has.
DURATION: Final = rf"^\s*{_NUMBER}\s*([mM]?[sS]|[mMhHdD])?\s*$"
SIZE: Final = rf"^\s*{_NUMBER}\s*(([kKmMgG][iI]?)?[bB])?\s*$"


def _quantity(value: object, units: Mapping[str, float], plain: str) -> float:
    """A number of the base unit. Bare numbers are taken as the base unit; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    unit = plain
    if isinstance(value, str):
        found = _QUANTITY.fullmatch(value.strip())
        if found is None:
            raise ValueError
        value, unit = float(found[1]), found[2].lower() or plain
    if unit not in units or not 0 <= value <= _GREATEST:
        raise ValueError
    return float(value) * units[unit]


def seconds(value: object) -> float:
    """5, 0.5, "5s", "250ms", "2m", "1h", "1d" as seconds. Raises ValueError for anything else and for negatives."""
    return _quantity(value, _SECONDS, "s")


def size(value: object) -> int:
    """65536, "64KiB", "16MiB", "1GB" as bytes. Raises ValueError for anything else and for negatives."""
    return int(_quantity(value, _BYTES, "b"))
