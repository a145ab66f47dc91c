"""Keys that everybody knows, for the tests of applications (siteverify-server.md 9). The settings have to allow them.

With such a secret nothing is verified: the secret says what the answer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from caputchin_gate.endpoints.siteverify.findings import Finding, Outcome
from caputchin_gate.verdict import Passed

HOST: Final = "example.com"
SITE_KEYS: Final = ("gate_pub_test_pass", "gate_pub_test_block", "gate_pub_test_spent")
HEADER: Final = {"X-Gate-Test-Key": "1"}

SECRETS: Final[Mapping[str, Outcome]] = {
    "gate_sec_test_pass": Outcome.SUCCESS,
    "gate_sec_test_block": Outcome.RESPONSE_UNKNOWN,
    "gate_sec_test_spent": Outcome.RESPONSE_USED,
    "gate_sec_test_error": Outcome.INTERNAL,
}

# The public test secrets of the providers whose dialect is spoken (others.md 3 and 4).
_FOREIGN: Final[Mapping[str, Mapping[str, Outcome]]] = {
    "turnstile": {
        "1x0000000000000000000000000000000AA": Outcome.SUCCESS,
        "2x0000000000000000000000000000000AA": Outcome.RESPONSE_UNKNOWN,
        "3x0000000000000000000000000000000AA": Outcome.RESPONSE_USED,
    },
    "hcaptcha": {"0x" + "0" * 40: Outcome.SUCCESS},
}
_TOKEN_OF_A_BOT: Final = "30000000-aaaa-bbbb-cccc-000000000003"  # hCaptcha's


def is_public(secret: str) -> bool:
    """Whether it is one of these, in whatever dialect."""
    return secret in SECRETS or any(secret in secrets for secrets in _FOREIGN.values())


def outcome_of(secret: str, dialect: str) -> Outcome | None:
    """What a secret stands for, None for one that is no test key."""
    return SECRETS.get(secret, _FOREIGN.get(dialect, {}).get(secret))


def found(outcome: Outcome, response: str, dialect: str, now: float) -> Finding:
    """The finding that a test key asks for. There has to be a token, any one."""
    if outcome is Outcome.SUCCESS and dialect == "hcaptcha" and response == _TOKEN_OF_A_BOT:
        outcome = Outcome.RESPONSE_UNKNOWN
    passed = Passed("test", issued_at=now, hostname=HOST) if outcome is Outcome.SUCCESS else None
    return Finding((outcome,), response=response, passed=passed, by_test_key=True)
