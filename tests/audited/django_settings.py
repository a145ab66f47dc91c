"""The settings of `django_site.py`: they can't import its views."""

from __future__ import annotations

SECRET_KEY = "of the tests"
ROOT_URLCONF = "tests.audited.django_site"
ALLOWED_HOSTS = ["*"]
LOGGING_CONFIG = None
APPEND_SLASH = True
MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", "django.middleware.common.CommonMiddleware"]
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
USE_TZ = True
