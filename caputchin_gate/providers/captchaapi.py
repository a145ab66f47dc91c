"""captchaapi.eu's verify call, edition E2 (captchaapi.md 2, 5). Its in-process protocol is in `engines/`.

Only `invalid_token` and `invalid_solution` accuse the visitor; whatever else the service complains about is the
operator's to mend. The first verify spends the response, so it is asked exactly once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from caputchin_gate.errors import Problem
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import json_request
from caputchin_gate.providers._reading import Answer, json_object, no_verdict, refused, words
from caputchin_gate.verdict import Failed, Misconfigured, Passed, Reason, Verdict
from caputchin_gate.widgets import Widget

BASE_URL: Final = "window.CAPTCHA_BASE_URL"
WIDGET: Final = Widget(  # captchaapi.md 9; the address of the script is that of the service's own Laravel package
    token_field="captchaapi_response",
    script="https://captchaapi.eu/captcha.js",
    names={
        "site_key": "window.CAPTCHA_SITE_KEY",
        "locale": "window.CAPTCHA_LOCALE",
        "preload": "window.CAPTCHA_PRELOAD",
        "mode": "window.CAPTCHA_MODE",
        "base_url": BASE_URL,
    },
    prefix=None,
    needs={"site_key": "or set the provider's site_key, which begins with pk_live_"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptchaApi(Upstream):
    """`token_pattern`: a regular expression for the part before the dot; its alphabet is not documented."""

    kind: ClassVar = "captchaapi"
    endpoints: ClassVar = {"hosted": "https://captchaapi.eu/api/v1/captcha/verify"}
    codes: ClassVar = {
        "invalid_token": Reason.TOKEN_REJECTED,
        "invalid_solution": Reason.TOKEN_REJECTED,
        "invalid_secret": Reason.MISCONFIGURED,
        "free_tier_limit_reached": Reason.MISCONFIGURED,
        "account_suspended": Reason.MISCONFIGURED,
        "account_deactivated": Reason.MISCONFIGURED,
        "project_inactive": Reason.MISCONFIGURED,
        "invalid_site_key": Reason.MISCONFIGURED,
        "domain_not_allowed": Reason.MISCONFIGURED,
    }
    secret_codes: ClassVar = frozenset({"invalid_secret", "http-401"})
    secret_shape: ClassVar = re.compile(r"sk_live_[!-~]+")
    secret_hint: ClassVar = "which begin with sk_live_"
    not_secrets: ClassVar = {"pk_live_": "the public site key"}
    not_site_keys: ClassVar = {"sk_live_": "the secret key"}

    token_field: str = "captchaapi_response"
    token_pattern: str = "[A-Za-z0-9_-]{16,128}"

    @property
    def widget(self) -> Widget:
        return WIDGET

    def problems(self) -> list[Problem]:
        found = Upstream.problems(self)
        try:
            re.compile(self.token_pattern)
        except (re.error, TypeError):
            found.append(Problem("token_pattern", "is not a regular expression", "leave it out for the default"))
        return found

    def precheck(self, token: object) -> Failed | str:
        checked = Upstream.precheck(self, token)
        if isinstance(checked, Failed):
            return checked
        if re.fullmatch(rf"(?:{self.token_pattern})\.(?:0|[1-9][0-9]{{0,19}})", checked, re.ASCII):
            return checked
        return Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))

    def request(self, submission: Submission) -> HttpRequest:
        authorization = ("Authorization", f"Bearer {self.revealed_secret}")
        return json_request(self.url, {"response": submission.token}, (authorization,))

    def read(self, reply: HttpReply) -> Verdict:
        answer = None if reply.status == 429 or reply.status >= 500 else json_object(reply.body)
        if answer is None:
            return no_verdict(reply)
        said = words(answer.get("error_code"))
        if reply.status == 200:
            return self._passed(answer) if answer.get("success") is True else refused(said, self.codes)
        if 400 <= reply.status <= 499:
            return self._complaint(said, reply)
        return no_verdict(reply)

    def _complaint(self, said: tuple[str, ...], reply: HttpReply) -> Failed | Misconfigured:
        accused = any(self.codes.get(word) is Reason.TOKEN_REJECTED for word in said)
        return refused(said, self.codes) if accused else Misconfigured(said or (f"http-{reply.status}",))

    def _passed(self, answer: Answer) -> Passed:
        over_limit: Mapping[str, object] = {
            "over_limit": True,
            "warning": "the project is past its monthly quota",
        }
        return Passed(self.kind, details=over_limit if answer.get("over_limit") is True else {})
