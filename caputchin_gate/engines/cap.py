"""Cap's protocol (cap.md 3 to 5), with challenges and redeem tokens that cost no memory.

    challenge token   work 9 | issue time 4 | lifetime 2 | site 8 | client tag 8 | nonce 16 | [answer 18] | MAC 16
    redeem token      SITE:nonce 16:issue time 4 | lifetime 2 | client tag 8 | host | MAC 16

The first in base64url, the parts of the second in hex; times are in seconds, and the host is that of the page, if it is
known. The widget reads neither. A browser gets
a challenge, redeems it with its solutions, and the redeem token is what a form carries. Both are good once: `claim_key`
is claimed by who asks here. Instrumentation is not offered, so a challenge never carries any.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from hmac import compare_digest
from struct import Struct
from typing import Any, Final

from caputchin_gate.difficulty import Hardening, Multipliers
from caputchin_gate.engines import (
    FORGED,
    LEEWAY,
    SKEW,
    Binding,
    KeyedHash,
    Solved,
    host_to_sign,
    purpose_key,
    same_client,
)
from caputchin_gate.engines.cap_puzzles import GREATEST_NONCE, Puzzle, all_solved, derived, explicit
from caputchin_gate.engines.cap_work import MULTIPLIERS, Work
from caputchin_gate.engines.rsw import Lock, TimeLock, canonical
from caputchin_gate.verdict import Failed, Reason

NONCE_BYTES: Final = 16

_CHALLENGE: Final = Struct(">BHBBIIH8s8s16s")  # a multiple of three bytes with its MAC: no spare bits in base64
_REDEEMED: Final = Struct(">IH8s")
_LENGTH: Final = Struct(">I")
_MAC_BYTES: Final = 16
_TAG_BYTES: Final = 8
_ANSWER_BYTES: Final = 18
_CLAIM_KEY_BYTES: Final = 16
_UNBOUND: Final = bytes(_TAG_BYTES)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{84}(?:[A-Za-z0-9_-]{24})?")
_REDEEM_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9a-f]{32}):((?:[0-9a-f]{2}){30,283})")
_ANSWER: Final = re.compile(r"(?:0x)?[0-9a-f]{1,1024}", re.IGNORECASE | re.ASCII)
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")

_MALFORMED: Final = Failed(Reason.TOKEN_MALFORMED, ("invalid_token",))
_EXPIRED: Final = Failed(Reason.TOKEN_EXPIRED, ("expired",))
_ELSEWHERE: Final = Failed(Reason.TOKEN_ELSEWHERE, ("invalid_token",))


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a browser is given. `expires` in Unix milliseconds, as all times of this protocol.

    puzzles, lock: what format 2 spells out
    """

    token: str
    work: Work
    expires: int
    puzzles: tuple[Puzzle, ...] = ()
    lock: Lock | None = None


class Refusal(Enum):
    """Why a challenge is not redeemed (cap.md 3.6)."""

    INVALID_SOLUTIONS = "invalid_solutions"  # not as many as there are puzzles, or not numbers
    INVALID_TOKEN = "invalid_token"
    SCOPE_MISMATCH = "scope_mismatch"
    EXPIRED = "expired"
    INVALID_SOLUTION = "invalid_solution"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The work is done. The token is the browser's as soon as `claim_key` is won, which is kept until `until`."""

    claim_key: bytes
    until: float
    born: float  # as for `Solved`
    token: str
    expires: int


class _Keys:
    """What one signing key is used for here."""

    __slots__ = ("answers", "challenges", "clients", "exponents", "redeemed")

    def __init__(self, signing_key: bytes, protocol: str) -> None:
        self.challenges = KeyedHash(purpose_key(signing_key, f"{protocol} challenge"))
        self.redeemed = KeyedHash(purpose_key(signing_key, f"{protocol} redeem token"))
        self.clients = KeyedHash(purpose_key(signing_key, f"{protocol} client"))
        self.answers = KeyedHash(purpose_key(signing_key, f"{protocol} answer"))
        self.exponents = KeyedHash(purpose_key(signing_key, f"{protocol} exponent"))

    def tag(self, client: str | None) -> bytes | None:
        """A keyed hash of the client network."""
        return self.clients.digest(client.encode())[:_TAG_BYTES] if client is not None else None

    def answer(self, answer: str) -> bytes:
        """What a challenge tells of its own answer: nothing to who has no key."""
        return self.answers.digest(canonical(answer).encode())[:_ANSWER_BYTES]


class CapChallenges:
    """Issues, redeems and checks for one site. Remembers nothing.

    signing_keys:       the first signs, all verify
    binding:            whether another client network may redeem a challenge, or bring a redeem token
    challenge_lifetime: seconds in which a challenge has to be redeemed
    token_lifetime:     seconds in which a redeem token has to be used
    time_lock:          makes the squarings, if `work` asks for them; the sites of a gate may share one
    multipliers:        how much more work each state asks for
    protocol:           whose challenges they are, if Cap's work is a part of another protocol: neither takes the
                        challenges or the tokens of the other
    """

    def __init__(
        self,
        signing_keys: Sequence[bytes],
        *,
        site_key: str,
        work: Work | None = None,
        binding: Binding = "if-known",
        challenge_lifetime: int = 600,
        token_lifetime: int = 1200,
        time_lock: TimeLock | None = None,
        multipliers: Multipliers = MULTIPLIERS,
        protocol: str = "cap",
    ) -> None:
        self.site_key = site_key
        self.binding = binding
        self.work = work if work is not None else Work()
        if self.work.problem() is not None or (self.work.squarings > 0) != (time_lock is not None):
            raise ValueError("work that can't be done")
        self._works = tuple(self.work.times(multipliers.of(state)) for state in Hardening)
        self._challenge_lifetime = challenge_lifetime
        self._token_lifetime = token_lifetime
        self._time_lock = time_lock
        self._site = sha256(b"caputchin-gate cap site" + site_key.encode()).digest()[:8]
        self._keys = tuple(_Keys(key, protocol) for key in signing_keys)

    # Challenges

    def issue(
        self,
        *,
        now: float,
        nonce: bytes,
        state: Hardening = Hardening.NORMAL,
        client: str | None,
        scope: bytes = b"",
    ) -> Challenge:
        """A fresh challenge for a client network, None where it is not known. `nonce` is 16 random bytes.

        scope: what has to be presented with the challenge again when it is redeemed
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError("a nonce of another length")
        keys, work, issued_at = self._keys[0], self._works[state], int(now)
        lock, answer = None, b""
        if self._time_lock is not None:
            lock, solution = self._time_lock.lock(keys.exponents.digest(nonce))
            answer = keys.answer(solution)
        tag = (keys.tag(client) if self.binding != "off" else None) or _UNBOUND
        body = _CHALLENGE.pack(*_packed(work), issued_at, self._challenge_lifetime, self._site, tag, nonce) + answer
        signed = body + keys.challenges.digest(_scoped(scope, body))[:_MAC_BYTES]
        token = b2a_base64(signed, newline=False).translate(_TO_URL).decode()
        puzzles = tuple(_puzzles(token, work)) if work.format == 2 else ()
        return Challenge(token, work, (issued_at + self._challenge_lifetime) * 1000, puzzles, lock)

    def redeem(
        self,
        token: str,
        solutions: Sequence[Any],
        *,
        now: float,
        client: str | None,
        scope: bytes = b"",
        host: str = "",
    ) -> Redeemed | Refusal:
        """Judge the solutions of a challenge, in the page's order (cap.md 3.7): the work last, and the claim after.

        host: of the page that asks, in lower case; empty where it is not known.
        """
        if not _TOKEN.fullmatch(token):
            return Refusal.INVALID_TOKEN
        signed = a2b_base64(token.encode().translate(_FROM_URL))
        body = signed[:-_MAC_BYTES]
        message = _scoped(scope, body)
        keys = self._signer(signed[-_MAC_BYTES:], lambda keys: keys.challenges.digest(message))
        if keys is None:
            return Refusal.INVALID_TOKEN
        *packed, issued_at, lifetime, site, tag, nonce = _CHALLENGE.unpack_from(body)
        work = Work(*packed)
        if not compare_digest(site, self._site):
            return Refusal.SCOPE_MISMATCH
        if issued_at > now + LEEWAY:
            return Refusal.INVALID_TOKEN
        if now > issued_at + lifetime:
            return Refusal.EXPIRED
        if work.problem() is not None or not work.covers(self.work):
            return Refusal.INVALID_TOKEN
        if not same_client(self.binding, tag, keys.tag(client)):
            return Refusal.INVALID_TOKEN
        if work.format == 2:
            expected = body[_CHALLENGE.size :]
            refusal = _judge_objects(
                token, work, solutions, lambda answer: compare_digest(keys.answer(answer), expected)
            )
        else:
            refusal = _judge_numbers(token, work, solutions)
        if refusal is not None:
            return refusal
        return Redeemed(
            claim_key=self._claim_key(b"challenge", nonce),
            until=issued_at + lifetime + 2 * LEEWAY,
            born=issued_at - SKEW,
            token=self._redeem_token(nonce, int(now), client, host),
            expires=(int(now) + self._token_lifetime) * 1000,
        )

    # Redeem tokens

    def _redeem_token(self, nonce: bytes, now: int, client: str | None, host: str) -> str:
        """Named after its challenge: who redeems one twice, by whatever accident, gets one token."""
        keys = self._keys[0]
        tag = (keys.tag(client) if self.binding != "off" else None) or _UNBOUND
        body = _REDEEMED.pack(now, self._token_lifetime, tag) + host_to_sign(host).encode()
        mac = keys.redeemed.digest(self._of_this_site(nonce + body))[:_MAC_BYTES]
        return f"{self.site_key}:{nonce.hex()}:{(body + mac).hex()}"

    def check(self, value: str, *, now: float, client: str | None, action: str = "") -> Solved | Failed:
        """Judge a redeem token, in the order of threats.md R10. What was solved for it, was judged when it was made."""
        parts = _REDEEM_TOKEN.fullmatch(value)
        if parts is None:
            return _MALFORMED
        if parts[1] != self.site_key:
            return FORGED
        nonce, signed = bytes.fromhex(parts[2]), bytes.fromhex(parts[3])
        body = signed[:-_MAC_BYTES]
        message = self._of_this_site(nonce + body)
        keys = self._signer(signed[-_MAC_BYTES:], lambda keys: keys.redeemed.digest(message))
        if keys is None:
            return FORGED
        issued_at, lifetime, tag = _REDEEMED.unpack_from(body)
        host = body[_REDEEMED.size :].decode("latin-1")
        if issued_at > now + LEEWAY:
            return FORGED
        expires_at = issued_at + lifetime
        if now > expires_at:
            return _EXPIRED
        if action or not same_client(self.binding, tag, keys.tag(client)):  # a page can't tell Cap an action
            return _ELSEWHERE
        claim_key = self._claim_key(b"redeemed", nonce)
        return Solved(claim_key, expires_at + 2 * LEEWAY, issued_at, self.site_key, host if host else None)

    # What both have in common

    def _signer(self, mac: bytes, digest: Callable[[_Keys], bytes]) -> _Keys | None:
        return next((keys for keys in self._keys if compare_digest(digest(keys)[:_MAC_BYTES], mac)), None)

    def _of_this_site(self, message: bytes) -> bytes:
        return b"%d:%b:%b" % (len(self.site_key), self.site_key.encode(), message)

    def _claim_key(self, kind: bytes, nonce: bytes) -> bytes:
        digest = sha256(b"caputchin-gate cap " + self._of_this_site(kind + nonce))
        return digest.digest()[:_CLAIM_KEY_BYTES]


def _scoped(scope: bytes, body: bytes) -> bytes:
    """What is signed. No body begins with a zero as the length of a scope does, so neither is taken for the other."""
    return _LENGTH.pack(len(scope)) + scope + body if scope else body


def _packed(work: Work) -> tuple[int, ...]:
    return work.format, work.puzzles, work.salt_length, work.difficulty, work.squarings


def _puzzles(token: str, work: Work) -> Iterator[Puzzle]:
    make = explicit if work.format == 2 else derived
    return make(token, work.puzzles, work.salt_length, work.difficulty)


# Solutions, which are a client's JSON and may be anything


def _judge_numbers(token: str, work: Work, solutions: Sequence[Any]) -> Refusal | None:
    """Format 1: the nonces, in the order of the puzzles."""
    if len(solutions) != work.puzzles or not all(map(_is_nonce, solutions)):
        return Refusal.INVALID_SOLUTIONS
    return None if all_solved(_puzzles(token, work), solutions) else Refusal.INVALID_SOLUTION


def _judge_objects(
    token: str, work: Work, solutions: Sequence[Any], is_answer: Callable[[str], bool]
) -> Refusal | None:
    """Format 2: an object for each puzzle, and one for the squarings last."""
    if len(solutions) != work.puzzles + (work.squarings > 0):
        return Refusal.INVALID_SOLUTIONS
    nonces: list[Any] = [one.get("nonce") if isinstance(one, dict) else None for one in solutions[: work.puzzles]]
    if not all(map(_is_nonce, nonces)) or not all_solved(_puzzles(token, work), nonces):
        return Refusal.INVALID_SOLUTION
    for one in solutions[work.puzzles :]:
        match one:
            case {"y": str() as answer} if _ANSWER.fullmatch(answer) and is_answer(answer):
                pass
            case _:
                return Refusal.INVALID_SOLUTION
    return None


def _is_nonce(value: object) -> bool:
    return type(value) is int and 0 <= value <= GREATEST_NONCE
