"""Receipts: a cookie that admits the corrected resubmission of a form whose token is spent (design.md 6.5).

A receipt is 36 bytes, 48 characters in base64url with no bit to spare, so each is spelt in one way:

    issue time 4 | id 16 | MAC 16

The MAC covers all before it, what the route asks for, and the client network, known or not. Issuing and checking live
here. Who earns a receipt, and how its uses are counted, is the policy's; why it is so stands in `docs/why/receipts.md`.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from hmac import compare_digest
from struct import Struct
from typing import Final

from caputchin_gate.engines import LEEWAY, LONGEST_LIFETIME, SKEW, KeyedHash, purpose_key
from caputchin_gate.tokens.cookies import cookies

ID_BYTES: Final = 16  # threats.md R10
USES: Final = 3  # of a receipt, unless a route says otherwise

_BODY: Final = Struct(f">I{ID_BYTES}s")  # issue time, id
_MAC_BYTES: Final = 16
_CLAIM_KEY_BYTES: Final = 16
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{48}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that is right here and now. It admits nothing yet: one of `uses` has to be claimed.

    uses: a claim key for each use, kept until `until`; before `born` nobody can have claimed one.
    """

    uses: tuple[bytes, ...]
    until: float
    born: float


class _Keys:
    """What one signing key is used for here."""

    __slots__ = ("receipts", "uses")

    def __init__(self, signing_key: bytes, route: bytes) -> None:
        self.receipts = KeyedHash(purpose_key(signing_key, "receipt"), route)
        self.uses = KeyedHash(purpose_key(signing_key, "receipt use"))

    def mac(self, body: bytes, client: str | None) -> bytes:
        """Body and route have a fixed length, so no two readings are the same bytes; no client's name is empty."""
        return self.receipts.digest(body + (client or "").encode())[:_MAC_BYTES]


class Receipts:
    """Issues and checks the receipts of one route. Remembers nothing.

    signing_keys: the first signs, all verify.
    match: the pattern of the route, from which the cookie has its name.
    asked: what the route asks of a token, spelt so that no two answers are alike; a receipt that was earned by less
        is none here.
    lifetime: seconds. uses: how many submissions one receipt admits.
    """

    def __init__(
        self, signing_keys: Sequence[bytes], *, match: str, asked: str, lifetime: int, uses: int = USES
    ) -> None:
        name = match.encode("utf-8", "surrogatepass")
        route = sha256(sha256(name).digest() + asked.encode("utf-8", "surrogatepass")).digest()
        self.cookie = f"caputchin-receipt-{blake2b(name, digest_size=4).hexdigest()}"
        self._keys = tuple(_Keys(key, route) for key in signing_keys)
        self.lifetime = lifetime
        self.uses = uses
        self._terms = (route, lifetime, uses)

    def __eq__(self, other: object) -> bool:
        return self._terms == other._terms if isinstance(other, Receipts) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._terms)

    def issue(self, *, now: float, receipt_id: bytes, client: str | None, secure: bool) -> str:
        """The Set-Cookie of a fresh receipt for a client network, None where it is not known.

        receipt_id: 16 random bytes. secure: whether the browser may send it over https only.
        """
        if len(receipt_id) != ID_BYTES:
            raise ValueError("an id of another length")
        body = _BODY.pack(int(now), receipt_id)
        value = urlsafe_b64encode(body + self._keys[0].mac(body, client)).decode()
        attributes = f"Max-Age={self.lifetime}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
        return f"{self.cookie}={value}; {attributes}"

    def check(self, headers: Iterable[str], *, now: float, client: str | None) -> Receipt | None:
        """The receipt among the cookies of a request; None without exactly one that is ours, alive and the client's.

        Machines whose clocks differ may see one that is not yet issued; the end of its life is never moved.
        """
        values = [value for name, value in cookies(headers) if name == self.cookie]
        if len(values) != 1 or not _VALUE.fullmatch(values[0]):
            return None
        signed = urlsafe_b64decode(values[0])
        body, mac = signed[: _BODY.size], signed[_BODY.size :]
        for keys in self._keys:
            if compare_digest(keys.mac(body, client), mac):
                issued_at, receipt_id = _BODY.unpack(body)
                return self._receipt(issued_at, receipt_id, keys) if self._lives(issued_at, now) else None
        return None

    def _lives(self, issued_at: int, now: float) -> bool:
        return issued_at - LEEWAY <= now < issued_at + self.lifetime

    def _receipt(self, issued_at: int, receipt_id: bytes, keys: _Keys) -> Receipt:
        uses = tuple(keys.uses.digest(receipt_id + bytes((use,)))[:_CLAIM_KEY_BYTES] for use in range(self.uses))
        return Receipt(uses, until=issued_at + LONGEST_LIFETIME + 2 * LEEWAY, born=issued_at - SKEW)
