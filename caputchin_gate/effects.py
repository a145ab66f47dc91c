"""Effects: everything the policy may have to wait for, and every answer it can get.

The policy is written once, as coroutines that await effects; `drivers.py` performs them, blocking or not. What
cannot wait (the clock, randomness, a set in memory) is an argument of the policy instead. An answer is always
matched, never truth-tested: failures of the world are values of these types.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar

from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.values import value
from caputchin_gate.verdict import Cause

T = TypeVar("T")


class Effect(Generic[T]):
    """Awaiting an effect gives its answer, of exactly the type `T`."""

    __slots__ = ()

    def __await__(self) -> Generator[Effect[Any], Any, T]:
        answer: T = yield self
        return answer


# Reading the request body


class BodyEnd(Enum):
    """No more of the body will come, and why."""

    COMPLETE = "complete"
    CUT_SHORT = "cut short"  # fewer bytes than declared, or broken framing
    GONE = "gone"  # the client went away
    TOO_SLOW = "too slow"
    NO_ROOM = "no room"  # all bytes that may be kept at once, over all requests, are in use


@value
class LastPiece:
    """A piece after which the body is known to be complete, so that nobody has to ask again."""

    content: bytes


@value
class ReadBody(Effect[bytes | LastPiece | BodyEnd]):
    """The next piece of the body, never empty. The door keeps it and hands it to the application later.

    Of what it keeps, at most `max_memory` bytes are in memory.
    """

    max_memory: int


# Asking a provider


@value
class NoReply:
    """The call ended without a complete answer. `sent` tells whether the request may have reached the provider."""

    cause: Cause
    sent: bool = True


@value
class Call(Effect[HttpReply | NoReply]):
    """One attempt of one call, ended after `timeout` seconds whatever happens."""

    request: HttpRequest
    timeout: float


# Single use and counting


class ClaimResult(Enum):
    """The outcome of a claim. Only WON lets a token in."""

    WON = "won"
    LOST = "lost"  # it was claimed before, or can't be told apart from that
    STORE_DOWN = "store down"  # unreachable, locked for too long, or full


@value
class Claim(Effect[ClaimResult]):
    """Make `key` ours, once: among any number of claims at most one wins. Remembered until `until` (Unix seconds).

    born: before this time nobody can have claimed the key; 0 where that is not known.
    """

    key: bytes
    until: float
    now: float
    born: float = 0.0


@value
class StoreDown:
    """The store did not answer."""


@value
class Claimed(Effect[bool | StoreDown]):
    """Whether `key` is claimed by now: spares a provider the question, and never replaces the claim itself.

    born: as for the claim
    """

    key: bytes
    now: float
    born: float = 0.0


@value
class Counted:
    """How often `key` was counted in its window, this time included, and when the window ends (Unix seconds)."""

    count: int
    ends_at: float


@value
class Count(Effect[Counted | StoreDown]):
    """Count `times` more events of `key`, or only look with 0.

    A window begins with its first event and lasts `window` seconds.
    """

    key: bytes
    window: float
    now: float
    times: int = 1


# Small records that processes agree on


@value
class Held:
    """What a record holds after a swap, None for no record, and whether this swap has put it there."""

    value: bytes | None
    swapped: bool


@value
class Swap(Effect[Held | StoreDown]):
    """Put `new` where `old` stands (None: no record), atomically; else nothing changes. Kept until `until`.

    A record is a few KiB at most and never empty. It may be forgotten early, and then nobody is let in by it.
    """

    key: bytes
    old: bytes | None
    new: bytes
    until: float
    now: float


# Waiting


@value
class Sleep(Effect[None]):
    """Wait for some seconds (between two attempts of a call)."""

    seconds: float


AnyEffect: TypeAlias = ReadBody | Call | Claim | Claimed | Count | Swap | Sleep
