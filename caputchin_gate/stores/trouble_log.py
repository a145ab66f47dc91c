"""The troubles of a store in the log: each at once, and then at most once a minute."""

from __future__ import annotations

import time
from typing import Final

from caputchin_gate.decision_log import logger

_EVERY: Final = 60.0  # seconds


class TroubleLog:
    """store: how people know it. Of the words for a trouble there are few, and none is secret (threats.md R35)."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._again: dict[str, float] = {}  # when a trouble may be told again

    def tell(self, trouble: str) -> None:
        now = time.monotonic()
        if now >= self._again.get(trouble, now):
            self._again[trouble] = now + _EVERY
            logger.error("the store, %s, can't be used: %s", self._store, trouble)
