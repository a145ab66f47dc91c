"""Django's admin with a captcha at its login: `GuardedAdmin` of here, in place of `django.contrib.admin`."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class GuardedAdmin(AdminConfig):
    default_site = "caputchin_gate.django.admin_site.GuardedAdminSite"
