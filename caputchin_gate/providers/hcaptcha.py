"""hCaptcha's siteverify (others.md 3). It reads forms and nothing else, and spends the token when it is asked.

With `site_key` it is told which site the token has to be of. The score, on plans that have one, is a risk: 1 is a bot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import address_text, form_request
from caputchin_gate.providers._reading import Answer, number, siteverify, text, unix_time
from caputchin_gate.verdict import Passed, Reason, Verdict
from caputchin_gate.widgets import ASYNC, Widget

NO_HOST: Final = "not-provided"


@dataclass(frozen=True, slots=True, kw_only=True)
class HCaptcha(Upstream):
    """`send_remote_ip`: send the visitor's address too, which some settings of Enterprise require."""

    kind: ClassVar = "hcaptcha"
    reports: ClassVar = frozenset({"max_age", "min_score", "max_score"})  # its hostname is no check of security
    endpoints: ClassVar = {
        "global": "https://api.hcaptcha.com/siteverify",
        "old": "https://hcaptcha.com/siteverify",
    }
    codes: ClassVar = {
        "missing-input-secret": Reason.MISCONFIGURED,
        "invalid-input-secret": Reason.MISCONFIGURED,
        "not-using-dummy-passcode": Reason.MISCONFIGURED,
        "not-using-dummy-secret": Reason.MISCONFIGURED,
        "invalid-sitekey": Reason.MISCONFIGURED,
        "bad-request": Reason.MISCONFIGURED,
        "missing-remoteip": Reason.MISCONFIGURED,
        "invalid-remoteip": Reason.MISCONFIGURED,
        "missing-input-response": Reason.TOKEN_REJECTED,
        "invalid-input-response": Reason.TOKEN_REJECTED,
        "invalid-or-already-seen-response": Reason.TOKEN_REJECTED,
        "expired-input-response": Reason.TOKEN_EXPIRED,
        "already-seen-response": Reason.TOKEN_USED,
        # A wrong pair of keys, or a token that an attacker brought from another site: never an outage.
        "sitekey-secret-mismatch": Reason.TOKEN_ELSEWHERE,
    }
    secret_codes: ClassVar = frozenset({"missing-input-secret", "invalid-input-secret"})
    max_token: ClassVar = 8192
    test_keys: ClassVar = frozenset(
        {
            "0x0000000000000000000000000000000000000000",
            "10000000-ffff-ffff-ffff-000000000001",
            "20000000-ffff-ffff-ffff-000000000002",
            "30000000-ffff-ffff-ffff-000000000003",
        }
    )
    test_tokens: ClassVar = frozenset(
        {
            "10000000-aaaa-bbbb-cccc-000000000001",
            "20000000-aaaa-bbbb-cccc-000000000002",
            "30000000-aaaa-bbbb-cccc-000000000003",
        }
    )

    token_field: str = "h-captcha-response"
    send_remote_ip: bool = False

    @property
    def widget(self) -> Widget:
        """By the provider's documentation. Without `recaptchacompat=off` the widget fills reCAPTCHA's field as well."""
        return Widget(
            token_field="h-captcha-response",
            script="https://js.hcaptcha.com/1/api.js",
            loading=ASYNC,
            element="div",
            attributes={"?recaptchacompat": "off", "class": "h-captcha"},
            names={"site_key": "data-sitekey", "locale": "?hl"},
            prefix="data-",
            needs={"site_key": "or set the provider's site_key"},
        )

    def request(self, submission: Submission) -> HttpRequest:
        fields = {"secret": self.revealed_secret, "response": submission.token}
        if self.send_remote_ip and (address := address_text(submission.remote_ip)):
            fields["remoteip"] = address
        if self.site_key:
            fields["sitekey"] = self.site_key
        return form_request(self.url, fields)

    def read(self, reply: HttpReply) -> Verdict:
        return siteverify(reply, self.codes, self._passed, any_status=True)

    def _passed(self, answer: Answer) -> Passed:
        host = text(answer.get("hostname"))
        return Passed(
            self.kind,
            issued_at=unix_time(answer.get("challenge_ts")),
            hostname=host if host != NO_HOST else None,
            score=number(answer.get("score")),
        )
