import os
from pathlib import Path

BASE = Path(__file__).parent

CAPUTCHIN_GATE = {"provider": {"kind": "caputchin", "verification": "in-process"}}

INSTALLED_APPS = [
    "caputchin_gate.django",
    "caputchin_gate.django.admin_login.GuardedAdmin",  # in place of django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "caputchin_gate.django.GateMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("CLUB_DATABASE", BASE.parent / "club.sqlite3"),
    }
}

ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
DEBUG = True
ROOT_URLCONF = "club.urls"
SECRET_KEY = os.environ.get("CLUB_SECRET_KEY", "for this example alone")
STATIC_URL = "static/"
USE_TZ = True
WSGI_APPLICATION = "club.wsgi.application"
