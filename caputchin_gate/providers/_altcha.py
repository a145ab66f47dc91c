"""What the form field of ALTCHA's widget holds (others.md 6): a JSON object in base64, and Sentinel's kind of it.

Read here for the provider and for the engine. Nothing here trusts what it reads: signatures are checked elsewhere.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from caputchin_gate.providers._reading import Answer, json_object

MAX_PAYLOAD: Final = 16 * 1024  # characters, before anything is decoded

_FROM_URL: Final = str.maketrans("-_", "+/")
_HEX: Final = re.compile(r"[0-9a-f]{2,128}")
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_MAX_MEMBERS: Final = 100


def payload_of(value: str) -> Answer | None:
    """The object in a field value; base64url and missing padding are fine. None for everything else."""
    if len(value) > MAX_PAYLOAD:
        return None
    try:
        return json_object(a2b_base64(value, strict_mode=True))
    except ValueError:
        pass
    text = value.translate(_FROM_URL)
    try:
        return json_object(a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class ServerSignature:
    """What Sentinel says about a visitor, and its signature (others.md 6.4).

    algorithm:  chosen by who sent the payload, and not covered by the signature
    id:         the identity of the verification; the one beside `verificationData` is not signed, so it is not read
    issued_at, expires_at: Unix seconds; 0 where the first is not said
    names_fields: whether it is about fields of a form, which have to be compared by who reads the form
    """

    algorithm: str
    verification_data: str = field(repr=False)
    signature: str = field(repr=False)
    id: str = field(repr=False)
    issued_at: int
    expires_at: int
    names_fields: bool


def server_signature_of(payload: Answer) -> ServerSignature | None:
    """The signed statement in a payload; None when it is none, says no, never expires or can't be told apart."""
    match payload:
        case {
            "algorithm": str(algorithm),
            "verificationData": str(data),
            "signature": str(signature),
            "verified": True,
        }:
            pass
        case _:
            return None
    if not data.isascii() or not _HEX.fullmatch(signature):
        return None
    said = _members(data)
    identity, issued, expire = said.get("id"), said.get("time", "0"), said.get("expire", "")
    if (
        said.get("verified") != "true"
        or not identity
        or not _SECONDS.fullmatch(issued)
        or not _SECONDS.fullmatch(expire)
    ):
        return None
    return ServerSignature(algorithm, data, signature, identity, int(issued), int(expire), "fieldsHash" in said)


def _members(verification_data: str) -> dict[str, str]:
    """The members of the urlencoded text, none at all if one stands twice: two readers may read two different ones."""
    try:
        pairs = parse_qsl(
            verification_data, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_MEMBERS
        )
    except ValueError:
        return {}
    members = dict(pairs)
    return members if len(members) == len(pairs) else {}
