"""Tells when a store can't be used, and when it can be used again: once each, however many requests meet it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from caputchin_gate.events import tell

_WELL_AFTER: Final = 5.0  # seconds without a trouble; where some calls succeed and others don't, it is not over


class TroubleLog:
    """store: how people know it. Of the words for a trouble there are few, and none is secret (threats.md R35)."""

    def __init__(self, store: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._told: set[str] = set()  # the troubles since it was well
        self._last = 0.0
        self.in_trouble = False

    def down(self, trouble: str) -> None:
        self.in_trouble, self._last = True, self._monotonic()
        if trouble not in self._told:
            self._told.add(trouble)
            message = f"the store, {self._store}, can't be used: {trouble}"
            tell(logging.ERROR, "store-down", message, store=self._store, trouble=trouble)

    def up(self) -> None:
        """A call has succeeded while it was in trouble."""
        if self._monotonic() - self._last >= _WELL_AFTER:
            self.in_trouble = False
            self._told.clear()
            tell(logging.INFO, "store-up", f"the store, {self._store}, can be used again", store=self._store)
