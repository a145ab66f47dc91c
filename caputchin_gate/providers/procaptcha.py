"""Prosopo Procaptcha's siteverify (procaptcha.md).

Three things set it apart: `verified` is the decision, not `success`; `verified: true` with `score: 0` means that
nobody looked (section 4); and after some 5xx it may be asked again (section 5). A score of 1 is a bot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, assert_never

from caputchin_gate.errors import Problem
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import BLANKS, Retry, Submission, Upstream
from caputchin_gate.providers._asking import address_text, email_domain, json_request
from caputchin_gate.providers._reading import Answer, is_score, json_object, no_verdict, number, refused, text, words
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict
from caputchin_gate.widgets import MODULE, Widget

RETRY_AFTER: Final = 0.25
NODE_PATIENCE: Final = 5.0  # seconds the front waits for its node before it answers with the fail-open signal
WRAPPING: Final = 1024  # characters a JSON object may add to the token it holds

# These two mean the same with any status; all others only with a 4xx.
ANY_STATUS: Final = frozenset(
    {"API.PROVIDER_VERIFY_FAILED", "API.SITE_KEY_NOT_REGISTERED", "GENERAL.MISSING_SECRET_KEY"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Procaptcha(Upstream):
    """on_fail_open:   the fail-open signal is an outage ("policy"), a pass ("accept") or a refusal ("reject")
    max_score:      refuse what is more bot-like than this, 0 to 1; only paying tiers get scores
    send_remote_ip: send the visitor's address too, for the tiers that check it
    """

    kind: ClassVar = "procaptcha"
    reports: ClassVar = frozenset({"min_score", "max_score"})
    endpoints: ClassVar = {"global": "https://api.prosopo.io/siteverify"}
    codes: ClassVar = {
        "API.MISSING_BODY": Reason.MISCONFIGURED,
        "API.PARSE_ERROR": Reason.MISCONFIGURED,
        "CAPTCHA.PARSE_ERROR": Reason.MISCONFIGURED,
        "API.INVALID_BODY": Reason.MISCONFIGURED,
        "API.INVALID_SITE_KEY": Reason.MISCONFIGURED,
        "API.SITE_KEY_NOT_REGISTERED": Reason.MISCONFIGURED,
        "API.PROVIDER_VERIFY_FAILED": Reason.TOKEN_REJECTED,
        "API.UNKNOWN_ERROR": Reason.TOKEN_REJECTED,
        "API.UNKNOWN": Reason.TOKEN_REJECTED,
        "API.BAD_REQUEST": Reason.TOKEN_REJECTED,
        "GENERAL.MISSING_SECRET_KEY": Reason.MISCONFIGURED,
    }
    secret_codes: ClassVar = frozenset({"GENERAL.MISSING_SECRET_KEY"})  # the others name the token's site key
    max_attempts: ClassVar = 5
    max_token: ClassVar = 16384
    token_shape: ClassVar = re.compile(r"0x[0-9a-fA-F]+")
    test_keys: ClassVar = frozenset(
        {"5EARALUe4HXQwKo5KanZSGGKqJV4VTaytpezFwv8ZHbZewmh", "5ETtechmZkn3CUVeJX7Z511oiuiu742aHLm91D5ZZw4fqoAG"}
    )

    timeout: float = 8.0
    token_field: str = "procaptcha-response"
    attempts: int = 2
    on_fail_open: Literal["policy", "accept", "reject"] = "policy"
    max_score: float | None = None
    send_remote_ip: bool = False

    @property
    def widget(self) -> Widget:
        """By the provider's documentation of rendering in the page."""
        return Widget(
            token_field="procaptcha-response",
            script="https://js.prosopo.io/js/procaptcha.bundle.js",
            loading=MODULE,
            element="div",
            attributes={"class": "procaptcha"},
            names={"site_key": "data-sitekey"},
            prefix="data-",
            needs={"site_key": "or set the provider's site_key"},
        )

    def problems(self) -> list[Problem]:
        found = Upstream.problems(self)
        if self.on_fail_open not in ("policy", "accept", "reject"):
            found.append(Problem("on_fail_open", "is unknown", "use 'policy', 'accept' or 'reject'"))
        if self.max_score is not None and not is_score(self.max_score):
            found.append(Problem("max_score", "is not a score", "use a number from 0 to 1, where 1 is a bot"))
        return found

    def warnings(self) -> list[str]:
        found = Upstream.warnings(self)
        if self.timeout <= NODE_PATIENCE:
            found.append(f"timeout is not above {NODE_PATIENCE:g} seconds: every slow node becomes an outage")
        if self.on_fail_open == "accept":
            found.append("on_fail_open is 'accept': visitors pass unchecked while the provider is in trouble")
        return found

    def precheck(self, token: object) -> Failed | str:
        checked = Upstream.precheck(self, self._unwrapped(token))
        if isinstance(checked, str) and not self.allow_test_keys and self._is_of_a_test_key(checked):
            return Failed(Reason.TOKEN_ELSEWHERE, ("test-site-key",))
        return checked

    def _unwrapped(self, token: object) -> object:
        """Some pages post the token itself, some a JSON object around it (section 2)."""
        match token:
            case str() if token.strip(BLANKS).startswith("{") and len(token) <= self.max_token + WRAPPING:
                wrapping = json_object(token.encode("utf-8", "replace")) or {}
                return text(wrapping.get("token")) or token
            case _:
                return token

    def _is_of_a_test_key(self, token: str) -> bool:
        """A token names its site key, and nodes pass the reserved ones before they check any signature (section 6)."""
        lowered = token.lower()
        return any(key.encode().hex() in lowered for key in self.test_keys)

    def request(self, submission: Submission) -> HttpRequest:
        fields = {"secret": self.revealed_secret, "token": submission.token}
        if self.send_remote_ip and (address := address_text(submission.remote_ip)):
            fields["ip"] = address
        if domain := email_domain(submission.email):
            fields["email"] = domain
        return json_request(self.url, fields)

    def read(self, reply: HttpReply) -> Verdict | Retry:
        answer = json_object(reply.body)
        if reply.status == 200:
            return no_verdict(reply) if answer is None or "verified" not in answer else self._verified(answer)
        return self._error(reply, _error_key(answer or {}))

    def _verified(self, answer: Answer) -> Verdict:
        if answer["verified"] is not True:
            return Failed(Reason.TOKEN_REJECTED, words(answer.get("reason")))
        score = number(answer.get("score"))
        if score == 0:
            return self._fail_open()
        if self.max_score is None:
            return Passed(self.kind, score=score)
        if score is None:
            return Misconfigured(("score-missing",))  # a tier without scores
        return Passed(self.kind, score=score) if score <= self.max_score else Failed(Reason.SCORE_TOO_LOW)

    def _fail_open(self) -> Verdict:
        match self.on_fail_open:
            case "policy":
                return Unavailable(Cause.FAIL_OPEN, codes=("provider-fail-open",))
            case "accept":
                flags: Mapping[str, Any] = {
                    "provider_fail_open": True,
                    "warning": "the provider let a visitor in unchecked",
                }
                return Passed(self.kind, score=0.0, details=flags)
            case "reject":
                return Failed(Reason.TOKEN_REJECTED, ("provider-fail-open",))
            case _:
                assert_never(self.on_fail_open)

    def _error(self, reply: HttpReply, key: str | None) -> Verdict | Retry:
        if key in ANY_STATUS:
            return refused((key,), self.codes)
        if reply.status == 500 and key == "API.BAD_REQUEST":
            # A crafted token provokes it, so it must not end as an outage.
            return Retry(RETRY_AFTER, otherwise=refused((key,), self.codes))
        if reply.status >= 500:
            return Retry(RETRY_AFTER, otherwise=no_verdict(reply))
        if 400 <= reply.status <= 499 and reply.status != 429 and key:
            return refused((key,), self.codes)
        return no_verdict(reply)


def _error_key(answer: Answer) -> str | None:
    error = answer.get("error")
    return next(iter(words(error.get("key"))), None) if isinstance(error, dict) else None
