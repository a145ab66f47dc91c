"""The gate's own proof of work: captchaapi.eu's protocol, with challenges that cost no memory (design.md 7).

A challenge token is 24 bytes, 32 characters in base64url:

    issue time 4 | difficulty 2 (state 2 bits, step 14 bits) | client tag 4 | nonce 4 | MAC 10

The MAC covers all before it, the site key, the action, and the host of the page that asked where the site has domains.
There is no room for the host itself: who checks tries the site's own. A field value is `<token>.<solution>`. Issuing
and checking live here; how hard a step is stands in `difficulty.py`, single use is the store's.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from struct import Struct
from typing import Final

from caputchin_gate.difficulty import Curve, Hardening, Multipliers
from caputchin_gate.engines import (
    FORGED,
    LEAST_SIGNING_KEY,
    LEEWAY,
    LONGEST_LIFETIME,
    Binding,
    KeyedHash,
    Solved,
    purpose_key,
    same_client,
)
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.verdict import Failed, Reason

NONCE_BYTES: Final = 4

_BODY: Final = Struct(">IH4s4s")  # issue time, difficulty, client tag, nonce
_LENGTH: Final = Struct(">I")
_MAC_BYTES: Final = 10
_TOKEN_CHARACTERS: Final = 32
_STATE_SHIFT: Final = 14
_STEP_MASK: Final = 2**_STATE_SHIFT - 1
_STATES: Final = tuple(Hardening)
_UNBOUND: Final = bytes(4)
_NEXT_TO_UNBOUND: Final = b"\0\0\0\1"
_CLAIM_KEY_BYTES: Final = 16

_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{32}\.(?:0|[1-9][0-9]{0,19})")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}\.")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")

# The codes are captchaapi.eu's words (captchaapi.md 5).
_NO_TOKEN: Final = Failed(Reason.TOKEN_MALFORMED, ("invalid_token",))
_NO_SOLUTION: Final = Failed(Reason.TOKEN_MALFORMED, ("invalid_solution",))
_EXPIRED: Final = Failed(Reason.TOKEN_EXPIRED, ("invalid_token",))
_ELSEWHERE: Final = Failed(Reason.TOKEN_ELSEWHERE, ("invalid_token",))
_UNSOLVED: Final = Failed(Reason.TOKEN_REJECTED, ("invalid_solution",))


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a page is given to solve. `expires_at` in Unix seconds."""

    token: str
    target: int
    expires_at: int


class _Keys:
    """What one signing key is used for here."""

    __slots__ = ("clients", "tokens")

    def __init__(self, signing_key: bytes, site: bytes) -> None:
        self.tokens = KeyedHash(purpose_key(signing_key, "native challenge"), site)
        self.clients = KeyedHash(purpose_key(signing_key, "native client"))

    def mac(self, signed: bytes) -> bytes:
        return self.tokens.digest(signed)[:_MAC_BYTES]

    def tag(self, client: str) -> bytes:
        """A keyed hash of the client network; never the value that means unbound."""
        tag = self.clients.digest(client.encode())[: len(_UNBOUND)]
        return tag if tag != _UNBOUND else _NEXT_TO_UNBOUND


class NativeChallenges:
    """Issues and checks the challenges of one site. Remembers nothing.

    signing_keys: the first signs, all verify.
    lifetime: seconds in which a challenge has to be solved and sent.
    binding: whether the client network that asked for a challenge has to be the one that redeems it.
    cap, multipliers: the difficulty (`difficulty.py`).
    hosts: those that the site's pages are on, the likeliest first; of a token for any other host it is not known which.
    """

    def __init__(
        self,
        signing_keys: Sequence[bytes],
        *,
        site_key: str,
        lifetime: int = 120,
        binding: Binding = "if-known",
        cap: int = 100,
        multipliers: Multipliers | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        if not signing_keys or any(len(key) < LEAST_SIGNING_KEY for key in signing_keys):
            what = f"is missing or shorter than {LEAST_SIGNING_KEY} bytes"
            raise ConfigurationError([Problem("in_process.signing_key", what, "make one of 32 random bytes")])
        self.site_key = site_key
        self.lifetime = lifetime
        self.curve = Curve(cap, multipliers)
        self.binding = binding
        site = _counted(site_key)
        self._claim_start = sha256(b"caputchin-gate native claim" + site)
        self._keys = tuple(_Keys(key, site) for key in signing_keys)
        self._hosts = {host: _counted(host) for host in hosts}
        self._marks: tuple[tuple[str | None, bytes], ...] = (*self._hosts.items(), (None, b""))

    def issue(
        self,
        *,
        now: float,
        nonce: bytes,
        step: int,
        state: Hardening = Hardening.NORMAL,
        client: str | None,
        action: str = "",
        host: str = "",
    ) -> Challenge:
        """A fresh challenge for a client network, None where it is not known. `nonce` is 4 random bytes.

        host: of the page that asks, in lower case; empty where it is not known.
        """
        target = self.curve.target(step, state)
        if target is None or len(nonce) != NONCE_BYTES:
            raise ValueError("a step off the curve, or a nonce of another length")
        keys = self._keys[0]
        issued_at = int(now)
        tag = _UNBOUND if client is None or self.binding == "off" else keys.tag(client)
        body = _BODY.pack(issued_at, state << _STATE_SHIFT | step, tag, nonce)
        mac = keys.mac(body + _counted(action) + self._hosts.get(host, b""))
        token = b2a_base64(body + mac, newline=False).translate(_TO_URL).decode()
        return Challenge(token, target, issued_at + self.lifetime)

    def check(self, value: str, *, now: float, client: str | None, action: str = "") -> Solved | Failed:
        """Judge a field value, in the order of threats.md R10: cheap refusals first, the work last."""
        if not _VALUE.fullmatch(value):
            return _NO_SOLUTION if _TOKEN.match(value) else _NO_TOKEN
        token = value[:_TOKEN_CHARACTERS].encode()
        signed = a2b_base64(token.translate(_FROM_URL))
        body = signed[: _BODY.size]
        signer = self._signer(body + _counted(action), signed[_BODY.size :])
        if signer is None:
            return FORGED
        keys, host = signer
        issued_at, difficulty, tag, _ = _BODY.unpack(body)
        if issued_at > now + LEEWAY:
            return FORGED
        if now > issued_at + self.lifetime:
            return _EXPIRED
        target = self.curve.target(difficulty & _STEP_MASK, _STATES[difficulty >> _STATE_SHIFT])
        if target is None:
            return FORGED
        if not same_client(self.binding, tag, keys.tag(client) if client is not None else None):
            return _ELSEWHERE
        if not meets(token, value[_TOKEN_CHARACTERS + 1 :], target):
            return _UNSOLVED
        return Solved(self._claim_key(token), issued_at + LONGEST_LIFETIME + 2 * LEEWAY, issued_at, self.site_key, host)

    def _signer(self, signed: bytes, mac: bytes) -> tuple[_Keys, str | None] | None:
        """Whose MAC it is, and for a page on which host."""
        for host, mark in self._marks:
            for keys in self._keys:
                if compare_digest(keys.mac(signed + mark), mac):
                    return keys, host
        return None

    def _claim_key(self, token: bytes) -> bytes:
        """Of site and challenge, not of the solution: whatever solves one challenge is one token."""
        digest = self._claim_start.copy()
        digest.update(token)
        return digest.digest()[:_CLAIM_KEY_BYTES]


def meets(token: bytes, solution: str, target: int) -> bool:
    """Whether the work was done: the first four bytes of the digest, as a number, reach the target."""
    return int.from_bytes(sha256(token + solution.encode()).digest()[:4]) <= target


def _counted(text: str) -> bytes:
    """Text with its length before it, so that no two pairs of texts are the same bytes. Any text has bytes."""
    encoded = text.encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(encoded)) + encoded
