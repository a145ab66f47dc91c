"""How often siteverify may be called (siteverify-server.md 11): everybody can reach it, and may guess secrets."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Final

from caputchin_gate.effects import Count, Counted, StoreDown
from caputchin_gate.endpoints.sites import Endpoints

WINDOW: Final = 60.0


@dataclass(frozen=True, slots=True)
class Limited:
    """The call goes no further: until so many seconds are over, or because nobody counts (None)."""

    retry_after: int | None


async def calls(own: Endpoints, network: str | None, now: float) -> Limited | None:
    """Count a call."""
    return await _counted("call", own.verifications_per_minute, own, network, now)


async def wrong_secrets(own: Endpoints, network: str | None, now: float) -> Limited | None:
    """Count a call with a secret that is none."""
    return await _counted("wrong secret", own.wrong_secrets_per_minute, own, network, now)


async def _counted(what: str, most: int, own: Endpoints, network: str | None, now: float) -> Limited | None:
    """Callers are counted under a keyed hash, as clients are."""
    message = f"siteverify {what} {network or ''}".encode()
    key = hashlib.blake2b(message, key=own.counting_key, digest_size=16).digest()
    match await Count(key, WINDOW, now):
        case StoreDown():
            return Limited(None)
        case Counted(count=count, ends_at=ends_at) if count > most:
            return Limited(max(1, math.ceil(ends_at - now)))
        case Counted():
            return None
