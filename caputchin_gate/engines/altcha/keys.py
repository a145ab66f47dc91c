"""The keys of one site: each version of the protocol has its own, and so have the clients."""

from __future__ import annotations

import hmac
from hashlib import sha512
from typing import Final

from caputchin_gate.engines import KeyedHash, purpose_key

_CLIENT_BYTES: Final = 8


class SiteKeys:
    """What one signing key is used for at one site. The first two are what ALTCHA's libraries call the HMAC key."""

    __slots__ = ("_clients", "version1", "version2")

    def __init__(self, version1_key: bytes, version2_key: bytes, client_key: bytes) -> None:
        self.version1 = {"SHA-256": KeyedHash(version1_key), "SHA-512": KeyedHash(version1_key, hashed=sha512)}
        self.version2 = KeyedHash(version2_key)
        self._clients = KeyedHash(client_key)

    def tag(self, client: str) -> bytes:
        """A keyed hash of the client network: nobody without the key can try all addresses."""
        return self._clients.digest(client.encode())[:_CLIENT_BYTES]


def site_keys(signing_key: bytes, site_key: str) -> SiteKeys:
    site = site_key.encode("utf-8", "surrogatepass")
    return SiteKeys(
        *(
            hmac.digest(purpose_key(signing_key, f"altcha {purpose}"), site, "sha256")
            for purpose in ("version 1", "version 2", "client")
        )
    )
