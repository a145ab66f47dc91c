"""Friendly Captcha's siteverify, version 2 (others.md 5). The API key is a header and never in the body.

The provider's own clients accept whatever they get no verdict about. Here that is an outage, or a mistake of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import json_request
from caputchin_gate.providers._reading import (
    Answer,
    in_trouble,
    json_object,
    no_verdict,
    refused,
    text,
    unix_time,
    words,
)
from caputchin_gate.verdict import Misconfigured, Passed, Reason, Verdict
from caputchin_gate.widgets import MODULE, Widget


@dataclass(frozen=True, slots=True, kw_only=True)
class FriendlyCaptcha(Upstream):
    """`secret`: an API key of your account; the same is good for all of its sites."""

    kind: ClassVar = "friendly"
    reports: ClassVar = frozenset({"hostnames", "max_age"})
    endpoints: ClassVar = {
        "global": "https://global.frcapi.com/api/v2/captcha/siteverify",
        "eu": "https://eu.frcapi.com/api/v2/captcha/siteverify",
    }
    codes: ClassVar = {
        "auth_required": Reason.MISCONFIGURED,
        "auth_invalid": Reason.MISCONFIGURED,
        "sitekey_invalid": Reason.MISCONFIGURED,
        "bad_request": Reason.MISCONFIGURED,
        "response_missing": Reason.TOKEN_REJECTED,
        "response_invalid": Reason.TOKEN_REJECTED,
        "response_timeout": Reason.TOKEN_EXPIRED,
        "response_duplicate": Reason.TOKEN_USED,
    }
    secret_codes: ClassVar = frozenset({"auth_required", "auth_invalid", "http-401"})
    max_token: ClassVar = 8192

    token_field: str = "frc-captcha-response"

    @property
    def widget(self) -> Widget:
        """By the package of the provider's script, and its documentation."""
        return Widget(
            token_field="frc-captcha-response",
            script="https://cdn.jsdelivr.net/npm/@friendlycaptcha/sdk@1/site.min.js",
            loading=MODULE,
            element="div",
            attributes={"class": "frc-captcha", "data-api-endpoint": "eu" if self.endpoint == "eu" else None},
            names={"site_key": "data-sitekey", "locale": "data-lang", "field": "data-form-field-name"},
            prefix="data-",
            needs={"site_key": "or set the provider's site_key"},
        )

    def warnings(self) -> list[str]:
        missing = "site_key is not set: tokens of all sites of the account are good here"
        return [*Upstream.warnings(self), *([] if self.site_key else [missing])]

    def request(self, submission: Submission) -> HttpRequest:
        fields = {"response": submission.token}
        if self.site_key:
            fields["sitekey"] = self.site_key
        return json_request(self.url, fields, (("X-API-Key", self.revealed_secret),))

    def read(self, reply: HttpReply) -> Verdict:
        answer = json_object(reply.body)
        if answer is None:
            return no_verdict(reply)
        if reply.status == 200 and answer.get("success") is True:
            return self._passed(answer)
        said = words(_member(answer, "error").get("error_code"))
        if reply.status == 200 or (answer.get("success") is False and not self.codes.keys().isdisjoint(said)):
            return refused(said, self.codes)
        if said and 400 <= reply.status <= 499 and not in_trouble(reply):
            return Misconfigured(said)
        return no_verdict(reply)

    def _passed(self, answer: Answer) -> Passed:
        data = _member(answer, "data")
        challenge = _member(data, "challenge")
        event = text(data.get("event_id"))
        return Passed(
            self.kind,
            issued_at=unix_time(challenge.get("timestamp")),
            hostname=_host_of(challenge.get("origin")),
            details={"event_id": event} if event is not None else {},
        )


def _member(answer: Answer, name: str) -> Answer:
    found: Any = answer.get(name)
    return found if isinstance(found, dict) else {}


def _host_of(origin: object) -> str | None:
    try:
        return urlsplit(origin).hostname if isinstance(origin, str) else None
    except ValueError:
        return None
