from __future__ import annotations

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from caputchin_gate.wsgi import GateMiddleware
from tests.form_site import OWN_COOKIES, PATHS, answered, make_gate

settings.configure(SECRET_KEY="of the tests", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
django.setup()


def submit(request: HttpRequest) -> HttpResponse:
    status, page = answered(request.path, request.POST.get("address", ""))
    response = HttpResponse(page, status=status, headers={"X-Reason": request.META["caputchin_gate"].reason})
    for name, value in OWN_COOKIES:
        response.set_cookie(name, value)
    return response


urlpatterns = [path(pattern[1:], submit) for pattern in PATHS]
app = GateMiddleware(get_wsgi_application(), gate=make_gate())
