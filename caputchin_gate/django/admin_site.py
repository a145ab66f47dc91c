"""The admin's site with a captcha at its login, for `admin_login.py` or a site of your own derived from it."""

from __future__ import annotations

import functools
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from caputchin_gate.django.current import decision_of, head_in, record_of
from caputchin_gate.django.forms import CaptchaField
from caputchin_gate.django.marked import http_response, require_human
from caputchin_gate.refusals import render


class PasswordThenCaptcha(forms.PasswordInput):
    """Django's page shows the two fields that it knows and no others, so the captcha stands behind the second."""

    def __init__(self, captcha: forms.Widget, attrs: Any) -> None:
        super().__init__(attrs)
        self.captcha = captcha

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        password = super().render(name, value, attrs, renderer)
        return SafeString(password + self.captcha.render("captcha", None, None, renderer))


class LoginForm(AdminAuthenticationForm):
    captcha = CaptchaField()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        password = self.fields["password"]
        password.widget = PasswordThenCaptcha(self.fields["captcha"].widget, password.widget.attrs)

    def clean(self) -> Any:
        """Without a token no password is tried, and the page shows why."""
        if "captcha" in self.errors:
            raise ValidationError(self.errors.pop("captcha").as_data())
        return super().clean()


class GuardedAdminSite(AdminSite):
    login_form: type[AdminAuthenticationForm] | None = LoginForm

    @require_human(on_refuse="pass")
    @functools.wraps(AdminSite.login)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """A form that is no `LoginForm` would try passwords whatever was decided: then the gate answers."""
        decision = decision_of(request)
        takes_refusals = issubclass(self.login_form or AdminAuthenticationForm, LoginForm)
        if decision is not None and not (decision.admitted or takes_refusals):
            return http_response(render(decision, head_in(record_of(request))))
        return super().login(request, extra_context)
