"""Issues challenges for ALTCHA's widget, and checks their solutions (others.md 6.1, 6.2).

What a challenge is issued for and the order of the checks (threats.md R10) stand here. ALTCHA leaves expiry, difficulty
and single use to the server: here all are demanded, and every one of them is signed. Each site and version has a key of
its own, so that a challenge means nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from caputchin_gate.difficulty import EASIEST, Curve, Hardening, Multipliers
from caputchin_gate.engines import (
    FORGED,
    LEAST_SIGNING_KEY,
    LEEWAY,
    LONGEST_LIFETIME,
    Binding,
    Solved,
    host_to_sign,
    same_client,
)
from caputchin_gate.engines.altcha import ALGORITHMS, version1, version2
from caputchin_gate.engines.altcha.keys import SiteKeys, site_keys
from caputchin_gate.engines.altcha.terms import RANDOM_BYTES, Terms
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.providers._altcha import payload_of
from caputchin_gate.verdict import Failed, Reason

# Characters. The longest that a widget sends has an action of 256 characters, each escaped: less than 6000.
LONGEST_PROOF: Final = 8192

_CLAIM_KEY_BYTES: Final = 16

_NO_PAYLOAD: Final = Failed(Reason.TOKEN_MALFORMED, ("invalid-payload",))
_NEVER_ISSUED: Final = Failed(Reason.TOKEN_REJECTED, ("never-issued",))
_EXPIRED: Final = Failed(Reason.TOKEN_EXPIRED, ("expired",))
_ELSEWHERE: Final = Failed(Reason.TOKEN_ELSEWHERE, ("issued-elsewhere",))
_UNSOLVED: Final = Failed(Reason.TOKEN_REJECTED, ("invalid-solution",))

_Proof: TypeAlias = version1.Proof | version2.Proof


class AltchaChallenges:
    """Issues and checks the challenges of one site. Remembers nothing.

    signing_keys: the first signs, all verify.
    algorithm: one of ALGORITHMS, for what is issued; what was issued with another one is checked all the same.
    lifetime: seconds in which a challenge has to be solved and sent.
    binding: whether the client network that asked for a challenge has to be the one that redeems it.
    cap, multipliers: the difficulty (`difficulty.py`).
    """

    def __init__(
        self,
        signing_keys: Sequence[bytes],
        *,
        site_key: str,
        algorithm: str = ALGORITHMS[0],
        lifetime: int = 120,
        binding: Binding = "if-known",
        cap: int = 100,
        multipliers: Multipliers | None = None,
    ) -> None:
        if not signing_keys or any(len(key) < LEAST_SIGNING_KEY for key in signing_keys):
            what = f"is missing or shorter than {LEAST_SIGNING_KEY} bytes"
            raise ConfigurationError([Problem("in_process.signing_key", what, "make one of 32 random bytes")])
        if algorithm not in ALGORITHMS:
            raise ConfigurationError([Problem("algorithm", "is not known", nearest(algorithm, ALGORITHMS))])
        self.site_key = site_key
        self.lifetime = min(lifetime, LONGEST_LIFETIME)
        self.curve = Curve(cap, multipliers)
        self._algorithm = algorithm
        self._binding = binding
        self._floor = _work(EASIEST)
        self._keys = tuple(site_keys(key, site_key) for key in signing_keys)

    def issue(
        self,
        *,
        now: float,
        random: bytes,
        step: int,
        state: Hardening = Hardening.NORMAL,
        client: str | None,
        action: str = "",
        host: str = "",
    ) -> Mapping[str, Any]:
        """The document for the widget: a fresh challenge for a client network, None where it is not known.

        random: RANDOM_BYTES of them.
        host: of the page that asks, in lower case; empty where it is not known.
        """
        target = self.curve.target(step, state)
        if target is None or len(random) != RANDOM_BYTES:
            raise ValueError("a step off the curve, or randomness of another length")
        keys, issued_at = self._keys[0], int(now)
        tag = b"" if client is None or self._binding == "off" else keys.tag(client)
        terms = Terms(issued_at, issued_at + self.lifetime, _work(target), tag, action, host_to_sign(host))
        if self._algorithm in version2.ALGORITHMS:
            return version2.challenge(keys, self._algorithm, terms, random)
        return version1.challenge(keys, self._algorithm.removeprefix("v1/"), terms, random)

    def check(self, value: str, *, now: float, client: str | None, action: str = "") -> Solved | Failed:
        """Judge a field value, in the order of threats.md R10: cheap refusals first, the work last."""
        proof = _proof_in(value)
        if proof is None:
            return _NO_PAYLOAD
        keys = self._signer(proof)
        if keys is None:
            return FORGED
        terms = proof.terms()
        if terms is None or not self._is_issuable(terms, now):
            return _NEVER_ISSUED
        if now > terms.expires_at:
            return _EXPIRED
        own_tag = keys.tag(client) if client is not None else None
        if terms.action != action or not same_client(self._binding, terms.client, own_tag):
            return _ELSEWHERE
        if not proof.is_solved():
            return _UNSOLVED
        # The signature is a digest of the challenge under a key of this site and version alone, and has one spelling:
        # whatever solves one challenge is one token.
        claim_key = bytes.fromhex(proof.signature)[:_CLAIM_KEY_BYTES]
        host = terms.host if terms.host else None
        return Solved(claim_key, terms.expires_at + 2 * LEEWAY, terms.issued_at, self.site_key, host)

    def _signer(self, proof: _Proof) -> SiteKeys | None:
        for keys in self._keys:
            if proof.is_signed(keys):
                return keys
        return None

    def _is_issuable(self, terms: Terms, now: float) -> bool:
        """Whether a gate could have issued this: long lives and easy work are refused even with our signature."""
        lives = terms.expires_at - terms.issued_at
        return 0 < lives <= LONGEST_LIFETIME and terms.issued_at <= now + LEEWAY and terms.work >= self._floor


@lru_cache(maxsize=4)  # a token is shown to each site in turn, and has to be read only once
def _proof_in(value: str) -> _Proof | None:
    payload = payload_of(value) if len(value) <= LONGEST_PROOF else None
    if payload is None:
        return None
    return version1.proof_in(payload) or version2.proof_in(payload)


def _work(target: int) -> int:
    """How many hashes a native challenge with this target takes, on average."""
    return 2**32 // (target + 1)
