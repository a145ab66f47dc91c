"""Whether a provider accepts our secret, as its answers about tokens tell.

Only words that no token can provoke count as a refusal (`Upstream.refuses_secret`), and only a token that passed as the
opposite: a no may have been decided before anybody looked at the secret. So no client can turn either of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from caputchin_gate.providers import Upstream
from caputchin_gate.verdict import Misconfigured, Passed, Verdict

FORGOTTEN_AFTER: Final = 300.0  # seconds: then a refusal counts no more, for want of another


@dataclass(slots=True)
class SecretHealth:
    """Times are monotonic; 0 is never."""

    refused_at: float = 0.0
    accepted_at: float = 0.0

    def learn(self, provider: Upstream, verdict: Verdict, now: float) -> None:
        match verdict:
            case Misconfigured(codes=codes) if provider.refuses_secret(codes):
                self.refused_at = now
            case Passed(details=details) if "provider_fail_open" not in details:
                self.accepted_at = now
            case _:
                pass


def is_refused(refused_at: float, accepted_at: float, now: float) -> bool:
    return refused_at > accepted_at and now - refused_at < FORGOTTEN_AFTER
