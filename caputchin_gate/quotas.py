"""How many tokens of a site may be verified in a calendar month (captchaapi.md 8).

A site past its quota is served all the same, and the answers say so; or it gets no more challenges. A store that
does not count never makes a right token wrong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from caputchin_gate.effects import Count, Counted, StoreDown

_LONGER_THAN_A_MONTH: Final = 32 * 86400.0


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of one site.

    refuses: whether its challenges end with the quota, else its tokens are verified beyond it
    """

    site_key: str
    limit: int
    refuses: bool = False

    async def count_one(self, now: float) -> bool:
        """Count a verified token; whether it is one too many."""
        return self._is_exceeded(await Count(self._key(now), _LONGER_THAN_A_MONTH, now))

    async def is_exceeded(self, now: float) -> bool:
        """Whether more tokens were verified than there should be."""
        return self._is_exceeded(await self._look(now))

    async def ends_challenges(self, now: float) -> bool | StoreDown:
        """Whether no challenge may be issued any more this month."""
        if not self.refuses:
            return False
        match await self._look(now):
            case Counted(count=count):
                return count >= self.limit
            case StoreDown() as down:
                return down

    def _look(self, now: float) -> Count:
        return Count(self._key(now), _LONGER_THAN_A_MONTH, now, times=0)

    def _is_exceeded(self, counted: Counted | StoreDown) -> bool:
        return isinstance(counted, Counted) and counted.count > self.limit

    def _key(self, now: float) -> bytes:
        """A month of a site. Nothing in it is secret, and no key that is rotated may begin the count anew."""
        month = datetime.fromtimestamp(now, UTC).strftime("%Y-%m")
        text = f"{month}{self.site_key}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, person=b"gate quota").digest()
