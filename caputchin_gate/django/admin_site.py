"""The admin's site with a captcha at its login, for `admin_login.py` or a site of your own derived from it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from caputchin_gate.django.forms import CaptchaField, CaptchaWidget
from caputchin_gate.django.marked import require_human


class LoginForm(AdminAuthenticationForm):
    """Django's page shows the two fields that it knows and no others, so the captcha is told its form by an id."""

    captcha = CaptchaField(widget=CaptchaWidget({"form": "login-form"}))

    def clean(self) -> Any:
        """Without a token no password is tried, and the page shows why."""
        if "captcha" in self.errors:
            raise ValidationError(self.errors.pop("captcha").as_data())
        return super().clean()


class GuardedAdminSite(AdminSite):
    login_form = LoginForm
    login_template = "caputchin_gate/admin_login.html"
    login = require_human(on_refuse="pass")(AdminSite.login)
