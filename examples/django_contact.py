"""A Django site with a contact form, guarded by one line at its end.

pip install caputchin-gate django gunicorn
gunicorn --chdir examples django_contact:application
"""

import secrets
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_POST

from caputchin_gate import Gate
from caputchin_gate.wsgi import GateMiddleware

HERE = Path(__file__).parent

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(50),
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [HERE]}],
)


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "django_contact.html")


@require_POST
def contact(request: HttpRequest) -> HttpResponse:
    return render(request, "django_contact.html", {"message": request.POST["message"]})


urlpatterns = [path("", page), path("contact/", contact)]

# Everything above is the site as it was.
gate = Gate(provider="caputchin", verification="in-process", protect=["POST /contact/"])
application = GateMiddleware(get_wsgi_application(), gate=gate)
