"""Finding the token in a request: in its head, or in its body while that streams in (design.md 6.3).

Pure and incremental: no I/O, and no byte of the body is kept that can't be the token's. What a token is worth, how
large a body may be, and keeping it for the application belong to others.
"""

from __future__ import annotations

from caputchin_gate.tokens.outcome import Candidate, Found, Missing, Outcome, Places, Refused, Source
from caputchin_gate.tokens.search import MAX_JSON, BodySearch, begin

__all__ = [
    "MAX_JSON",
    "BodySearch",
    "Candidate",
    "Found",
    "Missing",
    "Outcome",
    "Places",
    "Refused",
    "Source",
    "begin",
]
