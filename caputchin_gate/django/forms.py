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
from caputchin_gate.django.current import DECISION, current, decision_in, head_in
from caputchin_gate.django.gates import Forms, site_gate
from caputchin_gate.refusals import field_text_of
from caputchin_gate.verdict import Decision


class CaptchaWidget(forms.Widget):
    """What a form with a captcha has in the page.

    Without a script it is the gate's own widget, for in-process verification. For a provider's own widget, `script` is
    the address of its script, and `attrs` are what its element has, as the provider says.

    element: the provider's element, if it is another one than `div`
    """

    def __init__(
        self, attrs: Mapping[str, Any] | None = None, *, script: str | None = None, element: str = "div"
    ) -> None:
        super().__init__(attrs)
        self.script = script
        self.element = element

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return data.get(site_gate().token_field)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def use_required_attribute(self, initial: Any) -> bool:
        return False

    def id_for_label(self, id_: str) -> str:
        return ""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        attributes = (
            self.attrs
        )  # those of Django are for what people fill in: an id for the label, the field's mistakes
        if self.script is not None:
            tag = script_tag({"src": self.script, "nonce": page_nonce()})
            element = format_html("<{0}{1}></{0}>", self.element, _written(attributes))
        else:
            tag = own_script(page_nonce())
            field = {"type": "hidden", "name": site_gate().token_field, "data-captcha": "", **attributes}
            element = format_html("<input{}> <span data-captcha-status></span>", _written(field))
        return format_html("{}{}", tag, element)


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
    decision = decision_in(now.record)
    if decision is None:
        decision = _decide(token, client_of(head_in(now.record), site_gate().trusted_proxies))
        now.record[DECISION] = decision
    return decision


def _decide(token: Any, remote_ip: str | None) -> Decision:
    why = "A captcha field that verifies its token blocks. In an async view mark the view too, with @require_human."
    decision: Decision = async_unsafe(why)(site_gate().decide)(token, remote_ip=remote_ip)
    return decision


# In the page


def own_script(nonce: str | None, attributes: Mapping[str, str] | None = None) -> SafeString:
    """Raises ConfigurationError when the gate's provider has a widget of its own."""
    script = dict(site_gate().widget())
    script["src"] = get_script_prefix().rstrip("/") + script["src"]
    return script_tag({**script, "nonce": nonce, **(attributes or {})})


def script_tag(attributes: Mapping[str, str | None]) -> SafeString:
    return format_html("<script{} defer></script>", _written(attributes))


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
