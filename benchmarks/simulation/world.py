"""A site under a simulated clock: its gate is the real one, and clients ask it as a server would.

A client is a generator: what it yields are the seconds until it goes on. Nothing sleeps and nothing is random but by a
seed, so a run is the same each time.
"""

from __future__ import annotations

import heapq
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any, Final, NamedTuple

from caputchin_gate import Gate
from caputchin_gate.clock import Clock
from caputchin_gate.difficulty import Curve, Hardening
from caputchin_gate.effects import LastPiece
from caputchin_gate.engines import native
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit, Answer

MIDNIGHT: Final = 1_799_971_200.0  # of a Friday
CHALLENGE: Final = "/.caputchin/api/v1/captcha/challenge"
SIGNING_KEY: Final = "the signing key of the simulation, never used elsewhere"
RIGHT: Final = "1"  # while `work_is_free`
WRONG: Final = "0"

_SPACE: Final = 2**32
_JSON: Final = {"content-type": ("application/json",)}
_FORM: Final = {"content-type": ("application/x-www-form-urlencoded",)}


class Asked(NamedTuple):
    """What became of one request for a challenge.

    at:     seconds since the simulated midnight
    who:    the kind of client
    hashes: the work that was asked for, on average; 0 when the request was refused
    """

    at: float
    who: str
    hashes: float
    state: Hardening
    step: int
    token: str
    retry_after: float


class Sent(NamedTuple):
    """What became of one submission."""

    at: float
    who: str
    admitted: bool


class Waited(NamedTuple):
    """How an ordinary visitor fared with one challenge: seconds of searching, and of those after the form was ready."""

    at: float
    device: str
    searched: float
    felt: float


class World:
    """The clock, the site, and all clients that are on their way."""

    def __init__(self, seed: int, *, now: float = 0.0, in_process: Mapping[str, Any] | None = None) -> None:
        self.random = Random(seed)
        self.now = now
        self.asked: list[Asked] = []
        self.sent: list[Sent] = []
        self.waited: list[Waited] = []
        noise = Random(seed + 1)
        clock = Clock(now=self._wall_clock, monotonic=self._wall_clock, random_bytes=noise.randbytes)
        self.gate = Gate(
            provider="caputchin",
            verification="in-process",
            protect=["POST /contact"],
            store="memory",
            clock=clock,
            in_process={"signing_key": SIGNING_KEY, **(in_process or {})},
        )
        self._waiting: list[tuple[float, int, Iterator[float]]] = []
        self._order = count()

    def _wall_clock(self) -> float:
        return MIDNIGHT + self.now

    def start(self, client: Iterator[float], at: float | None = None) -> None:
        heapq.heappush(self._waiting, (self.now if at is None else at, next(self._order), client))

    def run(self, until: float) -> None:
        with work_is_free():
            while self._waiting and self._waiting[0][0] < until:
                self.now, _, client = heapq.heappop(self._waiting)
                pause = next(client, None)
                if pause is not None:
                    self.start(client, self.now + pause)
        self.now = until
        self.gate.close()

    def ask(self, who: str, address: str) -> Asked:
        """One request for a challenge, through the whole gate."""
        ruling = self.gate.handle(RequestHead("POST", CHALLENGE, headers=_JSON, peer=address), _whole(b"{}"))
        if not isinstance(ruling, Answer):
            raise TypeError(f"the gate did not answer itself: {ruling}")
        told = json.loads(ruling.response.body)
        match ruling.response.status:
            case 200:
                state, step = state_and_step(told["token"])
                asked = Asked(self.now, who, _SPACE / (told["target"] + 1), state, step, told["token"], 0)
            case 429:
                asked = Asked(self.now, who, 0, Hardening.NORMAL, 0, "", told["retry_after"])
            case status:
                raise ValueError(f"a challenge was answered with {status}")
        self.asked.append(asked)
        return asked

    def send(self, who: str, address: str, token: str, solution: str) -> bool:
        """One form, through the whole gate: whether the application got it."""
        body = f"name=Ada&caputchin-token={token}.{solution}".encode()
        ruling = self.gate.handle(RequestHead("POST", "/contact", headers=_FORM, peer=address), _whole(body))
        self.sent.append(Sent(self.now, who, isinstance(ruling, Admit)))
        return isinstance(ruling, Admit)


def state_and_step(token: str) -> tuple[Hardening, int]:
    """What the difficulty of a challenge followed from; it travels in the token (design of `engines/native.py`)."""
    difficulty = int.from_bytes(urlsafe_b64decode(token)[4:6])
    return Hardening(difficulty >> 14), difficulty & 0x3FFF


def hashes_without_hardening(asked: Asked, curve: Curve) -> float:
    """What the same challenge would have taken in the normal state."""
    target = curve.target(asked.step)
    return _SPACE / (target + 1) if target is not None else 0.0


def _whole(body: bytes) -> Any:
    return lambda most: LastPiece(body)


@contextmanager
def work_is_free() -> Iterator[None]:
    """Within this, `RIGHT` solves every challenge and `WRONG` none.

    The one thing that is not done for real: no simulated client searches. Hashes are counted, not computed.
    """
    checked = native.meets
    native.meets = lambda token, solution, target: solution == RIGHT
    try:
        yield
    finally:
        native.meets = checked
