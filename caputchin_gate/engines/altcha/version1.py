"""ALTCHA's proof of work, version 1 (others.md 6.1): find the number that was hashed together with the salt.

    challenge = hex(HASH(salt + number))      signature = hex(HMAC-HASH(key, challenge))

Only the challenge is signed, so everything it is issued for stands in the salt: each parameter once, in one order, and
`&` at the end, which keeps the last one from running into the number (GHSA-6gvq-jcmp-8959).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256, sha512
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus, unquote_plus

from caputchin_gate.engines import HOST
from caputchin_gate.engines.altcha.keys import SiteKeys
from caputchin_gate.engines.altcha.terms import NONCE_BYTES, Terms

# SHA-1, which ALTCHA knows too, is not among them.
ALGORITHMS: Final = {"SHA-256": sha256, "SHA-512": sha512}

_SALT: Final = re.compile(
    r"[0-9a-f]{32}\?expires=([0-9]{1,11})&issued=([0-9]{1,11})&maxnumber=([0-9]{1,9})"
    rf"(?:&client=([0-9a-f]{{16}}))?(?:&action=([A-Za-z0-9_.~%+-]+))?(?:&host=({HOST.pattern}))?&"
)
_MOST_NUMBERS: Final = 10**9
_TYPES: Final = (str, str, int, str, str)


def challenge(keys: SiteKeys, algorithm: str, terms: Terms, random: bytes) -> Mapping[str, Any]:
    """The document for the widget. The number is found after half of all numbers, on average."""
    maxnumber = 2 * terms.work
    number = int.from_bytes(random[NONCE_BYTES:]) % (maxnumber + 1)
    salt = salt_for(terms, random[:NONCE_BYTES].hex())
    digest = hashed(algorithm, salt, number)
    return {
        "algorithm": algorithm,
        "challenge": digest,
        "maxnumber": maxnumber,
        "salt": salt,
        "signature": keys.version1[algorithm].digest(digest.encode()).hex(),
    }


def salt_for(terms: Terms, nonce: str) -> str:
    client = f"&client={terms.client.hex()}" if terms.client else ""
    action = f"&action={quote_plus(terms.action, errors='surrogatepass')}" if terms.action else ""
    times = f"expires={terms.expires_at}&issued={terms.issued_at}"
    host = f"&host={terms.host}" if terms.host else ""
    return f"{nonce}?{times}&maxnumber={2 * terms.work}{client}{action}{host}&"


def hashed(algorithm: str, salt: str, number: int) -> str:
    return ALGORITHMS[algorithm](f"{salt}{number}".encode()).hexdigest()


class Proof(NamedTuple):
    """What the widget sends back. Nothing of it is known to be true before `is_signed` and `is_solved` say so."""

    algorithm: str
    challenge: str
    number: int
    salt: str
    signature: str

    def is_signed(self, keys: SiteKeys) -> bool:
        expected = keys.version1[self.algorithm].digest(self.challenge.encode())
        return hmac.compare_digest(expected.hex(), self.signature)

    def terms(self) -> Terms | None:
        """What the salt says, None if it is none of ours."""
        match = _SALT.fullmatch(self.salt)
        if match is None:
            return None
        expires, issued, maxnumber, client, action, host = match.groups("")
        named = unquote_plus(action, errors="surrogatepass") if action else ""
        return Terms(int(issued), int(expires), int(maxnumber) // 2, bytes.fromhex(client), named, host)

    def is_solved(self) -> bool:
        """Whether salt and number are those that were hashed: this is what makes the terms true."""
        return self.challenge == hashed(self.algorithm, self.salt, self.number)


def proof_in(payload: Mapping[str, Any]) -> Proof | None:
    """The proof in a payload of this version, None for anything else. A boolean is no number."""
    members: tuple[Any, ...] = tuple(map(payload.get, Proof._fields))
    if tuple(map(type, members)) != _TYPES:
        return None
    proof = Proof(*members)
    if proof.algorithm not in ALGORITHMS or not 0 <= proof.number < _MOST_NUMBERS:
        return None
    return proof if proof.challenge.isascii() and proof.signature.isascii() else None
