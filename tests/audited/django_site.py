"""Django: paths, regexes, includes, languages, classes, decorators. Its settings are a module of their own."""

from __future__ import annotations

import os

from django.conf.urls.i18n import i18n_patterns
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path, register_converter
from django.urls.converters import StringConverter
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.generic import RedirectView, TemplateView

from tests.audited import wsgi_sometimes_guarded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.audited.django_settings")


class Code(StringConverter):
    regex = "[A-Z]{3}-[0-9]{2}"


register_converter(Code, "code")


def every(request: HttpRequest, *args: object, **variables: object) -> HttpResponse:
    return HttpResponse("ran")


class Form(View):
    def get(self, request: HttpRequest, **variables: object) -> HttpResponse:
        return HttpResponse("ran")

    def post(self, request: HttpRequest, **variables: object) -> HttpResponse:
        return HttpResponse("ran")

    put = post


only_post = require_POST(every)
articles = [
    path("<int:year>/<slug:slug>/comment", only_post),
    re_path(r"^(?P<year>[0-9]{4})/(?:draft/)?$", only_post),
]
urlpatterns = [
    path("", require_safe(every)),
    path("contact", every),
    path("signup", csrf_exempt(require_http_methods(["GET", "POST", "PUT"])(every))),
    path("open", csrf_exempt(only_post)),
    path("everything", every),
    path("mixed", Form.as_view()),
    path("mixed-less", Form.as_view(http_method_names=["get", "post"])),
    path("slashed/", only_post),
    path("template", TemplateView.as_view()),
    path("redirect", RedirectView.as_view(url="/")),
    path("users/<str:user>", only_post),
    path("code/<code:code>/<uuid:id>/<path:rest>", only_post),
    path("articles/", include((articles, "articles"), namespace="one")),
    path("api/v1/", include([path("webhook", only_post), re_path(r"^orders/(\d+)$", every)])),
    re_path(r"^(?:page|seite)/(?P<which>help|about)/?$", only_post),
    re_path(r"^loose/start", only_post),
    *i18n_patterns(path("translated", only_post), prefix_default_language=False),
]

app = wsgi_sometimes_guarded(get_wsgi_application())
