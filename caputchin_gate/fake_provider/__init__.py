"""A provider's siteverify for development and tests: it knows the tokens that it has made itself, and passes each once.

kinds.py    the providers: where each is asked, what its tokens and secrets look like
server.py   a server of it on this machine

How a call is read and answered is that of our own siteverify (`endpoints/siteverify/`): the words are the provider's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.drivers import World, run
from caputchin_gate.effects import BodyEnd
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.endpoints.siteverify.core import Question, question
from caputchin_gate.endpoints.siteverify.findings import Finding, Outcome
from caputchin_gate.endpoints.siteverify.request import NoText
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.fake_provider.kinds import KINDS
from caputchin_gate.gate import SYSTEM_CLOCK
from caputchin_gate.http_client import HttpClient
from caputchin_gate.messages import HttpReply, HttpRequest, RequestHead, Response
from caputchin_gate.secret import Secret
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.verdict import Passed, Reason

LIFETIME: Final = 300.0  # seconds a token is good for
MOST_TOKENS: Final = 10_000  # the oldest make room
UNLIMITED: Final = 2**31
SITE_KEY: Final = "fake"

# What a token may be made for, and what a provider then finds. In which words it says so, is its own: some have one
# word for several.
OUTCOMES: Final[Mapping[str, Outcome]] = {
    Reason.VERIFIED: Outcome.SUCCESS,
    Reason.TOKEN_REJECTED: Outcome.RESPONSE_UNKNOWN,
    Reason.TOKEN_EXPIRED: Outcome.RESPONSE_EXPIRED,
    Reason.TOKEN_USED: Outcome.RESPONSE_USED,
    Reason.TOKEN_ELSEWHERE: Outcome.SITE_MISMATCH,
    Reason.MISCONFIGURED: Outcome.SECRET_UNKNOWN,
    Reason.UNAVAILABLE: Outcome.INTERNAL,
}


@dataclass(slots=True)
class _Token:
    outcome: Outcome
    made_at: float
    action: str
    used: bool = False
    used_under: str | None = None  # an idempotency key


class FakeProvider:
    """One provider. Safe to ask from several threads.

    kind:      one of `KINDS`: a kind of provider, or a dialect of siteverify
    secrets:   any of which has to be presented; by default one that no gate takes without `allow_test_keys`
    site_key:  that tokens belong to
    hostname:  that tokens were solved on, where the provider tells that
    latency:   seconds before an answer comes
    is_down:   whether its server answers 502 and no more
    on_answer: is told what each call came to
    """

    def __init__(
        self,
        kind: str,
        *secrets: str,
        site_key: str = SITE_KEY,
        hostname: str = "localhost",
        latency: float = 0.0,
        on_answer: Callable[[Outcome], object] = lambda outcome: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if kind not in KINDS:
            raise ConfigurationError([Problem("kind", f"there is no fake of {kind!r}", nearest(kind, KINDS))])
        self.kind = KINDS[kind]
        self.secret = secrets[0] if secrets else self.kind.secret
        self.site_key = site_key
        self.hostname = hostname
        self.latency = latency
        self.is_down = False
        self._on_answer = on_answer
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()
        self._world = World(HttpClient(), MemoryStore())
        challenges = NativeChallenges([os.urandom(32)], site_key=site_key)
        self._own = Endpoints(
            "",
            {site_key: Site(challenges, secrets=tuple(map(Secret, secrets or (self.secret,))))},
            clock,
            TrustedProxies(()),
            counting_key=os.urandom(16),
            verifications_per_minute=UNLIMITED,
            wrong_secrets_per_minute=UNLIMITED,
        )

    def token(self, outcome: str = Reason.VERIFIED, *, action: str = "") -> str:
        """A new token, as a visitor would bring it. It passes once, unless another outcome is asked for.

        outcome: one of `OUTCOMES`; action: what it was solved for, where the provider tells that
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"{outcome!r} is no outcome: one of {', '.join(OUTCOMES)}")
        now = self._clock.now()
        token = self.kind.token(self._clock.random_bytes(24), self.site_key, self.secret, now)
        with self._lock:
            self._tokens[token] = _Token(OUTCOMES[outcome], now, action)
            while len(self._tokens) > MOST_TOKENS:
                del self._tokens[next(iter(self._tokens))]
        return token

    def answer(self, head: RequestHead, body: bytes) -> Response:
        """What siteverify answers."""
        pieces = iter([body] if body else [])
        found = run(self._found(head), self._world, lambda _: next(pieces, BodyEnd.COMPLETE))
        self._on_answer(found.outcome)
        return self.kind.dialect.answer(found)

    def reply(self, request: HttpRequest) -> HttpReply:
        """The same to a call that need not be sent."""
        headers = {name.lower(): (value,) for name, value in request.headers}
        head = RequestHead(request.method, urlsplit(request.url).path, query=request.query, headers=headers)
        response = self.answer(head, request.body)
        return HttpReply(response.status, {name.lower(): text for name, text in response.headers}, response.body)

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[str]:
        """Serve it on this machine from a thread; the URL of its siteverify. Port 0 is any free one."""
        from caputchin_gate.fake_provider.server import serving  # only who serves pays for it

        with serving(self, port) as url:
            yield url + self.kind.path

    async def _found(self, head: RequestHead) -> Finding:
        now = self._clock.now()
        asked = await question(head, self.kind.dialect, self._own, None, now)
        if isinstance(asked, Finding):
            return asked
        with self._lock:
            return self._judged(asked, self._tokens.get(asked.response), now)

    def _judged(self, asked: Question, token: _Token | None, now: float) -> Finding:
        match token:
            case None:
                return asked.found(Outcome.RESPONSE_UNKNOWN)
            case _Token(outcome=outcome) if outcome is not Outcome.SUCCESS:
                return asked.found(outcome)
            case _ if asked.site_key not in (NoText.MISSING, self.site_key):
                return asked.found(Outcome.SITEKEY_MISMATCH)
            case _ if now > token.made_at + LIFETIME:
                return asked.found(Outcome.RESPONSE_EXPIRED)
            case _ if token.used and (asked.idempotency_key is None or asked.idempotency_key != token.used_under):
                return asked.found(Outcome.RESPONSE_USED)
        token.used, token.used_under = True, asked.idempotency_key
        passed = Passed("fake", issued_at=token.made_at, hostname=self.hostname, action=token.action)
        return asked.found(Outcome.SUCCESS, passed)
