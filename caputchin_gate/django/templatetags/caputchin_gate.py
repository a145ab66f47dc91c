"""`{% load caputchin_gate %}`, then `{% captcha_widget %}`."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString

from caputchin_gate.django.forms import nonce_of, own_script

register = template.Library()


def captcha_widget(context: Any, *, nonce: str | None = None, **attributes: str) -> SafeString:
    """The script for pages with forms that have `data-captcha`.

    nonce: of the page's content security policy, if neither request nor context has it
    attributes: `locale="de"` becomes `data-locale="de"`
    Raises ConfigurationError when the gate's provider has a widget of its own.
    """
    known = nonce or context.get("csp_nonce") or nonce_of(context.get("request"))
    data = {f"data-{name.replace('_', '-')}": value for name, value in attributes.items()}
    return own_script(str(known) if known else None, data)


register.simple_tag(captcha_widget, takes_context=True)
