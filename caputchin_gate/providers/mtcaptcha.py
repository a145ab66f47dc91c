"""MTCaptcha's checktoken (others.md 8). It is asked by GET, with the private key in the query: the URL of a call is
never told anywhere. Asking spends the token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import query_request
from caputchin_gate.providers._reading import Answer, number, siteverify, text, unix_time
from caputchin_gate.verdict import Failed, Passed, Reason, Verdict
from caputchin_gate.widgets import ASYNC, Widget

CODES: Final = "fail_codes"
CONFIGURATION: Final = "window.mtcaptchaConfig"


@dataclass(frozen=True, slots=True, kw_only=True)
class MTCaptcha(Upstream):
    """`secret`: the private key of the site."""

    kind: ClassVar = "mtcaptcha"
    reports: ClassVar = frozenset({"hostnames", "action", "max_age"})
    endpoints: ClassVar = {"global": "https://service.mtcaptcha.com/mtcv1/api/checktoken"}
    codes: ClassVar = {
        "missing-input-privatekey": Reason.MISCONFIGURED,
        "invalid-privatekey": Reason.MISCONFIGURED,
        "expired-sitekey-or-account": Reason.MISCONFIGURED,
        "bad-request": Reason.MISCONFIGURED,
        "missing-input-token": Reason.TOKEN_REJECTED,
        "invalid-token": Reason.TOKEN_REJECTED,
        "invalid-token-faildecrypt": Reason.TOKEN_REJECTED,
        "token-expired": Reason.TOKEN_EXPIRED,
        "token-duplicate-cal": Reason.TOKEN_USED,
        # A wrong pair of keys, or a token that an attacker brought from another site: never an outage.
        "privatekey-mismatch-token": Reason.TOKEN_ELSEWHERE,
    }
    secret_codes: ClassVar = frozenset({"missing-input-privatekey", "invalid-privatekey"})
    secret_shape: ClassVar = re.compile(r"MTPrivat-[!-~]+")
    secret_hint: ClassVar = "which begin with MTPrivat-"
    not_secrets: ClassVar = {"MTPublic-": "the public site key"}
    not_site_keys: ClassVar = {"MTPrivat-": "the private key"}

    token_field: str = "mtcaptcha-verifiedtoken"

    @property
    def widget(self) -> Widget:
        """By the provider's developer guide: a variable configures the script, which fills elements of its class."""
        return Widget(
            token_field="mtcaptcha-verifiedtoken",
            script="https://service.mtcaptcha.com/mtcv1/client/mtcaptcha.min.js",
            loading=ASYNC,
            element="div",
            attributes={"class": "mtcaptcha"},
            names={"site_key": f"{CONFIGURATION}.sitekey", "action": f"{CONFIGURATION}.action"},
            prefix=None,
            needs={"site_key": "or set the provider's site_key, which begins with MTPublic-"},
        )

    def request(self, submission: Submission) -> HttpRequest:
        return query_request(self.url, {"privatekey": self.revealed_secret, "token": submission.token})

    def read(self, reply: HttpReply) -> Verdict:
        return siteverify(reply, self.codes, self._passed, any_status=True, said_in=CODES)

    def _passed(self, answer: Answer) -> Verdict:
        told = answer.get("tokeninfo")
        info: Answer = told if isinstance(told, dict) else {}
        if info.get("isDevHost", False) is not False and not self.allow_test_keys:
            return Failed(Reason.TOKEN_ELSEWHERE, ("development-host",))
        seconds = number(info.get("timestampSec"))
        return Passed(
            self.kind,
            issued_at=seconds if seconds is not None else unix_time(info.get("timestampISO")),
            hostname=text(info.get("hostname")),
            action=text(info.get("action")),
        )
