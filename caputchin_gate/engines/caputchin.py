"""Caputchin's protocol (caputchin.md 4 and 6): sessions and wrapped tokens that cost no memory. The work is Cap's.

    session id       issue time 4 | client tag 8 | nonce 16 | host | MAC 16
    wrapped token    {"v":1,"k":SITE KEY,"s":SESSION ID,"t":HANDLE,"x":EXPIRY,"h":MAC}

Both in base64url without padding; the MAC of a session id covers the site key too. A browser starts a session and gets
a challenge with it, which is good with this session alone; it passes with the solutions, and the wrapped token is what
a form carries. Challenge and token are good once: `claim_key` is claimed by who asks here.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from struct import Struct
from typing import Any, Final

from caputchin_gate.difficulty import Hardening, Multipliers
from caputchin_gate.engines import (
    FORGED,
    LEEWAY,
    Binding,
    Engine,
    KeyedHash,
    Solved,
    host_to_sign,
    purpose_key,
    same_client,
)
from caputchin_gate.engines.cap import CapChallenges, Challenge, Redeemed, Refusal
from caputchin_gate.engines.cap_work import MULTIPLIERS, Work
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.rsw import TimeLock
from caputchin_gate.verdict import Failed, Reason

SESSION_LIFETIME: Final = 900  # seconds
TOKEN_LIFETIME: Final = 600
LONGEST_TOKEN: Final = 4096

_SESSION: Final = Struct(">I8s16s")
_MAC_BYTES: Final = 16
_TAG_BYTES: Final = 8
_UNBOUND: Final = bytes(_TAG_BYTES)
_CLAIM_KEY_BYTES: Final = 16
_LENGTH: Final = Struct(">I")
_GREATEST_TIME: Final = 2**53 - 1  # of the milliseconds that a browser counts with exactly

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{59,400}")
_HANDLE: Final = re.compile(r"[A-Za-z0-9_-]{22}")

# The codes are Caputchin's words (caputchin.md 3.3).
_MALFORMED: Final = Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))
_EXPIRED: Final = Failed(Reason.TOKEN_EXPIRED, ("timeout-or-duplicate",))
_ELSEWHERE: Final = Failed(Reason.TOKEN_ELSEWHERE, ("invalid-input-response",))


@dataclass(frozen=True, slots=True)
class WrappedToken:
    """What a form carries. `expires` in Unix milliseconds, as all times of this protocol."""

    text: str
    expires: int


@dataclass(frozen=True, slots=True)
class _Session:
    """What a session id says; `host` is empty where it was not known."""

    issued_at: int
    tag: bytes
    nonce: bytes
    host: str


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The members of a wrapped token, each of its right type and shape."""

    site_key: str
    session_id: str
    handle: str
    expires: int
    mac: str

    def signed(self) -> bytes:
        """Each value ends with a line feed. Of them the site key alone may hold more, and it stands between others."""
        values = f"1\n{self.site_key}\n{self.session_id}\n{self.handle}\n{self.expires}\n"
        return values.encode("utf-8", "surrogatepass")


class _Keys:
    """What one signing key is used for here."""

    __slots__ = ("clients", "sessions", "wrapped")

    def __init__(self, signing_key: bytes, site: bytes) -> None:
        self.sessions = KeyedHash(purpose_key(signing_key, "caputchin session"), site)
        self.wrapped = KeyedHash(purpose_key(signing_key, "caputchin wrapped token"))
        self.clients = KeyedHash(purpose_key(signing_key, "caputchin session's client"))

    def tag(self, client: str | None) -> bytes | None:
        """A keyed hash of the client network."""
        return self.clients.digest(client.encode())[:_TAG_BYTES] if client is not None else None

    def mac(self, envelope: _Envelope) -> str:
        return _encoded(self.wrapped.digest(envelope.signed()))


class CaputchinSessions:
    """Starts, passes and checks for one site. Remembers nothing.

    signing_keys: the first signs, all verify
    work, challenge_lifetime, time_lock: of the challenges, as for `CapChallenges`
    binding: whether another client network may pass a session, or bring its token
    """

    def __init__(
        self,
        signing_keys: Sequence[bytes],
        *,
        site_key: str,
        work: Work | None = None,
        binding: Binding = "if-known",
        challenge_lifetime: int = 600,
        time_lock: TimeLock | None = None,
        multipliers: Multipliers = MULTIPLIERS,
    ) -> None:
        self.site_key = site_key
        self.binding = binding
        encoded = site_key.encode("utf-8", "surrogatepass")
        site = _LENGTH.pack(len(encoded)) + encoded
        self._keys = tuple(_Keys(key, site) for key in signing_keys)
        self._claim_start = sha256(b"caputchin-gate caputchin claim" + site)
        self._challenges = CapChallenges(
            signing_keys,
            site_key=site_key,
            work=work,
            binding="off",  # a challenge is good with its session alone, and that knows the client
            challenge_lifetime=challenge_lifetime,
            time_lock=time_lock,
            multipliers=multipliers,
            protocol="caputchin",
        )

    # Sessions

    def start(
        self, *, now: float, nonce: bytes, state: Hardening = Hardening.NORMAL, client: str | None, host: str
    ) -> tuple[str, Challenge]:
        """A session id for a client network, None where it is not known, and the challenge that goes with it.

        nonce: 16 random bytes
        host:  of the page that asks, as its browser says; what is no name of a host counts as not known
        """
        keys = self._keys[0]
        tag = (keys.tag(client) if self.binding != "off" else None) or _UNBOUND
        body = _SESSION.pack(int(now), tag, nonce) + host_to_sign(host).encode()
        session_id = _encoded(body + keys.sessions.digest(body)[:_MAC_BYTES])
        scope = session_id.encode()
        return session_id, self._challenges.issue(now=now, nonce=nonce, state=state, client=None, scope=scope)

    def lives(self, session_id: str, *, now: float, client: str | None) -> bool:
        """Whether this is a session of this site, of this client network, and not too old to pass."""
        match self._opened(session_id):
            case None:
                return False
            case keys, session:
                in_time = session.issued_at - LEEWAY <= now <= session.issued_at + SESSION_LIFETIME
                return in_time and same_client(self.binding, session.tag, keys.tag(client))

    def redeem(self, session_id: str, token: str, solutions: Sequence[Any], *, now: float) -> Redeemed | Refusal:
        """Judge the solutions of the challenge that was issued with this session."""
        return self._challenges.redeem(token, solutions, now=now, client=None, scope=session_id.encode())

    def wrap(self, session_id: str, *, now: float) -> WrappedToken:
        """The token of a session that lives and whose challenge was redeemed. It is named after the session: who
        passes one twice, by whatever accident, gets one token to claim.
        """
        opened = self._opened(session_id)
        if opened is None:
            raise ValueError("not a session of this site")
        _, session = opened
        expires = (int(now) + TOKEN_LIFETIME) * 1000
        unsigned = _Envelope(self.site_key, session_id, _encoded(session.nonce), expires, "")
        members = {
            "v": 1,
            "k": self.site_key,
            "s": session_id,
            "t": unsigned.handle,
            "x": expires,
            "h": self._keys[0].mac(unsigned),
        }
        return WrappedToken(_encoded(json.dumps(members, separators=(",", ":")).encode()), expires)

    # Wrapped tokens

    def check(self, value: str, *, now: float, client: str | None, action: str = "") -> Solved | Failed:
        """Judge a wrapped token, in the page's order (caputchin.md 4). Its work was judged when it was made."""
        envelope = _unwrapped(value)
        if envelope is None:
            return _MALFORMED
        if not any(compare_digest(keys.mac(envelope), envelope.mac) for keys in self._keys):
            return FORGED
        if envelope.site_key != self.site_key:
            return FORGED
        opened = self._opened(envelope.session_id)
        issued_at = envelope.expires / 1000 - TOKEN_LIFETIME
        if opened is None or issued_at > now + LEEWAY:
            return FORGED
        if now > issued_at + TOKEN_LIFETIME:
            return _EXPIRED
        keys, session = opened
        if action or not same_client(self.binding, session.tag, keys.tag(client)):  # a page can't tell it an action
            return _ELSEWHERE
        return Solved(
            claim_key=self._claim_key(envelope.handle),
            until=issued_at + TOKEN_LIFETIME + 2 * LEEWAY,
            issued_at=issued_at,
            site_key=self.site_key,
            hostname=session.host or None,
        )

    # What both have in common

    def _opened(self, session_id: str) -> tuple[_Keys, _Session] | None:
        """What a session id of this site says, and by which key; None if we did not sign it."""
        if not _SESSION_ID.fullmatch(session_id):
            return None
        signed = _decoded(session_id)
        if signed is None:
            return None
        body, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        for keys in self._keys:
            if compare_digest(keys.sessions.digest(body)[:_MAC_BYTES], mac):
                issued_at, tag, nonce = _SESSION.unpack_from(body)
                return keys, _Session(issued_at, tag, nonce, body[_SESSION.size :].decode())
        return None

    def _claim_key(self, handle: str) -> bytes:
        """Of site and handle: however a token is spelt, it is one."""
        digest = self._claim_start.copy()
        digest.update(handle.encode())
        return digest.digest()[:_CLAIM_KEY_BYTES]


class EitherToken:
    """What `caputchin-token` may hold at a site: a wrapped token, or the solution of our own widget. No character of
    the one is the dot of the other.
    """

    def __init__(self, wrapped: CaputchinSessions, native: NativeChallenges) -> None:
        self.site_key = wrapped.site_key
        self._wrapped = wrapped
        self._native = native

    def check(self, value: str, *, now: float, client: str | None, action: str = "") -> Solved | Failed:
        engine: Engine = self._native if "." in value else self._wrapped
        return engine.check(value, now=now, client=client, action=action)


# Spelling


def _unwrapped(value: str) -> _Envelope | None:
    """The members of a wrapped token, None if it isn't one. Whether they are ours is not known yet."""
    text = value.rstrip("=") if len(value) <= LONGEST_TOKEN else ""
    content = _decoded(text) if _BASE64URL.fullmatch(text) else None
    if content is None:
        return None
    try:
        members = json.loads(content.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    match members:
        case {"v": version, "k": str(k), "s": str(s), "t": str(t), "x": expires, "h": str(h)} if len(members) == 6:
            pass
        case _:
            return None
    if type(version) is not int or version != 1 or type(expires) is not int or not 0 <= expires <= _GREATEST_TIME:
        return None
    if not _SESSION_ID.fullmatch(s) or not _HANDLE.fullmatch(t) or not _BASE64URL.fullmatch(h):
        return None
    return _Envelope(k, s, t, expires, h)


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose members stand there once each: of two, readers would choose differently."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError("a member stands there twice")
        members[name] = value
    return members


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes | None:
    """Base64url without padding, None for a length that none has."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) % 4 != 1 else None
