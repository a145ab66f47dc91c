"""ALTCHA's proof of work in process, versions 1 and 2 (others.md 6).

    challenges.py        issues and checks: what a challenge is for, and the order of the checks
    version1.py          find the number that was hashed; every widget can
    version2.py          find a counter whose derived key begins right; widgets from 3.0 on
    server_signature.py  what an ALTCHA Sentinel has verified and signed

Only who uses them imports them: here stand the names that the settings know.
"""

from __future__ import annotations

from typing import Final

# What can be issued. The first is the default: every version of the widget solves it.
ALGORITHMS: Final = (
    "v1/SHA-256",
    "v1/SHA-512",
    "SHA-256",
    "SHA-384",
    "SHA-512",
    "PBKDF2/SHA-256",
    "PBKDF2/SHA-384",
    "PBKDF2/SHA-512",
    "SCRYPT",
)
