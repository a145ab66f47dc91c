"""A form field that is valid if a person filled the form in: the gate's decision, as a mistake of the form.

    class SignUp(forms.Form):
        name = forms.CharField()
        captcha = CaptchaField()

A decision about the request counts, be it of a rule or of a mark; where there is none, the field has the token verified
itself, once for all forms of the request. `cleaned_data["captcha"]` is the decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import get_script_prefix
from django.utils.asyncio import async_unsafe
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from caputchin_gate.client_address import client_of
from caputchin_gate.django.current import current, decision_at_view, decision_on_path, head_in
from caputchin_gate.django.gates import Forms, site_gate
from caputchin_gate.doors import DECISION
from caputchin_gate.refusals import field_text_of
from caputchin_gate.verdict import Decision


class CaptchaWidget(forms.Widget):
    """What a form with a captcha has in the page: the widget of the provider, see `Gate.captcha_widget`.

    attrs: of the hidden field by which the gate's own widget finds the form
    said:  what `Gate.captcha_widget` takes: `script`, `provider`, `site_key`, `locale`, attributes
    """

    def __init__(self, attrs: Mapping[str, Any] | None = None, **said: Any) -> None:
        super().__init__(attrs)
        self.said = said

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return data.get(site_gate().token_field)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def use_required_attribute(self, initial: Any) -> bool:
        return False

    def id_for_label(self, id_: str) -> str:
        return ""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        shown = widget_html(page_nonce(), self.said)
        if not site_gate().marks_forms(self.said.get("provider")):
            return shown
        field = {"type": "hidden", "name": site_gate().token_field, "data-captcha": "", **self.attrs}
        return format_html("{}<input{}> <span data-captcha-status></span>", shown, _written(field))


class CaptchaField(forms.Field):
    """Is valid if the gate admits the request. What it cleans to is the decision.

    label: none, because there is nothing to fill in
    error_messages: texts of your own, by the reason of the decision, as in {"token-missing": "..."}
    options: of any field of Django
    """

    widget = CaptchaWidget

    def __init__(self, *, label: str = "", **options: Any) -> None:
        Forms.have_fields = True
        super().__init__(label=label, required=True, **options)

    def clean(self, value: Any) -> Decision:
        decision = decided(value)
        if not decision.admitted:
            told = self.error_messages.get(decision.reason) or field_text_of(decision, get_language())
            raise ValidationError(told, code=decision.reason)
        return decision

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


def decided(token: Any) -> Decision:
    """The decision about the request that is being answered; where there is none, about the token."""
    now = current()
    if now is None:
        return _decide(token, None)
    decision = decision_at_view(now.request) if now.request is not None else decision_on_path(now.record)
    if decision is None:
        decision = _decide(token, client_of(head_in(now.record), site_gate().trusted_proxies))
        now.record[DECISION] = decision
    return decision


def _decide(token: Any, remote_ip: str | None) -> Decision:
    why = "A captcha field that verifies its token blocks. In an async view mark the view too, with @require_human."
    decision: Decision = async_unsafe(why)(site_gate().decide)(token, remote_ip=remote_ip)
    return decision


# In the page


def widget_html(nonce: str | None, said: Mapping[str, Any]) -> SafeString:
    """See `Gate.captcha_widget`, which raises ConfigurationError with what is missing."""
    root = get_script_prefix().rstrip("/")
    return SafeString(site_gate().captcha_widget(**{"root": root, "nonce": nonce, **said}))


def page_nonce() -> str | None:
    """The nonce of the page's content security policy, where its request is known and a policy has one."""
    now = current()
    return nonce_of(now.request) if now is not None else None


def nonce_of(request: Any) -> str | None:
    nonce = getattr(request, "csp_nonce", None) or getattr(request, "_csp_nonce", None)
    return str(nonce) if nonce else None


def _written(attributes: Mapping[str, Any]) -> SafeString:
    shown = ((name, value) for name, value in attributes.items() if value is not None and value is not False)
    return format_html_join("", ' {}="{}"', shown)
