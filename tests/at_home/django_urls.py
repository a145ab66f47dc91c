"""The echo as views of Django, marked or not: which, the settings of `django_site.py` say."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from caputchin_gate.django import decision_of, require_human
from tests import echo
from tests.at_home import MARKED


def body_of(request: HttpRequest) -> bytes:
    """Django takes a body of WSGI that goes in chunks for none, gate or no gate; the server's stream has it."""
    if "CONTENT_LENGTH" in request.META or "wsgi.input" not in request.META:
        return bytes(request.read())
    return bytes(request.META["wsgi.input"].read()) if request.META.get("wsgi.input_terminated") else b""


@csrf_exempt
def tell(request: HttpRequest, **variables: str) -> HttpResponse:
    echo.begun += 1
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    answer = echo.description([body_of(request)], decision_of(request), headers)
    return HttpResponse(b"" if request.method == "HEAD" else answer, content_type="application/json")


def counts(name: str) -> Iterator[object]:
    yield path(name, lambda request: HttpResponse(str(getattr(echo, name))))


def marked() -> Iterator[object]:
    for route, options in MARKED:
        yield path(route[1:].replace("{", "<").replace("}", ">"), require_human(**options)(tell))


urlpatterns = [
    *counts("runs"),
    *counts("begun"),
    *(marked() if settings.MARKED else ()),
    path("", tell),
    path("<path:rest>", tell),
]
