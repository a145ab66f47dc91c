"""For the tests of an application with guarded forms (docs/testing.md).

    pytest_plugins = ["caputchin_gate.testing"]     # in conftest.py

    @pytest.fixture
    def captcha_gate():
        return gate                                 # the application's own

    def test_a_message_is_sent(client, captcha):
        captcha.passes()
        assert client.post("/contact", data={"message": "hello"}).status_code == 200

Without pytest it is `with Captcha(gate) as captcha:`. A production gate can't be switched by any of it: whoever holds
the gate object may, no setting and no request.

tokens.py      tokens of a gate in hand
solving.py     tokens of a gate that is asked as a browser asks it
fixtures.py    for pytest
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final

from caputchin_gate.client_address import network_of
from caputchin_gate.effects import Call, NoReply
from caputchin_gate.errors import nearest
from caputchin_gate.fake_provider import SITE_KEY, FakeProvider
from caputchin_gate.gate import Gate
from caputchin_gate.http_client import HttpClient
from caputchin_gate.messages import HttpReply
from caputchin_gate.providers import Upstream
from caputchin_gate.testing.solving import solve
from caputchin_gate.testing.tokens import made
from caputchin_gate.verdict import ADMITTING, Cause, Failed, Passed, Reason, Unavailable, Verdict
from caputchin_gate.verification import InProcess, Rehearsal, Verifier

pytest_plugins: Final = ["caputchin_gate.testing.fixtures"]  # pytest loads it with this module, and nobody else does

__all__ = ["Captcha", "FakeProvider", "Scene", "solve"]


class Captcha:
    """What visitors bring and verifications come to, at one gate, until it is closed.

    From its beginning no real provider is asked: fakes answer in their place, in their words. Unless one of the scenes
    below is on, everything else is real: a request without a token is refused, `token()` passes once.

    A scene lasts until `with` ends it, or as long as the Captcha; a later one replaces it.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._closing = ExitStack()
        self._rehearsal: Rehearsal | None = None
        self._fakes = _fakes_of([verifier for verifier in gate.verifiers.values() if isinstance(verifier, Upstream)])

    def __enter__(self) -> Captcha:
        self._rehearsal = self._closing.enter_context(self.gate.rehearsing(_Fakes(self._fakes)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.close()
        self._rehearsal = None

    # What a visitor brings

    def token(
        self,
        outcome: str = Reason.VERIFIED,
        *,
        provider: str | None = None,
        action: str = "",
        site_key: str | None = None,
        remote_ip: str | None = None,
    ) -> str:
        """A new token that passes once, at whatever route takes this provider's.

        outcome:   "token-rejected" or "token-expired" for one that does not pass, and of a provider that is asked also
            "token-used", "token-elsewhere", "misconfigured" and "unavailable". How a provider words it, is real too:
            some have one word for several
        provider:  its name in the settings, for any but the default one
        action:    what it was solved for, in process only; by default for nothing in particular
        site_key:  at which site, in process only; by default the first
        remote_ip: from where, in process only; by default from anywhere
        """
        match self._verifier(provider):
            case Upstream(url=url):
                return self._fakes[url].token(outcome)
            case InProcess(kind=kind, ipv6_prefix=prefix):
                clock, sites = self.gate.policy.verification.clock, self.gate.sites
                site = (
                    sites[_known(site_key, sites, "site_key")] if site_key is not None else next(iter(sites.values()))
                )
                client = network_of(remote_ip, prefix) if remote_ip is not None else None
                return made(kind, site, clock, outcome, action=action, client=client)

    def fields(self, outcome: str = Reason.VERIFIED, *, provider: str | None = None, **more: Any) -> dict[str, str]:
        """The same as the fields of a form."""
        return {self._verifier(provider).token_field: self.token(outcome, provider=provider, **more)}

    def headers(self, outcome: str = Reason.VERIFIED, *, provider: str | None = None, **more: Any) -> dict[str, str]:
        """The same as a header."""
        return {"X-Caputchin-Token": self.token(outcome, provider=provider, **more)}

    def _verifier(self, name: str | None) -> Verifier:
        verifiers = self.gate.verifiers
        return verifiers[_known(name, verifiers, "provider")] if name is not None else next(iter(verifiers.values()))

    # Scenes: with or without a token

    def passes(self, *, action: str | None = None, score: float | None = None, hostname: str | None = None) -> Scene:
        """Every guarded request is admitted, and `gate.verify` says yes."""
        kind = self._verifier(None).kind
        return self._verdict(Passed(kind, time.time(), hostname=hostname, action=action, score=score))

    def fails(self, reason: str = Reason.TOKEN_REJECTED) -> Scene:
        """Every guarded request is refused for this reason."""
        if reason in ADMITTING:
            raise ValueError(f"{reason!r} admits")
        return self._verdict(Failed(Reason(_known(reason, {*map(str, Reason)} - ADMITTING, "reason"))))

    def is_down(self) -> Scene:
        """Nobody can tell about any token: the outage policy of each route decides. In process what is down is the
        store, and no route admits then.
        """
        is_asked = isinstance(self._verifier(None), Upstream)
        return self._verdict(Unavailable(Cause.CONNECTION if is_asked else Cause.STORE))

    def latency(self, seconds: float) -> Scene:
        """The providers take so long to answer. What takes longer than their `timeout` is an outage."""
        if not self._fakes:
            raise ValueError("this gate verifies in process: nobody is asked, so nobody can be slow")
        before = {url: fake.latency for url, fake in self._fakes.items()}

        def undo() -> None:
            for url, earlier in before.items():
                self._fakes[url].latency = earlier

        for fake in self._fakes.values():
            fake.latency = seconds
        return Scene(undo)

    def _verdict(self, verdict: Verdict) -> Scene:
        rehearsal = self._rehearsal
        if rehearsal is None:
            raise RuntimeError("a Captcha is used inside of `with Captcha(gate) as captcha:`")
        before = rehearsal.verdict

        def undo() -> None:
            rehearsal.verdict = before

        rehearsal.verdict = verdict
        return Scene(undo)


def _known(name: str, names: Collection[str], what: str) -> str:
    """The name, if it is one. Raises ValueError with what was meant."""
    if name not in names:
        raise ValueError(f"{name!r} is no {what} here; {nearest(name, names)}")
    return name


class Scene:
    """Can be ended by `with`; else it ends with its Captcha."""

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo = undo

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._undo()


class _Fakes(HttpClient):
    """Asks fakes, in the places of the real ones. What is slow is waited for, as it would be."""

    def __init__(self, fakes: Mapping[str, FakeProvider]) -> None:
        super().__init__()
        self._fakes = fakes

    def call(self, call: Call) -> HttpReply | NoReply:
        time.sleep(self._wait(call))
        return self._answer(call)

    async def acall(self, call: Call) -> HttpReply | NoReply:
        if (wait := self._wait(call)) > 0:
            import asyncio

            await asyncio.sleep(wait)
        return self._answer(call)

    def _wait(self, call: Call) -> float:
        return min(self._fakes[call.request.url].latency, call.timeout)

    def _answer(self, call: Call) -> HttpReply | NoReply:
        fake = self._fakes[call.request.url]
        return fake.reply(call.request) if fake.latency < call.timeout else NoReply(Cause.TIMEOUT)


def _fakes_of(providers: Sequence[Upstream]) -> dict[str, FakeProvider]:
    """One for each URL: who has two accounts at one provider has one fake of it, that knows both secrets."""
    fakes: dict[str, FakeProvider] = {}
    for one in providers:
        secrets = dict.fromkeys(other.revealed_secret for other in providers if other.url == one.url)
        fakes[one.url] = FakeProvider(one.kind, *secrets, site_key=getattr(one, "site_key", "") or SITE_KEY)
    return fakes
