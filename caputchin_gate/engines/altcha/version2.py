"""ALTCHA's proof of work, version 2 (others.md 6.2): find a counter whose derived key begins with a prefix.

    signature = hex(HMAC-SHA256(key, canonical JSON of the parameters))
    derived   = KDF(nonce + counter, salt, cost)

All parameters are signed, ours among them in `data`. The gate derives one key for a check, so what that may cost is
bounded for each function; harder challenges ask for a longer prefix instead. Neither issued nor accepted are ARGON2ID,
which needs a library of its own, and keys that the server derived beforehand (`keySignature`), because such a challenge
does not tell how much work it was.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from caputchin_gate.engines.altcha.keys import SiteKeys
from caputchin_gate.engines.altcha.terms import NONCE_BYTES, Terms

_HEX_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_CLIENT: Final = re.compile(r"(?:[0-9a-f]{16})?")
_PREFIX: Final = re.compile(r"[0-9a-f]{1,16}")
_COUNTERS: Final = 2**32
_TYPES: Final = (dict, str, int, str)

Derive = Callable[[bytes, bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class Function:
    """A key derivation function, and the costs at which it is used.

    derive:     from password, salt and cost
    key_length: bytes; the whole hash for SHA-384 and SHA-512, which the widget cuts in each round and others at the end
    work:       what one of its cost counts, in hashes of version 1 (each of those is a call of its own for a browser,
                the iterations of PBKDF2 are not)
    most:       the highest cost: it is the gate's too, about a millisecond
    digits:     the length of the prefix, in hex digits, up to this cost
    doubling:   whether a cost has to be a power of two
    fixed:      further parameters
    """

    derive: Derive
    key_length: int
    work: float
    most: int
    digits: int
    doubling: bool = False
    fixed: Mapping[str, int] = field(default_factory=dict)

    def cost_and_digits(self, work: int) -> tuple[int, int]:
        """The cost and the length of the prefix that ask for at least so much work."""
        cost, digits = work / self.work / 16**self.digits, self.digits
        while cost > self.most:
            cost, digits = cost / 16, digits + 1
        whole = max(2 if self.doubling else 1, math.ceil(cost))
        return (1 << (whole - 1).bit_length() if self.doubling else whole), digits

    def takes(self, cost: int) -> bool:
        """Whether this cost is one that is used."""
        return 2 <= cost <= self.most and not cost & (cost - 1) if self.doubling else 1 <= cost <= self.most

    def work_of(self, cost: int, digits: int) -> int:
        return int(cost * self.work * 16**digits)


def _iterated(name: str) -> Derive:
    new = getattr(hashlib, name)

    def derive(password: bytes, salt: bytes, cost: int) -> bytes:
        derived: bytes = new(salt + password).digest()
        for _ in range(cost - 1):
            derived = new(derived).digest()
        return derived

    return derive


def _pbkdf2(name: str) -> Derive:
    return lambda password, salt, cost: hashlib.pbkdf2_hmac(name, password, salt, cost, 32)


def _scrypt(password: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=cost, r=8, p=1, dklen=32)


ALGORITHMS: Final[Mapping[str, Function]] = {
    "SHA-256": Function(_iterated("sha256"), 32, work=1, most=16, digits=3),
    "SHA-384": Function(_iterated("sha384"), 48, work=1, most=16, digits=3),
    "SHA-512": Function(_iterated("sha512"), 64, work=1, most=16, digits=3),
    "PBKDF2/SHA-256": Function(_pbkdf2("sha256"), 32, work=0.1, most=2560, digits=2),
    "PBKDF2/SHA-384": Function(_pbkdf2("sha384"), 32, work=0.1, most=2560, digits=2),
    "PBKDF2/SHA-512": Function(_pbkdf2("sha512"), 32, work=0.1, most=2560, digits=2),
    "SCRYPT": Function(
        _scrypt, 32, work=16, most=256, digits=1, doubling=True, fixed={"memoryCost": 8, "parallelism": 1}
    ),
}


def challenge(keys: SiteKeys, algorithm: str, terms: Terms, random: bytes) -> Mapping[str, Any]:
    """The document for the widget."""
    function = ALGORITHMS[algorithm]
    cost, digits = function.cost_and_digits(terms.work)
    data: dict[str, str | int] = {"issuedAt": terms.issued_at}
    if terms.action:
        data["action"] = terms.action
    if terms.client:
        data["client"] = terms.client.hex()
    if terms.host:
        data["host"] = terms.host
    parameters = {
        "algorithm": algorithm,
        "cost": cost,
        "data": data,
        "expiresAt": terms.expires_at,
        "keyLength": function.key_length,
        "keyPrefix": "0" * digits,
        "nonce": random[:NONCE_BYTES].hex(),
        "salt": random[NONCE_BYTES:].hex(),
        **function.fixed,
    }
    return {"parameters": parameters, "signature": signature(keys, parameters)}


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def signature(keys: SiteKeys, parameters: Mapping[str, Any]) -> str:
    return keys.version2.digest(signed_bytes(parameters)).hex()


def signed_bytes(parameters: Mapping[str, Any]) -> bytes:
    return _canonical(parameters).encode("utf-8", "surrogatepass")


def derived_key(parameters: Mapping[str, Any], counter: int) -> str:
    """The key that a counter leads to, in hex."""
    password = bytes.fromhex(parameters["nonce"]) + counter.to_bytes(4)
    derive = ALGORITHMS[parameters["algorithm"]].derive
    return derive(password, bytes.fromhex(parameters["salt"]), parameters["cost"]).hex()


class Proof(NamedTuple):
    """What the widget sends back. Nothing of it is known to be true before `is_signed` and `is_solved` say so.

    signed: the parameters as they are signed, written once for all keys that are tried
    """

    parameters: Mapping[str, Any]
    signature: str
    counter: int
    derived_key: str
    signed: bytes

    def is_signed(self, keys: SiteKeys) -> bool:
        return hmac.compare_digest(keys.version2.digest(self.signed).hex(), self.signature)

    def terms(self) -> Terms | None:
        """What the parameters say, None if the gate issues no such ones: an unknown one may mean anything."""
        match self.parameters:
            case {
                "algorithm": str(algorithm),
                "cost": int(cost),
                "data": {"issuedAt": int(issued_at), **said},
                "expiresAt": int(expires_at),
                "keyLength": int(key_length),
                "keyPrefix": str(prefix),
                "nonce": str(nonce),
                "salt": str(salt),
                **further,
            } if (function := ALGORITHMS.get(algorithm)) is not None:
                pass
            case _:
                return None
        if not (_PREFIX.fullmatch(prefix) and _HEX_NONCE.fullmatch(nonce) and _HEX_NONCE.fullmatch(salt)):
            return None
        if further != function.fixed or key_length != function.key_length or not function.takes(cost):
            return None
        match {"client": "", "action": "", "host": "", **said}:
            case {"client": str(client), "action": str(action), "host": str(host), **unknown} if (
                not unknown and _CLIENT.fullmatch(client)
            ):
                work = function.work_of(cost, len(prefix))
                return Terms(issued_at, expires_at, work, bytes.fromhex(client), action, host)
            case _:
                return None

    def is_solved(self) -> bool:
        """Whether the counter leads to the key, and the key begins as it has to. Asked only of terms of ours."""
        if not self.derived_key.startswith(self.parameters["keyPrefix"]):
            return False  # no derivation for what can't be right
        return derived_key(self.parameters, self.counter) == self.derived_key


def proof_in(payload: Mapping[str, Any]) -> Proof | None:
    """The proof in a payload of this version, None for anything else. A boolean is no counter."""
    challenge, solution = payload.get("challenge"), payload.get("solution")
    if type(challenge) is not dict or type(solution) is not dict:
        return None
    members: tuple[Any, ...] = (
        challenge.get("parameters"),
        challenge.get("signature"),
        solution.get("counter"),
        solution.get("derivedKey"),
    )
    if tuple(map(type, members)) != _TYPES:
        return None
    try:
        proof = Proof(*(*members, signed_bytes(challenge["parameters"])))
    except RecursionError:
        return None
    return proof if 0 <= proof.counter < _COUNTERS and proof.signature.isascii() else None
