"""A Django site that runs on many machines: what one of them has seen, the others know, by Redis.

pip install 'caputchin-gate[redis]' django gunicorn
export GATE_SIGNING_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
gunicorn --chdir examples/many_machines --workers 4 app:application

From one process to many nothing changes but two settings in gate.toml, the same on all machines. The environment may
name another Redis: CAPUTCHIN_GATE_STORE=redis://cache/0
"""

import os
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_POST, require_safe

from caputchin_gate import load_gate
from caputchin_gate.wsgi import GateMiddleware

HERE = Path(__file__).parent
gate = load_gate(HERE / "gate.toml")

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "the same on every machine, and secret"),
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [HERE / "templates"]}],
)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    get_token(request)
    return render(request, "page.html", {"widget": gate.captcha_widget(), "machine": os.getpid()})


@require_POST
def wish(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"wish": request.POST["wish"], "machine": os.getpid()})


urlpatterns = [path("", page), path("wishes", wish)]
application = GateMiddleware(get_wsgi_application(), gate=gate)
