"""reCAPTCHA's siteverify, versions 2 and 3 (others.md 2). Asking spends the token.

In version 3 a yes does not mean a human: the score decides, and 1 is a human. A score that is reported is compared
whatever `version` says, so that a key of version 3 under the settings of version 2 lets no bot in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from caputchin_gate.errors import Problem
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import address_text, form_request
from caputchin_gate.providers._reading import Answer, is_score, number, siteverify, text, unix_time
from caputchin_gate.verdict import Failed, Misconfigured, Passed, Reason, Verdict
from caputchin_gate.widgets import ASYNC, DEFER, Widget


@dataclass(frozen=True, slots=True, kw_only=True)
class ReCaptcha(Upstream):
    """version:        of the key: "v2" or "v3"; with "v3" an answer without a score is a mistake in the settings
    min_score:      refuse what is less human-like than this, 0 to 1; only version 3 has scores
    send_remote_ip: send the visitor's address too
    """

    kind: ClassVar = "recaptcha"
    reports: ClassVar = frozenset({"hostnames", "action", "max_age", "min_score", "max_score"})
    endpoints: ClassVar = {
        "google": "https://www.google.com/recaptcha/api/siteverify",
        "recaptcha.net": "https://www.recaptcha.net/recaptcha/api/siteverify",
    }
    codes: ClassVar = {
        "missing-input-secret": Reason.MISCONFIGURED,
        "invalid-input-secret": Reason.MISCONFIGURED,
        "invalid-keys": Reason.MISCONFIGURED,
        "bad-request": Reason.MISCONFIGURED,
        "missing-input-response": Reason.TOKEN_REJECTED,
        "invalid-input-response": Reason.TOKEN_REJECTED,
        "browser-error": Reason.TOKEN_REJECTED,
        "timeout-or-duplicate": Reason.TOKEN_USED,
    }
    secret_codes: ClassVar = frozenset({"missing-input-secret", "invalid-input-secret"})
    max_token: ClassVar = 8192
    test_keys: ClassVar = frozenset(
        {"6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe", "6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI"}
    )

    token_field: str = "g-recaptcha-response"
    version: Literal["v2", "v3"] = "v2"
    min_score: float = 0.5
    send_remote_ip: bool = False

    @property
    def widget(self) -> Widget:
        """By the provider's documentation. Version 3 is a script alone: the page asks it for a token, and fills the
        field itself.
        """
        scored = self.version == "v3"
        return Widget(
            token_field="g-recaptcha-response",
            script="https://www.google.com/recaptcha/api.js",
            loading=DEFER if scored else ASYNC,
            element="" if scored else "div",
            attributes={} if scored else {"class": "g-recaptcha"},
            names={"site_key": "?render" if scored else "data-sitekey", "locale": "?hl"},
            prefix=None if scored else "data-",
            needs={"site_key": "or set the provider's site_key"},
        )

    def problems(self) -> list[Problem]:
        found = Upstream.problems(self)
        if self.version not in ("v2", "v3"):
            found.append(Problem("version", "is unknown", "use 'v2' or 'v3'"))
        if not is_score(self.min_score):
            found.append(Problem("min_score", "is not a score", "use a number from 0 to 1, where 1 is a human"))
        return found

    def request(self, submission: Submission) -> HttpRequest:
        fields = {"secret": self.revealed_secret, "response": submission.token}
        if self.send_remote_ip and (address := address_text(submission.remote_ip)):
            fields["remoteip"] = address
        return form_request(self.url, fields)

    def read(self, reply: HttpReply) -> Verdict:
        return siteverify(reply, self.codes, self._passed, any_status=True)

    def _passed(self, answer: Answer) -> Verdict:
        score = number(answer.get("score"))
        if score is None and (self.version == "v3" or "score" in answer):
            return Misconfigured(("score-missing",))  # a key of version 2
        if score is not None and score < self.min_score:
            return Failed(Reason.SCORE_TOO_LOW)
        package = text(answer.get("apk_package_name"))
        return Passed(
            self.kind,
            issued_at=unix_time(answer.get("challenge_ts")),
            hostname=text(answer.get("hostname")),
            action=text(answer.get("action")),
            score=score,
            details={"apk_package_name": package} if package is not None else {},
        )
