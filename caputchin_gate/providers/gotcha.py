"""GotCHA's siteverify (gotcha.md).

Its public server forgets which tokens it has seen, so the gate claims them itself (section 5). The documented URL is
plain http: the default is the same host over TLS, and `endpoint = "documented"` needs `allow_http`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import address_text, form_request
from caputchin_gate.providers._reading import Answer, siteverify, text, unix_time
from caputchin_gate.verdict import Misconfigured, Passed, Reason, Verdict
from caputchin_gate.widgets import ASYNC, Widget

GOTCHA_DOCUMENTED_URL: Final = "http://api.gotcha.land/api/siteverify"


@dataclass(frozen=True, slots=True, kw_only=True)
class GotCHA(Upstream):
    """`send_remote_ip`: behind a proxy GotCHA may have seen another address than we do, which fails the visitor."""

    kind: ClassVar = "gotcha"
    reports: ClassVar = frozenset({"hostnames", "max_age"})
    endpoints: ClassVar = {"tls": "https://api.gotcha.land/api/siteverify", "documented": GOTCHA_DOCUMENTED_URL}
    codes: ClassVar = {
        "missing-input-secret": Reason.MISCONFIGURED,
        "invalid-input-secret": Reason.MISCONFIGURED,
        "missing-input-response": Reason.TOKEN_REJECTED,
        "invalid-input-response": Reason.TOKEN_REJECTED,
        "bad-request": Reason.MISCONFIGURED,
        "timeout-or-duplicate": Reason.TOKEN_USED,
    }
    secret_codes: ClassVar = frozenset({"missing-input-secret", "invalid-input-secret"})
    single_use: ClassVar = False
    remember: ClassVar = 300.0
    secret_shape: ClassVar = re.compile(r"[A-Za-z0-9+/]{64}")
    secret_hint: ClassVar = "which are 64 characters of base64"

    token_field: str = "gotcha-response"
    send_remote_ip: bool = False

    @property
    def widget(self) -> Widget:
        """By its public source, and the address of the script as a site has it that uses the service. Only the first
        element of its class is filled: one widget a page.
        """
        return Widget(
            token_field="gotcha-response",
            script="https://static.gotcha.land/api.js",
            loading=ASYNC,
            element="div",
            attributes={"class": "gotcha"},
            names={"site_key": "data-sitekey"},
            prefix="data-",
            needs={"site_key": "or set the provider's site_key"},
        )

    def request(self, submission: Submission) -> HttpRequest:
        fields = {"secret": self.revealed_secret, "response": submission.token}
        if self.send_remote_ip and (address := address_text(submission.remote_ip)):
            fields["remoteip"] = address
        return form_request(self.url, fields)

    def read(self, reply: HttpReply) -> Verdict:
        if reply.status == 403 and not reply.body.strip():
            return Misconfigured(("user-agent-blocked",))  # section 2: refused before the handler ran
        return siteverify(reply, self.codes, self._passed)

    def _passed(self, answer: Answer) -> Passed:
        return Passed(self.kind, issued_at=unix_time(answer.get("challenge_ts")), hostname=text(answer.get("hostname")))
