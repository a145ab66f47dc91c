"""`wrap`: the gate around a whole Django application, outside of all of its middleware."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.conf import settings

from caputchin_gate import asgi, wsgi
from caputchin_gate.django.current import answering
from caputchin_gate.django.gates import site_gate

A = TypeVar("A")


def wrap(application: A) -> A:
    """The application with the gate in front of it; for `get_wsgi_application()` and `get_asgi_application()`, and for
    what others have put around these.

    Raises ConfigurationError where settings or marks are wrong, so that such a site does not start.
    """
    is_asgi = iscoroutinefunction(application) or iscoroutinefunction(getattr(application, "__call__", None))  # noqa: B004
    kind: Any = WrappedAsgi if is_asgi else WrappedWsgi
    wrapped: A = kind(application)
    return wrapped


class WrappedWsgi:
    def __init__(self, application: wsgi.Application) -> None:
        self.app = wsgi.GateMiddleware(application, gate=site_gate())

    def __call__(self, environ: wsgi.Environ, start_response: wsgi.StartResponse) -> Iterable[bytes]:
        with answering(environ):
            return self.app(environ, start_response)


class WrappedAsgi:
    def __init__(self, application: asgi.Application) -> None:
        self.app = asgi.GateMiddleware(application, gate=site_gate())

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if settings.FORCE_SCRIPT_NAME and "path" in scope:  # Django cuts this off the path, whatever the server says
            scope = {**scope, "root_path": settings.FORCE_SCRIPT_NAME}
        with answering(scope):
            await self.app(scope, receive, send)
