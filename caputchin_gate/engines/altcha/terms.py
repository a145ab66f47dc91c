"""What an ALTCHA challenge is issued for. Both versions sign all of it, each in its own way."""

from __future__ import annotations

from typing import Final, NamedTuple

NONCE_BYTES: Final = 16
RANDOM_BYTES: Final = 2 * NONCE_BYTES  # for the nonce, and for the secret number or the salt


class Terms(NamedTuple):
    """Times are Unix seconds. The site is not here: each has a key of its own.

    work:   hashes to expect before a solution is found; for other functions what takes a browser as long
    client: a keyed hash of the client network, empty where it is not known
    action: what the solution may be used for, empty for anything
    host:   of the page that asked, empty where it is not known
    """

    issued_at: int
    expires_at: int
    work: int
    client: bytes = b""
    action: str = ""
    host: str = ""
