"""Ways to guard a site of Django: through which interface, with which door, by rules or by marks.

tests.at_home.django_site:wsgi_wrap_rules       tests.at_home.django_site:asgi_middleware_marks
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from tests import echo

# Every pair of the three; the eight together would tell nothing more.
WAYS: Final = ("wsgi_wrap_marks", "wsgi_middleware_rules", "asgi_wrap_rules", "asgi_middleware_marks")
HOOKS: Final = "POST /hooks/{name}"


def __getattr__(name: str) -> Any:
    if name in WAYS:
        return site(*name.split("_"))
    raise AttributeError(name)


@cache
def site(interface: str, door: str, rules: str) -> Any:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        CAPUTCHIN_GATE=echo.settings(echo.PROTECT if rules == "rules" else [HOOKS], ["POST /hooks/stripe"]),
        INSTALLED_APPS=["caputchin_gate.django"],
        LOGGING_CONFIG=None,
        MARKED=rules == "marks",
        MIDDLEWARE=["caputchin_gate.django.GateMiddleware"] if door == "middleware" else [],
        ROOT_URLCONF="tests.at_home.django_urls",
        SECRET_KEY="of the tests",
        USE_I18N=False,
    )
    application = get_wsgi_application() if interface == "wsgi" else get_asgi_application()
    if door == "middleware":
        return application
    from caputchin_gate.django import wrap  # Django is set up by now

    return wrap(application)
