"""What all in-process protocols share: the answer to a right solution, and keys with one purpose each.

One file a protocol stands beside this one. All of them are pure: they issue and check, and remember nothing; claiming
the token is the policy's (`verification.py`).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, Literal, Protocol, TypeAlias

from caputchin_gate.values import value
from caputchin_gate.verdict import Failed, Reason

SKEW: Final = 5  # seconds that clocks differ at most where nothing is wrong with them
LEEWAY: Final = 30  # seconds that two of our machines' clocks may differ (threats.md R33)

# Seconds that a challenge or a receipt lives at most, whatever the settings say (threats.md R10). Where its end does
# not stand in it, the claim is kept for so long: after a change of the setting a used one must not be good again.
LONGEST_LIFETIME: Final = 300

LONGEST_REDEEMED: Final = 7200  # seconds that Cap's redeem tokens live at most; their end stands in them

LEAST_SIGNING_KEY: Final = 32  # bytes (threats.md R11)

SITE_KEY_IN_PATHS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # Cap's and ALTCHA's widgets name their site in the path
LONGEST_SITE_KEY: Final = 256  # of Caputchin's: whatever its characters, a token with it is short enough

Binding: TypeAlias = Literal["off", "if-known", "require"]
"""Whether a challenge may be asked for by one client network and redeemed by another (captchaapi.md 6)."""


@value
class Solved:
    """The solution is right. It admits nothing yet: `claim_key` has to be won first, and is kept until `until`.

    hostname: of the page that it was solved on, as its browser said; None where that is not known
    """

    claim_key: bytes
    until: float
    issued_at: float
    site_key: str
    hostname: str | None = None

    @property
    def born(self) -> float:
        """Before this time nobody can have claimed it."""
        return self.issued_at - SKEW


# Not of this site, or of nobody: another site's engine may know the token.
FORGED: Final = Failed(Reason.TOKEN_REJECTED, ("invalid_token",))


class Engine(Protocol):
    """The side of a protocol that a guarded route sees: judges the tokens of one site, and remembers nothing."""

    @property
    def site_key(self) -> str: ...

    def check(self, value: str, *, now: float, client: str | None, action: str = "") -> Solved | Failed:
        """Whether the token is right and for this client network and action; FORGED for one that isn't this site's."""


def same_client(binding: Binding, tag: bytes, own_tag: bytes | None) -> bool:
    """Whether who brings a token is who got it (captchaapi.md 6).

    tag:     a keyed hash of the client network that got the token, zeros where it was not known
    own_tag: the same of who brings it, None where that is not known
    """
    if binding == "off":
        return True
    if own_tag is None or not any(tag):
        return binding == "if-known"
    return hmac.compare_digest(tag, own_tag)


HOST: Final = re.compile(r"[a-z0-9._:-]{1,253}")


def host_to_sign(host: str) -> str:
    """A host as a token carries it: of a browser's header, so it may be anything; then it is empty."""
    return host if HOST.fullmatch(host) else ""


def purpose_key(signing_key: bytes, purpose: str) -> bytes:
    """A key for one purpose, so that what was made for one protocol means nothing to another (threats.md R10)."""
    return hmac.digest(signing_key, b"caputchin-gate " + purpose.encode(), "sha256")


class KeyedHash:
    """HMAC (RFC 2104) of messages that all begin the same, with that part and the key hashed in advance.

    A third of what `hmac.digest` takes, and a check makes two of them.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, beginning: bytes = b"", hashed: Callable[[bytes], Any] = sha256) -> None:
        size = hashed(b"").block_size
        block = key.ljust(size, b"\0")
        if len(block) > size:
            raise ValueError("the key is longer than a block")
        self._inner = hashed(bytes(byte ^ 0x36 for byte in block) + beginning)
        self._outer = hashed(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        digest: bytes = outer.digest()
        return digest
