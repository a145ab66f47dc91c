"""ALTCHA Sentinel's check of a signed verification (others.md 6.4). Without a Sentinel there is `engines/altcha/`.

Sentinel forgets which verifications it has seen, so the gate claims them (section 1): under the identity that Sentinel
signed, because the same statement can be spelt in many ways, and for as long as Sentinel says that it is good.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from caputchin_gate.errors import Problem
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._altcha import MAX_PAYLOAD, ServerSignature, payload_of, server_signature_of
from caputchin_gate.providers._asking import json_request
from caputchin_gate.providers._reading import Answer, json_object, no_verdict, number, text, words
from caputchin_gate.verdict import Failed, Passed, Reason, Verdict
from caputchin_gate.widgets import MODULE, Widget

PATH: Final = "/v1/verify/signature"
CLOCKS_DIFFER: Final = 60.0

CHALLENGE: Final = ("challenge", "challengeurl")  # for version 3 of the widget, and for those before it
WIDGET: Final = Widget(  # others.md 6.3, and what the package says about itself
    token_field="altcha", loading=MODULE, element="altcha-widget", names={"locale": "language", "field": "name"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Altcha(Upstream):
    """`endpoint`: the address of your Sentinel; where it is asked is known, so its host is enough."""

    kind: ClassVar = "altcha"
    secret_codes: ClassVar = frozenset({"http-401"})
    single_use: ClassVar = False
    remember: ClassVar = 300.0
    max_token: ClassVar = MAX_PAYLOAD
    token_shape: ClassVar = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")

    token_field: str = "altcha"

    @property
    def url(self) -> str:
        try:
            bare = bool(self.endpoint) and urlsplit(self.endpoint).path in ("", "/")
        except ValueError:  # told by `problems`
            return self.endpoint
        return self.endpoint.rstrip("/") + PATH if bare else self.endpoint

    @property
    def widget(self) -> Widget:
        return replace(WIDGET, needs={"challenge": "where your Sentinel gives challenges, as its documentation says"})

    def problems(self) -> list[Problem]:
        found = Upstream.problems(self)
        if self.site_key:
            found.append(Problem("site_key", "is nothing that pages with ALTCHA name", "remove it"))
        return found

    def precheck(self, token: object) -> Failed | str:
        checked = Upstream.precheck(self, token)
        if isinstance(checked, Failed):
            return checked
        said = _said(checked)
        if said is None:
            return Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))
        if said.names_fields:
            return Failed(Reason.TOKEN_REJECTED, ("fields-not-checked",))
        return checked

    def identity(self, token: str) -> str:
        said = _said(token)
        return token if said is None else said.id

    def claimed_until(self, token: str, now: float) -> float:
        said = _said(token)
        least = now + self.remember
        return least if said is None else max(least, said.expires_at + CLOCKS_DIFFER)

    def born(self, token: str, now: float) -> float:
        said = _said(token)
        return said.issued_at - CLOCKS_DIFFER if said is not None and said.issued_at else 0.0

    def request(self, submission: Submission) -> HttpRequest:
        return json_request(self.url, {"payload": submission.token, "secret": self.revealed_secret})

    def read(self, reply: HttpReply) -> Verdict:
        answer = json_object(reply.body)
        match reply.status:
            case 200 if answer is not None and "verified" in answer:
                return self._passed(answer) if answer["verified"] is True else _rejected(answer.get("reason"))
            case 400 if answer is not None and text(answer.get("error")):
                return _rejected(answer["error"])
            case _:
                return no_verdict(reply)

    def _passed(self, answer: Answer) -> Passed:
        said = answer.get("verificationData")
        members = said if isinstance(said, dict) else {}
        details = {"classification": text(members.get("classification")), "score": number(members.get("score"))}
        return Passed(self.kind, details={name: value for name, value in details.items() if value is not None})


def _said(token: str) -> ServerSignature | None:
    payload = payload_of(token)
    return server_signature_of(payload) if payload else None


def _rejected(reason: Any) -> Failed:
    return Failed(Reason.TOKEN_REJECTED, words(reason))
