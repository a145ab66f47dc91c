"""The gate that users construct: it puts the settings, the policy and the world together."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from caputchin_gate import config
from caputchin_gate.assembly import route_table, signing_keys, submission_limit, verifiers_of, warnings_of
from caputchin_gate.client_address import TrustedProxies, client_of, looks_proxied
from caputchin_gate.clock import Clock
from caputchin_gate.config import Configuration
from caputchin_gate.decision_log import log_decision, words_of
from caputchin_gate.drivers import Ended, World, ano_body, arun, no_body, run, run_ahead
from caputchin_gate.effects import AnyEffect, BodyEnd, Effect, LastPiece
from caputchin_gate.endpoints.answers import refused
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.events import tell, tell_broken
from caputchin_gate.gate_options import GateOptions, as_tables
from caputchin_gate.http_client import HttpClient
from caputchin_gate.kept_body import Budget
from caputchin_gate.marks import MarkedView, rules_of
from caputchin_gate.messages import RequestHead
from caputchin_gate.own_paths import handle, serve
from caputchin_gate.policy import (
    Answer,
    PassOn,
    Ruling,
    Settings,
    Terms,
    decide_token,
    not_refused,
    rule_on,
    rule_on_websocket,
)
from caputchin_gate.providers import Upstream
from caputchin_gate.routes import Exempt, Rule
from caputchin_gate.secret_health import SecretHealth
from caputchin_gate.stores import AwaitedStore, Store, open_store
from caputchin_gate.tokens import Places
from caputchin_gate.traffic import Traffic
from caputchin_gate.verdict import Decision, Failed, Reason, Verdict
from caputchin_gate.verification import Demands, InFlight, Rehearsal, Verification, Verifier, Visitor, verify

if TYPE_CHECKING:
    from caputchin_gate.endpoints.sites import Site


T = TypeVar("T")

SYSTEM_CLOCK: Final = Clock(now=time.time, monotonic=time.monotonic, random_bytes=os.urandom)


class Gate:
    """Guards routes. Construct one for an application and hand it to a door, or ask `verify` by hand.

    provider: the name of a kind ("caputchin", "procaptcha", ...), a table as in gate.toml, or an object of
        `caputchin_gate.providers`
    clock: time and randomness, for tests
    options: the keys of gate.toml (see `GateOptions`)

    No environment variable changes what is typed here; `load_gate` heeds them.

    Raises ConfigurationError, which lists every problem of the settings at once. Safe to share between threads,
    event loops, and processes that fork after it was made.
    """

    def __init__(
        self,
        *,
        provider: str | Upstream | Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        **options: Unpack[GateOptions],
    ) -> None:
        self._assemble(config.read(as_tables(provider, options)), clock or SYSTEM_CLOCK)

    def _assemble(
        self, configuration: Configuration, clock: Clock, placed: Callable[[Problem], Problem] = lambda warning: warning
    ) -> None:
        top = configuration.top
        self._configuration = configuration
        self._listeners: list[Callable[[Decision], object]] = []
        self._store: Store = open_store(top["store"])
        self._world = World(HttpClient(connections=configuration.limits["verifications"]), self._store)
        self.budget = Budget(configuration.limits["kept_bytes"])
        trusted = TrustedProxies(top["trusted_proxies"], top["forwarded_header"])
        in_process = configuration.verifies_in_process
        log_key = os.urandom(16)
        endpoints = None
        if in_process:
            from caputchin_gate.own_sites import own_endpoints  # only who verifies in process pays for it

            keys = signing_keys(configuration.in_process["signing_key"], self._store)
            endpoints = own_endpoints(configuration, keys, clock, trusted, log_key)
        self._endpoints = endpoints
        self._verifiers = verifiers_of(configuration, endpoints)
        self._default = self._verifiers[configuration.default_provider]
        self._traffic = endpoints.traffic if endpoints is not None else Traffic()
        verification = Verification(clock, InFlight(configuration.limits["verifications"]), traffic=self._traffic)
        domains = {host for site in configuration.sites for host in site["domains"]}
        self._settings = Settings(
            routes=route_table(configuration, self._verifiers, endpoints, self._store),
            verification=verification,
            trusted_proxies=trusted,
            allowed_origins=frozenset(domains),
            report_only=top["mode"] == "report",
            submissions=submission_limit(configuration, self._store),
            log_key=log_key,
        )
        self._guards = bool(configuration.routes)
        self._is_asked = top["forward_auth"] is not None
        self.serves_own_paths = in_process or self._is_asked
        self._own_paths = configuration.in_process["mount"] + "/" if self.serves_own_paths else None
        self.body_timeout: float = configuration.limits["body_timeout"]
        self.untouched = self._settings.routes.untouched
        self.trusted_proxies = trusted
        self._expects_no_proxy = _expects_no_proxy(configuration)
        self.warnings = tuple(map(placed, warnings_of(configuration)))
        for warning in self.warnings:
            tell(logging.WARNING, "setting-warning", warning)

    # By hand

    def verify(self, token: str | None, *, remote_ip: str | None = None, email: str | None = None) -> Verdict:
        """Verify one token with the default provider, blocking. The token is spent by it.

        An outage or a wrong secret is a verdict, never an exception. Match it: a verdict is neither true nor false.

        token: what the form had, whatever that was; None is a token that is missing
        remote_ip: the visitor's address, for providers that ask for it and for challenges that are bound to it
        email: the visitor's e-mail address or its domain, for providers that ask for it; only the domain is sent
        """
        return run(self._by_hand(token, Visitor(remote_ip, email)), self._world)

    async def averify(self, token: str | None, *, remote_ip: str | None = None, email: str | None = None) -> Verdict:
        """The same as `verify` without blocking the event loop."""
        return await arun(self._by_hand(token, Visitor(remote_ip, email)), self._world)

    def decide(self, token: str | None, *, remote_ip: str | None = None) -> Decision:
        """Verify one token and decide about it, as a route without options of its own does: for a form that no route
        guards. It is counted and reported like any other decision. It blocks.
        """
        terms = Terms((self._default,), Places(()), admit_outages=self._configuration.top["on_outage"] == "admit")
        typed = token.strip() if isinstance(token, str) else ""
        try:
            decision = run(decide_token(typed, Visitor(remote_ip), terms, self._settings), self._world)
        except Exception as failure:
            tell_broken(failure)
            decision = Decision(Reason.UNAVAILABLE, details=(type(failure).__name__,))
        if self._settings.report_only and not decision.admitted:
            decision = not_refused(decision)
        self._tell(decision)
        return decision

    async def _by_hand(self, token: str | None, visitor: Visitor) -> Verdict:
        if (verdict_of_a_test := self._settings.verification.rehearsal.verdict) is not None:
            return verdict_of_a_test
        match token:  # people hand over what a form had, whatever that was
            case str() as typed if typed.strip():
                pass
            case _:
                return Failed(Reason.TOKEN_MISSING)
        verdict, _ = await verify(
            (self._default,), typed.strip(), None, visitor, Demands(), self._settings.verification
        )
        return verdict

    def hardening(self) -> dict[str, str]:
        """The state of each site of in-process verification, as far as this process knows: "normal", "suspicious",
        "under attack" or "critical".
        """
        states = self._traffic.states(self._settings.verification.clock.now())
        return {site_key: words_of(state) for site_key, state in states.items()}

    # For those who watch over it

    def secrets(self) -> dict[str, SecretHealth]:
        """What the providers said about their secrets, by name; only those that said anything."""
        known = self._settings.verification.secrets
        return {name: known[id(verifier)] for name, verifier in self._verifiers.items() if id(verifier) in known}

    @property
    def verifying(self) -> int:
        """Verifications by providers that are under way."""
        return len(self._settings.verification.in_flight)

    @property
    def store_use(self) -> tuple[int, int]:
        """How often the store was asked by asynchronous doors, and how often it did not answer."""
        return self._world.store_operations, self._world.store_failures

    @property
    def uses_store(self) -> bool:
        """Whether a decision may depend on the store."""
        return self._configuration.uses_store

    async def store_answers(self) -> bool:
        """Whether the store can be reached now; asking it changes nothing."""
        return await self._world.store_answers()

    @property
    def policy(self) -> Settings:
        """All that decides about requests, for those who explain or audit it."""
        return self._settings

    # For the tests of applications

    @property
    def verifiers(self) -> Mapping[str, Verifier]:
        """Who verifies tokens, by the name of the provider; the default one comes first."""
        return MappingProxyType(self._verifiers)

    @property
    def sites(self) -> Mapping[str, Site]:
        """The sites that challenges are issued for, by site key; none where nothing is verified in process."""
        return MappingProxyType(self._endpoints.sites) if self._endpoints is not None else {}

    @contextmanager
    def rehearsing(self, providers: HttpClient) -> Iterator[Rehearsal]:
        """Ask `providers` in place of the real ones, and take every verdict from the rehearsal once it has one.

        Nothing else leads to a rehearsal: who begins one holds the gate. It concerns the gates for applications with
        marked views (`guarding`) as well, is told in the log, and leaves nothing behind.
        """
        tell(logging.INFO, "rehearsal", "verdicts of this gate are those of a test from now on")
        world, verification = self._world, self._settings.verification
        real, world.client = world.client, providers
        try:
            yield verification.rehearsal
        finally:
            world.client = real
            verification.rehearsal.verdict = None
            verification.breakers.clear()
            verification.secrets.clear()

    # For the doors

    @property
    def token_field(self) -> str:
        """The form field of the default provider's tokens."""
        return self._default.token_field

    def captcha_widget(
        self,
        *,
        provider: str | None = None,
        root: str = "",
        script: str | bool | None = None,
        nonce: str | None = None,
        **said: str | int | bool | None,
    ) -> str:
        """The HTML that shows the widget of a provider: it belongs into the form, which has the attribute data-captcha.

        Raises ConfigurationError with everything that is missing or that this widget can't be told.

        provider: its name in the settings; None for the default one
        root:     the path below which the application is mounted, without a slash at the end
        script:   the address of the widget's script, if it is not the provider's; False where the page has it already
        nonce:    of the page's content security policy
        said:     `site_key` and `locale` (a language tag) are called so for every widget; any other is one of its
                  attributes, with underscores for hyphens: False and None leave it out, True is one without a value
        """
        from caputchin_gate.own_widgets import page_html  # only who shows a widget pays for it

        return page_html(self._configuration, said, provider=provider, root=root, script=script, nonce=nonce)

    def marks_forms(self, provider: str | None = None) -> bool:
        """Whether that widget is a script alone, which looks after each form that `data-captcha` marks."""
        from caputchin_gate.own_widgets import looks_after_forms

        return looks_after_forms(self._configuration, provider)

    def guarding(self, views: Iterable[MarkedView], *, forms: bool = False) -> Gate:
        """This gate with the rules of marked views (`marks.py`) beside its own: another one for one application, that
        shares all the rest, from the store to the listeners.

        forms: whether the application has forms that ask for a decision themselves, so that no route need be protected

        Raises ConfigurationError with every mark that can't be kept.
        """
        configuration = config.with_marked(self._configuration, *rules_of(views))
        other = copy(self)
        other._configuration = configuration
        routes = route_table(configuration, self._verifiers, self._endpoints, self._store)
        other._settings = replace(self._settings, routes=routes)
        other._guards = bool(configuration.routes) or forms
        other._expects_no_proxy = _expects_no_proxy(configuration)
        other.untouched = routes.untouched
        known = {replace(warning, place=None) for warning in self.warnings}
        added = tuple(warning for warning in warnings_of(configuration) if warning not in known)
        other.warnings = (*self.warnings, *added)
        for warning in added:
            tell(logging.WARNING, "setting-warning", warning)
        return other

    def must_guard(self) -> None:
        """Raises ConfigurationError when no route is protected: a door before that would be a mistake."""
        if not self._guards:
            raise ConfigurationError([config.NOTHING_PROTECTED])

    def must_not_be_asked(self) -> None:
        """Raises ConfigurationError when forward-auth is on: a door that can't tell X-Original-URI from X_Original_URI
        could be told by a client what to decide about.
        """
        if self._is_asked:
            what = "can't be answered through WSGI, which does not tell header names apart"
            raise ConfigurationError([Problem("forward_auth", what, "use `caputchin-gate serve`, or an ASGI server")])

    def stands(self, earlier: Decision, by: object, head: RequestHead) -> bool:
        """Whether a decision about a request stands that a gate further out has made of it: this one, by the same rule.

        Its token is spent, and verifying it again would refuse it. Another rule may ask for more, so it decides anew.
        """
        if not isinstance(by, Gate) or by._world is not self._world:
            return False
        found = self._settings.routes.match(head)
        is_same = by is self or by._settings.routes.match(head) == found
        return is_same and isinstance(found, Rule | Exempt) and found.match == earlier.route

    def handle(self, head: RequestHead, read: Callable[[int], bytes | LastPiece | BodyEnd] = no_body) -> Ruling:
        """What shall happen to a request that is not `untouched`; `read` gives its body piece by piece."""
        self._notice_proxy(head)
        try:
            ruling = run(handle(head, self._settings), self._world, read)
        except Exception as failure:
            ruling = self._broken(failure, head)
        return self._report(ruling, head)

    async def ahandle(
        self, head: RequestHead, read: Callable[[int], Awaitable[bytes | LastPiece | BodyEnd]] = ano_body
    ) -> Ruling:
        """The same for asynchronous doors. A cancelled request never gets a ruling, so it is never admitted."""
        return await self._ruled(handle(head, self._settings), head, read)

    def handle_at_once(
        self,
        head: RequestHead,
        read_now: Callable[[int], bytes | LastPiece | BodyEnd | None],
        read: Callable[[int], Awaitable[bytes | LastPiece | BodyEnd]],
    ) -> Ruling | Callable[[], Coroutine[Any, Any, Ruling]]:
        """The ruling where nothing has to be waited for, else what waits for it once it is called.

        read_now: gives what `read` would, None where that has to be waited for
        """
        self._notice_proxy(head)
        policy = handle(head, self._settings)
        try:
            ended = run_ahead(policy, self._world, read_now)
        except Exception as failure:
            return self._report(self._broken(failure, head), head)
        if isinstance(ended, Ended):
            return self._report(ended.result, head)
        return partial(self._ruled_later, policy, head, read, ended)

    async def aserve(
        self, head: RequestHead, read: Callable[[int], Awaitable[bytes | LastPiece | BodyEnd]] = ano_body
    ) -> Ruling:
        """The same where no application stands behind the gate: everything but its own paths is passed on."""
        return await self._ruled(serve(head, self._settings), head, read)

    async def _ruled(
        self,
        policy: Coroutine[Effect[Any], Any, Ruling | None],
        head: RequestHead,
        read: Callable[[int], Awaitable[bytes | LastPiece | BodyEnd]],
    ) -> Ruling:
        self._notice_proxy(head)
        return await self._ruled_later(policy, head, read)

    async def _ruled_later(
        self,
        policy: Coroutine[Effect[Any], Any, Ruling | None],
        head: RequestHead,
        read: Callable[[int], Awaitable[bytes | LastPiece | BodyEnd]],
        waits_for: AnyEffect | None = None,
    ) -> Ruling:
        try:
            ruling = await arun(policy, self._world, read, waits_for)
        except Exception as failure:
            ruling = self._broken(failure, head)
        return self._report(ruling, head) if ruling is not None else PassOn()

    def _notice_proxy(self, head: RequestHead) -> None:
        """Say once that a proxy in front makes all visitors one client: they share its challenges and its rate cap."""
        if self._expects_no_proxy and looks_proxied(head):
            self._expects_no_proxy = False
            # A server that believes forwarding headers itself may call anything a peer.
            peer = client_of(head, self._settings.trusted_proxies) or "a peer without an address"
            message = f"{peer} forwards requests and is not in trusted_proxies: all its visitors are one client"
            tell(logging.WARNING, "proxy-not-trusted", message, peer=peer)

    def _broken(self, failure: Exception, head: RequestHead) -> Ruling:
        """Whatever breaks between match and verdict is a refusal (threats.md R5); the gate's own paths speak JSON."""
        tell_broken(failure)
        path = head.path.removeprefix(head.root_path)
        if self._own_paths is not None and path.startswith(self._own_paths):
            return Answer(refused(503, "unavailable", retry_after=5))
        decision = Decision(Reason.UNAVAILABLE, method=head.method, details=(type(failure).__name__,))
        return rule_on(decision, head, None, self._settings)

    def opens_websocket(self, head: RequestHead) -> bool:
        """Whether a handshake to a path that some rule guards may pass all the same (threats.md R7)."""
        return not isinstance(self._report(rule_on_websocket(head, self._settings), head), Answer)

    def on_decision(self, listener: Callable[[Decision], T]) -> Callable[[Decision], T]:
        """Call `listener` with each decision about a guarded request. Usable as a decorator.

        It is called in the thread or on the event loop that handles the request, so it should be quick. What it raises
        is logged and changes nothing.
        """
        self._listeners.append(listener)
        return listener

    def _report(self, ruling: Ruling, head: RequestHead) -> Ruling:
        """Tell everybody what was decided, and the door what to do.

        No answer to HEAD has a body: some servers would send it, and the client would take it for the next answer
        (RFC 9112 6.3). A refusal has none either when a proxy asked about a HEAD with another method.
        """
        if isinstance(ruling, Answer) and head.method.upper() == "HEAD":
            ruling = replace(ruling, response=replace(ruling.response, body=b""))
        decision = getattr(ruling, "decision", None)
        if decision is not None and decision.reason is not Reason.EXEMPT:
            self._tell(decision)
        return ruling

    def _tell(self, decision: Decision) -> None:
        log_decision(decision)
        for listener in self._listeners:
            try:
                listener(decision)
            except Exception as failure:
                tell_broken(failure, "a listener of decisions failed")

    # The end

    def close(self) -> None:
        """Close connections and the store."""
        self._world.client.close()
        self._store.close()

    async def aclose(self) -> None:
        """The same as `close`, on the event loop whose connections shall be closed."""
        await self._world.client.aclose()
        if isinstance(self._store, AwaitedStore):
            await self._store.aclose()
        else:
            self._store.close()


def _expects_no_proxy(configuration: Configuration) -> bool:
    """Whether it matters who a client is, and each is believed to connect by itself."""
    matters = (
        configuration.verifies_in_process
        or configuration.has_receipts
        or configuration.limits["submissions_per_minute"] is not None
    )
    return matters and not configuration.top["trusted_proxies"]


def load_gate(path: str | Path | None = None, *, must_guard: bool = False) -> Gate:
    """The gate that a TOML file describes, with what environment variables say in its place.

    Raises ConfigurationError with every problem, and where it was typed.

    path: without a file, the variables say all
    must_guard: whether a file without any route is a problem already here, and not only to a door that finds no marked
        view either
    """
    from caputchin_gate.config.sources import gather  # only who has a file, or variables, pays for it

    typed = gather(path, os.environ)
    with typed.placing():
        return gate_of(typed.read(must_guard=must_guard), typed.placed)


def gate_from(settings: Mapping[str, Any]) -> Gate:
    """The gate that a table with the keys of gate.toml describes: a framework's own settings."""
    return gate_of(config.read(settings))


def gate_of(configuration: Configuration, placed: Callable[[Problem], Problem] = lambda warning: warning) -> Gate:
    """The gate of settings that were read already. `placed` knows where a setting was typed."""
    gate = Gate.__new__(Gate)
    gate._assemble(configuration, SYSTEM_CLOCK, placed)
    return gate
