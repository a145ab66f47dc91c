"""The same answer for the same question: Turnstile's idempotency keys (siteverify-server.md 7).

A record for each token and key holds the answer, and before that the mark of the call that is deciding. It is made
only for a token that is right, so wrong ones fill no store.

    no record -> pending -> answer          for 300 seconds
                         -> free            nobody could tell; the next call decides

Who finds a mark waits a little. A call that breaks off leaves its mark for ten seconds, then the next one decides: if
the token was claimed by then, nobody knows for whom, and the answer is that it was used. At most one call decides with
success, with or without a key, because each of them makes the one claim of the token.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from caputchin_gate.effects import Held, Sleep, StoreDown, Swap
from caputchin_gate.endpoints.answers import answer
from caputchin_gate.endpoints.sites import Endpoints
from caputchin_gate.endpoints.siteverify.core import Question, settle, weigh
from caputchin_gate.endpoints.siteverify.findings import Finding, Outcome
from caputchin_gate.messages import Response

KEPT: Final = 300.0
DECIDING: Final = 10.0  # longer than any call takes
PATIENCE: Final = 2.0
PAUSE: Final = 0.05

_ANSWER: Final = b"="
_FREE: Final = b"-"
_NEVER: Final = b"\0"  # stands in no record: to swap it is to look
_MARK_BYTES: Final = 12


async def answered_once(asked: Question, key: str, own: Endpoints) -> tuple[Finding, Response]:
    record, patience_ends = _record(asked, key), own.clock.monotonic() + PATIENCE
    while True:
        now = own.clock.now()
        match await Swap(record, _NEVER, _NEVER, now + DECIDING, now):
            case StoreDown():
                break
            case Held(value=bytes() as held) if held.startswith(_ANSWER):
                return asked.found(Outcome.REPEATED), answer(200, json.loads(held.removeprefix(_ANSWER)))
            case Held(value=held) if held is None or held == _FREE:
                decided = await _decide(asked, record, held, own, now)
                if decided is not None:
                    return decided
            case Held():
                pass  # somebody decides right now
        if own.clock.monotonic() >= patience_ends:
            break
        await Sleep(PAUSE)
    unknown = asked.found(Outcome.INTERNAL)
    return unknown, asked.dialect.answer(unknown)


async def _decide(
    asked: Question, record: bytes, held: bytes | None, own: Endpoints, now: float
) -> tuple[Finding, Response] | None:
    """Decide, and leave the answer to the calls that come later; None if another call does."""
    weighed = await weigh(asked, own, now)
    if isinstance(weighed, Finding):
        return weighed, asked.dialect.answer(weighed)
    mark = own.clock.random_bytes(_MARK_BYTES).hex().encode()
    match await Swap(record, held, mark, now + DECIDING, now):
        case Held(swapped=True):
            found = await settle(asked, weighed, own, now)
        case Held():
            return None
        case StoreDown():
            unknown = asked.found(Outcome.INTERNAL)
            return unknown, asked.dialect.answer(unknown)
    told = asked.dialect.answer(found)
    later, until = (_FREE, DECIDING) if found.outcome is Outcome.INTERNAL else (_ANSWER + told.body, KEPT)
    now = own.clock.now()
    await Swap(record, mark, later, now + until, now)
    return found, told


def _record(asked: Question, key: str) -> bytes:
    """Of site, token and key: no other token has the record, whatever its key is."""
    token = hashlib.sha256(asked.response.encode("utf-8", "surrogatepass")).digest()
    site = asked.site.key.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(token + key.encode() + site, digest_size=16, person=b"gate idempotency")
    return digest.digest()
