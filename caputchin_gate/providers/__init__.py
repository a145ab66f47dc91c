"""What every captcha provider is to the gate: settings, a request to make, and a reading of the reply.

A provider is one file of this folder, named like its kind; nothing lists them. It is pure: `request` builds the
call, `read` turns the reply into a verdict, and the policy does the calling. Here stands what all kinds share; the
checks of the settings are in `_settings.py`, the writing of requests in `_asking.py`, the reading in `_reading.py`.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar, Final

from caputchin_gate.effects import NoReply
from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import _settings as settings
from caputchin_gate.secret import Secret
from caputchin_gate.verdict import Failed, Reason, Unavailable, Verdict
from caputchin_gate.widgets import Widget

BLANKS: Final = " \t\r\n"
DEVELOPMENT: Final = "onlyForDevelopment"  # stands in every secret of the fake providers, which everybody knows


@dataclass(frozen=True, slots=True)
class Submission:
    """What one verification sends: a token that passed `precheck`, and what is known about the visitor.

    email:      the visitor's address or its domain; only the domain is ever sent
    attempt_id: random, one for each verification and the same over its retries (idempotency keys)
    """

    token: str = field(repr=False)
    remote_ip: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    attempt_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Retry:
    """No verdict yet, and asking again is safe: after so many seconds, three times as many before each further
    attempt. `otherwise` is the verdict when no attempt is left.
    """

    after: float
    otherwise: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream(ABC):
    """The settings of one provider, as its user types them. Wrong ones are told by `problems`, never raised here.

    secret:          what proves to the provider who asks
    endpoint:        a name of `endpoints`, or a URL; empty for the kind's own
    timeout:         seconds for one verification, its retries included
    token_field:     the form field that holds the token
    allow_http:      let secret and token travel unencrypted to a host that is not this machine
    allow_test_keys: accept the provider's public dummy keys, which let everybody in, and those of its fake
    attempts:        how often one verification may ask, for the kinds where a page says that this is safe
    site_key:        the public key that pages name, for templates; with cap tokens of other sites are refused by it
    """

    kind: ClassVar[str]
    endpoints: ClassVar[Mapping[str, str]] = {}  # URLs by name; the first is the default
    codes: ClassVar[Mapping[str, Reason]] = {}  # what the provider's own words mean; MISCONFIGURED for our mistakes
    secret_codes: ClassVar[frozenset[str]] = frozenset()  # those about our secret alone, which no token can provoke
    single_use: ClassVar[bool] = True  # does the provider refuse a token the second time? else the gate claims it
    remember: ClassVar[float] = 0.0  # seconds such a claim has to last: longer than any token of this kind lives
    reports: ClassVar[frozenset[str]] = frozenset()  # which demands of a route its verdicts can meet
    max_attempts: ClassVar[int] = 1
    max_token: ClassVar[int] = 2048
    token_shape: ClassVar[re.Pattern[str]] = re.compile(r"[!-~]+")
    secret_shape: ClassVar[re.Pattern[str]] = re.compile(r"[!-~]+")
    secret_hint: ClassVar[str] = ""  # how a real secret looks, for the warning about one that doesn't
    not_secrets: ClassVar[Mapping[str, str]] = {}  # prefixes of other keys that get mistaken for the secret
    not_site_keys: ClassVar[Mapping[str, str]] = {}  # prefixes of keys that no page may show
    needs_site_key: ClassVar[bool] = False  # is the provider asked with it?
    test_keys: ClassVar[frozenset[str]] = frozenset()
    test_tokens: ClassVar[frozenset[str]] = frozenset()  # what widgets with the test keys fill in

    secret: Secret | str = ""
    endpoint: str = field(default="", repr=False)  # may wrongly hold a password (threats.md R35)
    timeout: float = 5.0
    token_field: str = ""
    allow_http: bool = False
    allow_test_keys: bool = False
    attempts: int = 1
    site_key: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.secret, str):
            object.__setattr__(self, "secret", Secret(self.secret))

    @property
    def url(self) -> str:
        """Where the provider is asked."""
        if self.endpoint:
            return self.endpoints.get(self.endpoint, self.endpoint)
        return next(iter(self.endpoints.values()), "")

    @property
    @abstractmethod
    def widget(self) -> Widget:
        """How pages show this provider's widget, by the provider's own documentation."""

    @property
    def revealed_secret(self) -> str:
        return self.secret.reveal() if isinstance(self.secret, Secret) else self.secret

    def problems(self) -> list[Problem]:
        """Every setting that can't be used, all at once."""
        return [
            *settings.secret_problems(self.secret, self.not_secrets, self._is_refused_test_key),
            *settings.endpoint_problems(self.endpoint, self.endpoints, allow_http=self.allow_http),
            *settings.timeout_problems(self.timeout),
            *settings.token_field_problems(self.token_field),
            *settings.attempts_problems(self.attempts, self.max_attempts),
            *settings.site_key_problems(
                self.site_key,
                self.secret,
                self.not_site_keys,
                frozenset() if self.allow_test_keys else self.test_keys,
                is_needed=self.needs_site_key,
            ),
        ]

    def _is_refused_test_key(self, secret: str) -> bool:
        return not self.allow_test_keys and (secret in self.test_keys or DEVELOPMENT in secret)

    def warnings(self) -> list[str]:
        """What is right but risky, in settings without problems."""
        return [
            *settings.secret_warnings(self.secret, self.secret_shape, self.secret_hint),
            *settings.endpoint_warnings(self.url),
        ]

    def precheck(self, token: object) -> Failed | str:
        """The token as it is sent, or why it can't be one: no provider is asked about that (threats.md R9)."""
        match token:
            case str() if text := token.strip(BLANKS):
                if text in self.test_tokens and not self.allow_test_keys:
                    return Failed(Reason.TOKEN_ELSEWHERE, ("test-site-key",))
                if len(text) <= self.max_token and self.token_shape.fullmatch(text):
                    return text
                return Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))
            case _:
                return Failed(Reason.TOKEN_MISSING, ("missing-input-response",))

    def identity(self, token: str) -> str:
        """What makes two spellings one token: what the gate claims. Most kinds have one spelling alone."""
        return token

    def claimed_until(self, token: str, now: float) -> float:
        """How long such a claim has to last (Unix seconds): longer than the token."""
        return now + self.remember

    def born(self, token: str, now: float) -> float:
        """Before this time (Unix seconds) nobody can have claimed it, 0 where that is not known.

        A token that is good now is no older than any of its kind lives.
        """
        return now - self.remember

    @abstractmethod
    def request(self, submission: Submission) -> HttpRequest:
        """The call that asks the provider about a token."""

    @abstractmethod
    def read(self, reply: HttpReply) -> Verdict | Retry:
        """What the reply means, by the outcome table of the provider's page."""

    def refuses_secret(self, said: Sequence[str]) -> bool:
        """Whether these words of the provider say that our secret is wrong."""
        return not self.secret_codes.isdisjoint(said)

    def unanswered(self, outcome: NoReply) -> Verdict | Retry:
        """What it means when no reply came. Most kinds spend the token when they are asked: no second attempt."""
        return Unavailable(outcome.cause)


_LONGEST_KIND: Final = 20  # characters; what is longer may be a secret that was pasted into the wrong line


def purposes_of(kind: type) -> dict[str, str]:
    """What the docstrings of a kind and of `Upstream` say about the fields, a sentence each."""
    text = f"{Upstream.__doc__}\n{kind.__doc__ or ''}"
    described = re.findall(r"^\s*`?([a-z_]+)`?:\s+(\S.*)$", text, re.MULTILINE)
    return {name: purpose[0].upper() + purpose[1:].rstrip(".") + "." for name, purpose in described}


def token_key(kind: str, identity: str) -> bytes:
    """The digest under which another maker's token is claimed or kept from running twice, whoever verifies it."""
    return hashlib.blake2b(identity.encode(), digest_size=20, person=kind.encode()[:16]).digest()


def kinds() -> tuple[str, ...]:
    """Every kind of provider there is: the files of this folder."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def load(kind: str) -> type[Upstream]:
    """The provider of a kind. Its module is imported now and not before."""
    if kind not in kinds():
        what = f"unknown provider {kind!r}" if len(kind) <= _LONGEST_KIND else "no provider has such a name"
        raise ConfigurationError([Problem("kind", what, nearest(kind, kinds()))])
    for found in vars(import_module(f"{__name__}.{kind}")).values():
        if isinstance(found, type) and issubclass(found, Upstream) and getattr(found, "kind", None) == kind:
            return found
    raise LookupError(f"providers/{kind}.py defines no provider of the kind {kind!r}")
