"""`{% load caputchin_gate %}`, then `{% captcha_widget %}`."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString

from caputchin_gate.django.forms import nonce_of, widget_html

register = template.Library()


def captcha_widget(context: Any, *, nonce: str | None = None, **said: Any) -> SafeString:
    """The widget of a guarded form, `<form data-captcha>{% captcha_widget %}...`: see `Gate.captcha_widget`.

    nonce: of the page's content security policy, if neither request nor context has it
    """
    known = nonce or context.get("csp_nonce") or nonce_of(context.get("request"))
    return widget_html(str(known) if known else None, said)


register.simple_tag(captcha_widget, takes_context=True)
