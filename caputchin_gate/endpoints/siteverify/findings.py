"""What a siteverify call can come to, and what a dialect has to say about it. Who decides is `core.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from caputchin_gate.endpoints.sites import Site
from caputchin_gate.endpoints.siteverify.request import Form, NoText
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.verdict import Passed


class Outcome(StrEnum):
    """How a call ended (siteverify-server.md 4). These words stand in the log; clients are told their dialect's."""

    SUCCESS = "success"
    REPEATED = "repeated"  # the stored answer to an earlier call with the same idempotency key
    BAD_REQUEST = "bad-request"
    TOO_LARGE = "too-large"
    ENCODED = "encoded"
    RATE_LIMITED = "rate-limited"
    SECRET_MISSING = "secret-missing"
    SECRET_MALFORMED = "secret-malformed"
    SECRET_UNKNOWN = "secret-unknown"
    SITE_UNKNOWN = "site-unknown"
    SITE_SUSPENDED = "site-suspended"
    SITE_DEACTIVATED = "site-deactivated"
    SITE_INACTIVE = "site-inactive"
    RESPONSE_MISSING = "response-missing"
    RESPONSE_MALFORMED = "response-malformed"
    RESPONSE_UNKNOWN = "response-unknown"
    RESPONSE_UNSOLVED = "response-unsolved"
    RESPONSE_USED = "response-used"
    RESPONSE_EXPIRED = "response-expired"
    SITE_MISMATCH = "site-mismatch"
    SITEKEY_MISMATCH = "sitekey-mismatch"
    ADDRESS_UNREADABLE = "address-unreadable"
    ADDRESS_MISMATCH = "address-mismatch"
    ACTION_MISMATCH = "action-mismatch"
    IDEMPOTENCY_INVALID = "idempotency-invalid"
    INTERNAL = "internal"


# What the operator of the calling back end has to mend; it says nothing about the token.
SITE_TROUBLES = frozenset({Outcome.SITE_SUSPENDED, Outcome.SITE_DEACTIVATED, Outcome.SITE_INACTIVE})


@dataclass(frozen=True, slots=True)
class Finding:
    """What a call came to. More than one outcome only where several fields are missing.

    site:        whose secret it was, None where nobody's
    response:    the token, where it was one text
    named:       whether the caller named the site it expects
    over_limit:  whether the site is past its quota, where the dialect tells that
    retry_after: seconds
    by_test_key: whether nothing was looked at, because the secret is a public one
    """

    outcomes: tuple[Outcome, ...]
    site: Site | None = None
    response: str = ""
    passed: Passed | None = None
    named: bool = False
    over_limit: bool = False
    retry_after: int | None = None
    by_test_key: bool = False

    @property
    def outcome(self) -> Outcome:
        return self.outcomes[0]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider's clients ask, and how they are answered.

    forms:             what a request may look like
    answer:            tells a finding in the words of the dialect
    secret:            the field of the secret
    secret_in_head:    reads the secret from a header instead
    response:          the field of the token
    remote_ip:         the field of the visitor's address
    compares_if_known: whether that address is compared whenever it is sent, or only where the settings require it
    readable_address:  whether an address that can't be read is an error
    site_key:          the field that names the site, in the dialects that have one
    needs_site_key:    whether it may not be missing
    named_site:        the site that path and token name; only its secret counts then
    idempotent:        whether a call may be repeated under a key
    reports_action:    whether an answer says what the token was solved for
    reports_quota:     whether an answer says that the quota is exceeded
    """

    name: str
    forms: Form
    answer: Callable[[Finding], Response]
    secret: str = "secret"
    secret_in_head: Callable[[RequestHead], str | NoText] | None = None
    response: str = "response"
    longest_response: int = 8192
    remote_ip: str = "remoteip"
    compares_if_known: bool = True
    readable_address: bool = False
    site_key: str | None = None
    needs_site_key: bool = False
    named_site: Callable[[str | None, str], str | None] = lambda in_path, response: in_path
    idempotent: bool = False
    reports_action: Callable[[Site], bool] = lambda site: False
    reports_quota: bool = False
