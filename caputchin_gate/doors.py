"""What all doors have in common: where a decision stands, whether a view may rely on it, and how long a client is
listened to after a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from caputchin_gate.messages import RequestHead
from caputchin_gate.verdict import Decision

# Keys of a scope of ASGI or an environ of WSGI, where no client can write.
DECISION: Final = "caputchin_gate"
DECIDED_BY: Final = "caputchin_gate.by"  # the gate, in case it stands in front of the application twice
DECIDED_ON: Final = "caputchin_gate.on"  # root path and path, in case something behind the gate leads elsewhere

# After a refusal the client may still be sending. Closing on it at once would reset the connection before it has
# read the answer, so a little more is read first, and dropped.
LINGER_BYTES: Final = 2 * 1024 * 1024
LINGER_SECONDS: Final = 2.0


def note(record: MutableMapping[str, Any], decision: Decision, by: object, head: RequestHead) -> None:
    """Write down what was decided about the request of a scope or an environ."""
    record.update({DECISION: decision, DECIDED_BY: by, DECIDED_ON: (head.root_path, head.path)})


def decision_in(record: Mapping[str, Any]) -> Decision | None:
    """What the gate decided about the request of a scope or an environ; None where no rule guards it."""
    decision = record.get(DECISION)
    return decision if isinstance(decision, Decision) else None


def decision_at(record: Mapping[str, Any], root_path: str, path: str) -> Decision | None:
    """The same for a view on this path; None also where the request was led there from another one. A mount may have
    moved a prefix from the path to the root path.
    """
    decided_root, decided_path = record.get(DECIDED_ON, (root_path, path))
    is_there = path == decided_path or root_path + path == decided_root + decided_path
    return decision_in(record) if is_there else None
