"""How often one client network may submit guarded forms, whatever becomes of each: counted before a body is read.

A client that nobody can tell from others is not counted, and neither is anybody while the store does not answer: what
the gate promises is a verified token, and that is asked for all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from caputchin_gate.client_address import network_of
from caputchin_gate.effects import Count, Counted, StoreDown

WINDOW: Final = 60.0


@dataclass(frozen=True, slots=True)
class SubmissionLimit:
    """counting_key: the same in all processes that count together"""

    per_minute: int
    counting_key: bytes = field(repr=False)
    ipv6_prefix: int = 64


async def over_limit(client: str | None, limit: SubmissionLimit, now: float) -> float | None:
    """Count a submission. How many seconds the client has to wait, None if it need not."""
    network = network_of(client, limit.ipv6_prefix) if client is not None else None
    if network is None:
        return None
    key = blake2b(f"submission {network}".encode(), key=limit.counting_key, digest_size=16).digest()
    match await Count(key, WINDOW, now):
        case Counted(count=count, ends_at=ends_at) if count > limit.per_minute:
            return max(0.0, ends_at - now)
        case Counted() | StoreDown():
            return None
