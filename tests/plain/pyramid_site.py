from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response

from caputchin_gate.wsgi import GateMiddleware
from tests import echo


def count(request: Any) -> Response:
    return Response(str(getattr(echo, request.path[1:])))


def tell(request: Any) -> Response:
    echo.begun += 1
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    told = echo.description([request.body], request.environ.get("caputchin_gate"), headers)
    return Response(told, content_type="application/json", charset="utf-8")


with Configurator() as config:
    for path, view in (("/runs", count), ("/begun", count), ("/*rest", tell)):
        config.add_route(path, path)
        config.add_view(view, route_name=path)
    application = config.make_wsgi_app()

site = GateMiddleware(application, gate=echo.make_gate())
