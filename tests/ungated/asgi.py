"""The ASGI applications, see the package."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from quart import Quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from tests.ungated import MOUNT, django_site, note, ran, running

assert django_site.urlpatterns


async def view(request: Request) -> Response:
    note()
    return PlainTextResponse("ran")


async def fastapi_view() -> str:
    note()
    return "ran"


paths = ("/login", "/api/comments", "/t/{slug}/reply", "/upload")
routes = [Route(pattern, view, methods=["POST"]) for pattern in paths]
fastapi = FastAPI(openapi_url=None)
for pattern in paths:
    fastapi.post(pattern)(fastapi_view)
quart = Quart("ungated", static_folder=None)


async def quart_view(**parameters: str) -> str:
    note()
    return "ran"


for number, pattern in enumerate(("/login", "/api/comments", "/t/<slug>/reply", "/upload")):
    quart.add_url_rule(pattern, f"view{number}", quart_view, methods=["POST"])
apps: dict[str, Any] = {
    "starlette": Starlette(routes=routes),
    "starlette-below": Starlette(routes=[Mount(MOUNT, routes=routes)]),
    "fastapi": fastapi,
    "quart": quart,
    "django": get_asgi_application(),
}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    raw_path = scope.get("raw_path")
    head = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": None if raw_path is None else raw_path.decode("latin-1"),
        "root_path": scope.get("root_path", ""),
        "query": scope["query_string"].decode("latin-1"),
        "headers": {name.decode("latin-1"): [value.decode("latin-1")] for name, value in scope["headers"]},
    }
    ran.set(set())
    for name, app in apps.items():
        running.set(name)
        body = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def read(body: Any = body) -> dict[str, Any]:
            message: dict[str, Any] | None = next(body, None)
            return message or await asyncio.get_running_loop().create_future()

        async def ignore(message: dict[str, Any]) -> None:
            pass

        await app({**scope, "state": {}}, read, ignore)
    answer = json.dumps({"head": head, "ran": sorted(ran.get())}).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": answer})
