"""What an ALTCHA Sentinel has verified and signed, checked here with its secret instead of asking it (others.md 6.4).

signature = hex(HMAC-HASH(secret, HASH(verificationData)))
"""

from __future__ import annotations

import hmac
from typing import Final

from caputchin_gate.engines import LEEWAY, Solved
from caputchin_gate.engines.altcha.version1 import ALGORITHMS
from caputchin_gate.providers import token_key
from caputchin_gate.providers._altcha import ServerSignature, payload_of, server_signature_of
from caputchin_gate.secret import Secret
from caputchin_gate.verdict import Failed, Reason

_NO_PAYLOAD: Final = Failed(Reason.TOKEN_MALFORMED, ("invalid-payload",))
_NOT_SIGNED: Final = Failed(Reason.TOKEN_REJECTED, ("invalid-signature",))
_EXPIRED: Final = Failed(Reason.TOKEN_EXPIRED, ("expired",))
_ELSEWHERE: Final = Failed(Reason.TOKEN_ELSEWHERE, ("action-mismatch",))
_WITH_FIELDS: Final = Failed(Reason.TOKEN_REJECTED, ("fields-not-checked",))


class ServerSignatures:
    """Checks the statements of one Sentinel, which the visitor's browser brings along. Single use is enforced here."""

    site_key = ""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def check(self, value: str, *, now: float, client: str | None, action: str = "") -> Solved | Failed:
        payload = payload_of(value)
        if payload is None or "verificationData" not in payload:
            return _NO_PAYLOAD  # perhaps a proof of work of one of our sites
        said = server_signature_of(payload)
        if said is None or said.algorithm not in ALGORITHMS:
            return _NO_PAYLOAD
        if not self._is_signed(said) or said.issued_at > now + LEEWAY:
            return _NOT_SIGNED
        if now >= said.expires_at:
            return _EXPIRED
        if said.names_fields:
            return _WITH_FIELDS  # what was checked were the fields of a form, and the gate does not read them
        if action:
            return _ELSEWHERE  # Sentinel knows no actions
        # The key under which it is claimed too where a Sentinel is asked about it.
        return Solved(token_key("altcha", said.id), said.expires_at + 2 * LEEWAY, said.issued_at, self.site_key)

    def _is_signed(self, said: ServerSignature) -> bool:
        algorithm = ALGORITHMS[said.algorithm]
        digest = algorithm(said.verification_data.encode()).digest()
        expected = hmac.digest(self._secret.reveal().encode(), digest, algorithm).hex()
        return hmac.compare_digest(expected, said.signature)
