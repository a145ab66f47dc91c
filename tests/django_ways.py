"""Sites of Django in this process, one after the other, and the ways to guard them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes, urlencode

import django
from werkzeug.test import Client

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.audited.django_settings")
django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.test import override_settings  # noqa: E402

from caputchin_gate.django import site_gate, wrap  # noqa: E402
from tests import echo  # noqa: E402

DOOR: Final = "caputchin_gate.django.GateMiddleware"
INSTALLED: Final = ("caputchin_gate.django",)
WAYS: Final = ("wsgi-middleware", "wsgi-wrap", "asgi-middleware", "asgi-wrap")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> list[str]:
        return [value for own, value in self.headers if own.lower() == name]


@contextmanager
def settings_of(urls: Sequence[Any], protect: Sequence[Any] = (), **settings: Any) -> Iterator[None]:
    """urls: the URLconf; protect: the rules beside its marks"""
    gate = {**echo.settings(protect), **settings.pop("gate", {})}
    own = {
        "ROOT_URLCONF": tuple(urls),
        "CAPUTCHIN_GATE": gate,
        "INSTALLED_APPS": INSTALLED,
        "MIDDLEWARE": [],
    }
    with override_settings(**{**own, **settings}):
        yield


class Site:
    """way: an interface and a door, "none" for no door"""

    def __init__(self, way: str, middleware: Sequence[str] = ()) -> None:
        self.interface, door = way.split("-")
        with override_settings(MIDDLEWARE=[*([DOOR] if door == "middleware" else []), *middleware]):
            handler: Any = WSGIHandler() if self.interface == "wsgi" else ASGIHandler()
        self.app = wrap(handler) if door == "wrap" else handler

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        root_path: str = "",
    ) -> Answer:
        if self.interface == "asgi":
            return asyncio.run(_ask(self.app, method, path, body, headers or {}, root_path))
        url, _, query = path.partition("?")
        decoded = unquote_to_bytes(url).decode("latin-1")
        environ = {"SCRIPT_NAME": root_path, "PATH_INFO": decoded, "RAW_URI": root_path + path}
        response = Client(self.app, use_cookies=False).open(
            method=method, query_string=query, data=body, headers=dict(headers or {}), environ_overrides=environ
        )
        return Answer(response.status_code, list(response.headers), response.data)

    def post(self, path: str, token: str | None = None, **fields: str) -> Answer:
        """A form, from a client that reads JSON."""
        data = {"name": "Ann", **fields, **({"caputchin-token": token} if token else {})}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return self.send("POST", path, urlencode(data).encode(), headers)


async def _ask(app: Any, method: str, path: str, body: bytes, headers: Mapping[str, str], root_path: str) -> Answer:
    url, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": root_path + unquote(url),
        "raw_path": (root_path + url).encode(),
        "root_path": root_path,
        "query_string": query.encode(),
        "headers": [
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
            *([(b"content-length", str(len(body)).encode())] if body else []),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    pieces = [body[at : at + 7000] for at in range(0, len(body), 7000)] or [b""]
    over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}
        await over.wait()
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    over.set()
    start, *rest = sent
    headers_sent = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], headers_sent, b"".join(message.get("body", b"") for message in rest))


__all__ = ["DOOR", "INSTALLED", "WAYS", "Answer", "Site", "settings_of", "site_gate"]
