"""The siteverify call of Cap Standalone (cap.md 4). Cap in process is in `engines/` and `endpoints/`.

Its errors are sentences, and its failures are not 200: the sentence tells what they mean, the status only where there
is none. The same sentence stands for a wrong key of ours and for a token of another site, so that one is told apart
before anybody is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from caputchin_gate.errors import Problem
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import json_request
from caputchin_gate.providers._reading import json_object, no_verdict, refused, words
from caputchin_gate.verdict import Failed, Passed, Reason, Verdict
from caputchin_gate.widgets import Widget

ENDPOINT: Final = "data-cap-api-endpoint"
WIDGET: Final = Widget(  # cap.md 7
    token_field="cap-token",
    element="cap-widget",
    names={
        "locale": "data-cap-lang",
        "field": "data-cap-hidden-field-name",
        "required": "required",
        "wasm": "window.CAP_CUSTOM_WASM_URL",
    },
    prefix="data-cap-",
    nonces=("window.CAP_CSS_NONCE", "window.CAP_SCRIPT_NONCE"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap(Upstream):
    kind: ClassVar = "cap"
    codes: ClassVar = {
        "Missing required parameters": Reason.TOKEN_REJECTED,
        "Invalid site key or secret": Reason.MISCONFIGURED,
        "Token not found": Reason.TOKEN_REJECTED,
        "Token expired": Reason.TOKEN_EXPIRED,
    }
    secret_codes: ClassVar = frozenset({"Invalid site key or secret"})
    token_shape: ClassVar = re.compile(r"[!-9;-~]+(?::[!-9;-~]+){2}")

    token_field: str = "cap-token"

    @property
    def widget(self) -> Widget:
        """Pages ask where the gate asks, below the site key. Where they reach the server by another address, they say
        it: `captcha_widget(api_endpoint="https://cap.example/SITEKEY/")`.
        """
        base = self.url.removesuffix("siteverify").removesuffix(f"{self.site_key}/")
        if not self.site_key:
            return replace(WIDGET, needs={"api_endpoint": "or set the provider's site_key"})
        return replace(WIDGET, attributes={ENDPOINT: f"{base}{self.site_key}/"})

    def problems(self) -> list[Problem]:
        found = Upstream.problems(self)
        if ":" in str(self.site_key):
            found.append(Problem("site_key", "is not the key of a site", "copy it from the address that the page uses"))
        return found

    def warnings(self) -> list[str]:
        missing = "site_key is not set: a token of another site will look like a mistake in the settings"
        return [*Upstream.warnings(self), *([] if self.site_key else [missing])]

    def precheck(self, token: object) -> Failed | str:
        checked = Upstream.precheck(self, token)
        if isinstance(checked, str) and self.site_key and checked.partition(":")[0] != self.site_key:
            return Failed(Reason.TOKEN_ELSEWHERE, ("site-mismatch",))
        return checked

    def refuses_secret(self, said: Sequence[str]) -> bool:
        """Without `site_key` a token of another site would look the same."""
        return bool(self.site_key) and Upstream.refuses_secret(self, said)

    def request(self, submission: Submission) -> HttpRequest:
        return json_request(self.url, {"secret": self.revealed_secret, "response": submission.token})

    def read(self, reply: HttpReply) -> Verdict:
        answer = None if reply.status == 429 or reply.status >= 500 else json_object(reply.body)
        if answer is None:
            return no_verdict(reply)
        said = words(answer.get("error"))
        if reply.status == 200:
            return Passed(self.kind) if answer.get("success") is True else refused(said, self.codes)
        if 400 <= reply.status <= 499 and any(word in self.codes for word in said):
            return refused(said, self.codes)
        return no_verdict(reply)
