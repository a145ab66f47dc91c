"""The WSGI applications, see the package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from bottle import Bottle
from django.core.wsgi import get_wsgi_application
from flask import Flask
from pyramid.config import Configurator
from pyramid.response import Response as PyramidResponse
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wrappers import Response

from tests.ungated import MOUNT, django_site, note, ran, running

assert django_site.urlpatterns


def make_flask() -> Flask:
    app = Flask("ungated")
    for number, route in enumerate(("/login", "/api/comments", "/t/<slug>/reply", "/upload")):

        def view(**parameters: str) -> str:
            note()
            return "ran"

        app.add_url_rule(route, f"view{number}", view, methods=["POST"])
    return app


def make_bottle() -> Bottle:
    app = Bottle()

    def view(**parameters: str) -> str:
        note()
        return "ran"

    for route in ("/login", "/api/comments", "/t/<slug>/reply", "/upload"):
        app.post(route, callback=view)
    return app


def pyramid_view(request: Any) -> PyramidResponse:
    note()
    return PyramidResponse("ran")


def make_pyramid() -> Callable[..., Iterable[bytes]]:
    with Configurator() as config:
        for route in ("/login", "/api/comments", "/t/{slug}/reply", "/upload"):
            config.add_route(route, route)
            config.add_view(pyramid_view, route_name=route, request_method="POST")
        application: Callable[..., Iterable[bytes]] = config.make_wsgi_app()
    return application


class MethodOverride:
    """What applications put in front of themselves to serve clients that know GET and POST only."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        wanted = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").upper()
        if wanted in {"POST", "PUT", "PATCH", "DELETE"}:
            environ["REQUEST_METHOD"] = wanted
        return self.app(environ, start_response)


flask = make_flask()
apps: dict[str, Any] = {
    "flask": flask,
    "flask-overriding": MethodOverride(flask),
    "flask-below": DispatcherMiddleware(Response("nothing here", 404), {MOUNT: flask}),
    "bottle": make_bottle(),
    "pyramid": make_pyramid(),
    "django": get_wsgi_application(),
}


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    head = {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "raw_path": target.partition("?")[0] if target is not None else None,
        "root_path": environ.get("SCRIPT_NAME", ""),
        "query": environ.get("QUERY_STRING", ""),
        "headers": {
            name[5:].replace("_", "-").lower(): [value] for name, value in environ.items() if name.startswith("HTTP_")
        },
    }
    ran.set(set())
    for name, app in apps.items():
        running.set(name)
        copy = {**environ, "wsgi.input": BytesIO(), "CONTENT_LENGTH": "0"}
        answer = app(copy, lambda *arguments: None)
        b"".join(answer)
        getattr(answer, "close", bool)()
    body = json.dumps({"head": head, "ran": sorted(ran.get())}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
