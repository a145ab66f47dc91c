"""The application of INSTALLED_APPS, for system checks, the template tag and the login of the admin."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class GateConfig(AppConfig):
    name = "caputchin_gate.django"
    label = "caputchin_gate"
    verbose_name = "caputchin_gate"

    def ready(self) -> None:
        from caputchin_gate.django.system_checks import check_site

        checks.register(check_site, checks.Tags.security)
