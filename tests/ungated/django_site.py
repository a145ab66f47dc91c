"""The Django site of both interfaces."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from tests.ungated import note

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="tests", MIDDLEWARE=[], LOGGING_CONFIG=None, USE_I18N=False
)


@csrf_exempt
@require_POST
def django_view(request: HttpRequest, **parameters: str) -> HttpResponse:
    note()
    return HttpResponse("ran")


PATHS = ("login", "api/comments", "t/<str:slug>/reply", "upload")
PATTERNS = ("login", "api/comments", "t/(?P<slug>[^/]+)/reply", "upload")
urlpatterns = [
    *(path(route, django_view) for route in PATHS),
    *(re_path(f"(?i)^{pattern}$", django_view) for pattern in PATTERNS),
]
