"""Cloudflare Turnstile's siteverify (others.md 4).

A call that carries the same token and the same `idempotency_key` as one before is answered the same, so that this kind
alone may be asked again whatever became of the first call. The key is that of one verification: another verification
of the same token has another, and is told that the token was used.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar, Final
from uuid import UUID

from caputchin_gate.effects import NoReply
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Retry, Submission, Upstream
from caputchin_gate.providers._asking import address_text, json_request
from caputchin_gate.providers._reading import Answer, siteverify, text, unix_time
from caputchin_gate.verdict import Cause, Misconfigured, Passed, Reason, Unavailable, Verdict
from caputchin_gate.widgets import ASYNC, Widget

RETRY_AFTER: Final = 0.25
INTERNAL: Final = "internal-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turnstile(Upstream):
    """`send_remote_ip`: send the visitor's address too."""

    kind: ClassVar = "turnstile"
    reports: ClassVar = frozenset({"hostnames", "action", "max_age"})
    endpoints: ClassVar = {"global": "https://challenges.cloudflare.com/turnstile/v0/siteverify"}
    codes: ClassVar = {
        "missing-input-secret": Reason.MISCONFIGURED,
        "invalid-input-secret": Reason.MISCONFIGURED,
        "invalid-widget-id": Reason.MISCONFIGURED,
        "invalid-parsed-secret": Reason.MISCONFIGURED,
        "bad-request": Reason.MISCONFIGURED,
        "invalid-idempotency-key": Reason.MISCONFIGURED,
        "missing-input-response": Reason.TOKEN_REJECTED,
        "invalid-input-response": Reason.TOKEN_REJECTED,
        "timeout-or-duplicate": Reason.TOKEN_USED,
    }
    secret_codes: ClassVar = frozenset({"missing-input-secret", "invalid-input-secret"})
    max_attempts: ClassVar = 3
    test_keys: ClassVar = frozenset(
        {
            "1x0000000000000000000000000000000AA",
            "2x0000000000000000000000000000000AA",
            "3x0000000000000000000000000000000AA",
            "1x00000000000000000000AA",
            "2x00000000000000000000AB",
            "1x00000000000000000000BB",
            "2x00000000000000000000BB",
            "3x00000000000000000000FF",
        }
    )
    test_tokens: ClassVar = frozenset({"XXXX.DUMMY.TOKEN.XXXX"})

    token_field: str = "cf-turnstile-response"
    attempts: int = 3
    send_remote_ip: bool = False

    @property
    def widget(self) -> Widget:
        """By the provider's documentation of implicit rendering."""
        return Widget(
            token_field="cf-turnstile-response",
            script="https://challenges.cloudflare.com/turnstile/v0/api.js",
            loading=ASYNC,
            element="div",
            attributes={"class": "cf-turnstile"},
            names={"site_key": "data-sitekey", "locale": "data-language", "field": "data-response-field-name"},
            prefix="data-",
            needs={"site_key": "or set the provider's site_key"},
        )

    def request(self, submission: Submission) -> HttpRequest:
        fields = {"secret": self.revealed_secret, "response": submission.token}
        if self.send_remote_ip and (address := address_text(submission.remote_ip)):
            fields["remoteip"] = address
        if submission.attempt_id:
            fields["idempotency_key"] = _uuid(submission.attempt_id)
        return json_request(self.url, fields)

    def read(self, reply: HttpReply) -> Verdict | Retry:
        verdict = siteverify(reply, self.codes, self._passed, any_status=True)
        match verdict:
            case Unavailable(cause=Cause.STATUS) if reply.status >= 500:
                return Retry(RETRY_AFTER, otherwise=verdict)
            case Passed() | Unavailable():
                return verdict
            case _ if INTERNAL in verdict.codes and self.codes.keys().isdisjoint(verdict.codes):
                return Retry(RETRY_AFTER, otherwise=Unavailable(Cause.STATUS, codes=verdict.codes))
            case _:
                return verdict

    def unanswered(self, outcome: NoReply) -> Verdict | Retry:
        return Retry(RETRY_AFTER, otherwise=Unavailable(outcome.cause))

    def _passed(self, answer: Answer) -> Passed | Misconfigured:
        told = answer.get("metadata")
        by_test_key = isinstance(told, dict) and told.get("result_with_testing_key", False) is not False
        if by_test_key and not self.allow_test_keys:
            return Misconfigured(("result-with-testing-key",))
        cdata = text(answer.get("cdata"))
        return Passed(
            self.kind,
            issued_at=unix_time(answer.get("challenge_ts")),
            hostname=text(answer.get("hostname")),
            action=text(answer.get("action")),
            details={"cdata": cdata} if cdata is not None else {},
        )


def _uuid(attempt_id: str) -> str:
    return str(UUID(bytes=blake2b(attempt_id.encode(), digest_size=16).digest(), version=4))
