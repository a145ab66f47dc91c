"""mCaptcha's siteverify (others.md 7), of an instance of your own. Asking spends the token.

The yes is `valid`, and a 404 has two meanings, which its sentence tells apart: a site key that is not known, which is
a mistake of ours, or a token that is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final
from urllib.parse import urlencode, urlsplit

from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.providers import Submission, Upstream
from caputchin_gate.providers._asking import json_request
from caputchin_gate.providers._reading import json_object, no_verdict, words
from caputchin_gate.verdict import Failed, Misconfigured, Passed, Reason, Verdict
from caputchin_gate.widgets import Widget

PATH: Final = "/api/v1/pow/siteverify"
ADDRESS: Final = "data-mcaptcha_url"
WIDGET: Final = Widget(  # by the package of its script: a hidden label with the field, and where the frame is put
    token_field="mcaptcha__token",
    script="https://unpkg.com/@mcaptcha/vanilla-glue@0.1.0-rc2/dist/index.js",
    element="label",
    attributes={"id": "mcaptcha__token-label", "for": "mcaptcha__token"},
    inside='<input name="mcaptcha__token" id="mcaptcha__token">',
    after='<div id="mcaptcha__widget-container"></div>',
    names={"widget_url": ADDRESS},
    prefix=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MCaptcha(Upstream):
    """`endpoint`: the address of your instance; where it is asked is known, so its host is enough."""

    kind: ClassVar = "mcaptcha"
    codes: ClassVar = {
        "Wrong password": Reason.MISCONFIGURED,
        "Captcha not found.": Reason.MISCONFIGURED,
        "Token not found": Reason.TOKEN_REJECTED,
    }
    secret_codes: ClassVar = frozenset({"Wrong password", "http-401"})
    needs_site_key: ClassVar = True

    token_field: str = "mcaptcha__token"

    @property
    def url(self) -> str:
        try:
            bare = bool(self.endpoint) and urlsplit(self.endpoint).path in ("", "/")
        except ValueError:  # told by `problems`
            return self.endpoint
        return self.endpoint.rstrip("/") + PATH if bare else self.endpoint

    @property
    def widget(self) -> Widget:
        """Where visitors reach the instance by another address than the gate, pages say it:
        `captcha_widget(widget_url="https://mcaptcha.example/widget/?sitekey=...")`.
        """
        base = self.url.removesuffix(PATH)
        return replace(WIDGET, attributes={**WIDGET.attributes, ADDRESS: f"{base}/widget/?{_query(self.site_key)}"})

    def request(self, submission: Submission) -> HttpRequest:
        fields = {"secret": self.revealed_secret, "key": self.site_key, "token": submission.token}
        return json_request(self.url, fields)

    def read(self, reply: HttpReply) -> Verdict:
        answer = json_object(reply.body)
        match reply.status:
            case 200 if answer is not None:
                return Passed(self.kind) if answer.get("valid") is True else Failed(Reason.TOKEN_REJECTED)
            case 401 | 404 if answer is not None and (said := words(answer.get("error"))):
                is_about_the_token = reply.status == 404 and said[0].startswith("Token")
                return Failed(Reason.TOKEN_REJECTED, said) if is_about_the_token else Misconfigured(said)
            case _:
                return no_verdict(reply)


def _query(site_key: str) -> str:
    return urlencode({"sitekey": site_key})
