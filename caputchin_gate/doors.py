"""What all doors have in common: where a decision stands, and how long a client is listened to after a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from caputchin_gate.verdict import Decision

# Keys of a scope of ASGI or an environ of WSGI, where no client can write.
DECISION: Final = "caputchin_gate"
DECIDED_BY: Final = "caputchin_gate.by"  # the gate, in case it stands in front of the application twice

# After a refusal the client may still be sending. Closing on it at once would reset the connection before it has
# read the answer, so a little more is read first, and dropped.
LINGER_BYTES: Final = 2 * 1024 * 1024
LINGER_SECONDS: Final = 2.0


def decision_in(record: Mapping[str, Any]) -> Decision | None:
    """What the gate decided about the request of a scope or an environ; None where no rule guards it."""
    decision = record.get(DECISION)
    return decision if isinstance(decision, Decision) else None
