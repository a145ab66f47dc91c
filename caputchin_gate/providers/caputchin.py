"""Caputchin's siteverify (caputchin.md 1 to 4). The in-process protocol of its widget is in `engines/`.

`timeout-or-duplicate` does not tell which of the two it was; both are answered as a used token. `platform` is what
the browser claims, so it is recorded and never decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import json_request
from caputchin_gate.providers._reading import Answer, number, siteverify, text
from caputchin_gate.verdict import Passed, Reason, Verdict
from caputchin_gate.widgets import Widget

FIELD: Final = "caputchin-token"
WIDGET: Final = Widget(  # caputchin.md 5
    token_field=FIELD,
    script="https://cdn.jsdelivr.net/npm/@caputchin/widget@3/dist/widget.js",
    element="caputchin-widget",
    names={"site_key": "sitekey", "locale": "locale"},
    needs={"site_key": "or set the provider's site_key, which begins with cpt_pub_"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caputchin(Upstream):
    kind: ClassVar = "caputchin"
    endpoints: ClassVar = {
        "portal": "https://caputchin.com/api/v1/siteverify",
        "classic": "https://api.caputchin.com/siteverify",
        "sdk": "https://verify.caputchin.com/v1/siteverify",
    }
    codes: ClassVar = {
        "missing-input-secret": Reason.MISCONFIGURED,
        "invalid-input-secret": Reason.MISCONFIGURED,
        "missing-input-response": Reason.TOKEN_REJECTED,
        "invalid-input-response": Reason.TOKEN_REJECTED,
        "timeout-or-duplicate": Reason.TOKEN_USED,
        # A wrong pair of keys, or a token that an attacker brought from another site: never an outage (3.3).
        "site-mismatch": Reason.TOKEN_ELSEWHERE,
    }
    secret_codes: ClassVar = frozenset({"missing-input-secret", "invalid-input-secret"})
    max_token: ClassVar = 4096
    secret_shape: ClassVar = re.compile(r"cpt_sec_[!-~]+")
    secret_hint: ClassVar = "which begin with cpt_sec_"
    not_secrets: ClassVar = {"cpt_pub_": "the public site key", "cpt_pat_": "a management token"}

    not_site_keys: ClassVar = {"cpt_sec_": "the secret key", "cpt_pat_": "a management token"}

    token_field: str = FIELD

    @property
    def widget(self) -> Widget:
        return WIDGET

    def request(self, submission: Submission) -> HttpRequest:
        return json_request(self.url, {"secret": self.revealed_secret, "response": submission.token})

    def read(self, reply: HttpReply) -> Verdict:
        return siteverify(reply, self.codes, self._passed)

    def _passed(self, answer: Answer) -> Passed:
        platform = answer.get("platform")
        claims = platform if isinstance(platform, dict) else {}
        details = {
            "game_id": text(claims.get("game_id")),
            "score": number(claims.get("score")),
            "duration_ms": number(claims.get("duration_ms")),
        }
        return Passed(self.kind, details={name: value for name, value in details.items() if value is not None})
