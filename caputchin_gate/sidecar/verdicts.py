"""What the application is told about the decision: three fields, and a signature where a key is configured (R12).

The signature is over `t\\nMETHOD\\nPATH\\nVERDICT\\nREASON`; PATH is the target as it was sent, without its query. A
decoded path could hold a line end, and would then say what it likes.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Final

from caputchin_gate.forward_auth import word_of
from caputchin_gate.secret import Secret
from caputchin_gate.verdict import Decision, Reason

UNGUARDED: Final = Decision(Reason.UNGUARDED)


def verdict_lines(decision: Decision) -> bytes:
    """The fields as they are written. The provider's name is the operator's; what no field may hold is left out."""
    return _verdict_lines(decision.reason, decision.provider)


@lru_cache  # a gate has few providers and reasons
def _verdict_lines(reason: Reason, provider: str | None) -> bytes:
    lines = f"X-Caputchin-Verdict: {word_of(Decision(reason))}\r\nX-Caputchin-Reason: {reason}\r\n"
    if provider is not None and provider.isascii() and provider.isprintable():
        lines += f"X-Caputchin-Provider: {provider}\r\n"
    return lines.encode("ascii")


UNGUARDED_LINES: Final = verdict_lines(UNGUARDED)


class Signer:
    """Signs verdicts for an application that must trust them across a hop."""

    __slots__ = ("_key",)

    def __init__(self, key: Secret) -> None:
        self._key = key.reveal().encode()

    def line(self, method: bytes, target: bytes, decision: Decision, now: float) -> bytes:
        time = b"%d" % now
        path = target.partition(b"?")[0]
        told = b"\n".join((time, method, path, word_of(decision).encode(), decision.reason.encode()))
        signature = hmac.digest(self._key, told, "sha256").hex().encode()
        return b"X-Caputchin-Signature: t=%b,v1=%b\r\n" % (time, signature)
