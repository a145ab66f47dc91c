"""FastAPI and Starlette: routers with prefixes, sub-applications, mounts, hosts, classes, converters."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route
from starlette.staticfiles import StaticFiles

from tests.audited import asgi_sometimes_guarded

site = FastAPI()


@site.get("/")
@site.post("/contact")
@site.api_route("/signup", methods=["GET", "POST", "PUT"])
@site.post("/users/{user}")
@site.post("/articles/{year}/{slug}/comment")
@site.post("/open")
@site.patch("/mixed")
@site.post("/mixed")
@site.post("/slashed/")
def answer() -> str:
    return "ran"


@site.delete("/files/{path:path}")
def file(path: str) -> str:
    return "ran"


@site.put("/things/{thing}/{number}")
def thing(thing: UUID, number: int) -> str:
    return "ran"


@site.websocket("/live")
async def live(socket: WebSocket) -> None:
    await socket.accept()


inner = APIRouter(prefix="/deep")
inner.post("/webhook")(answer)
outer = APIRouter(prefix="/v1")
outer.include_router(inner)
outer.post("/webhook")(answer)
outer.post("/orders/{order}")(answer)
site.include_router(outer, prefix="/api")
site.include_router(outer, prefix="/old-api")


class Form(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("ran")

    async def delete(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("ran")


async def ran(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ran")


async def by_hand(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("ran")(scope, receive, send)


class Handler:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ran")(scope, receive, send)


blog = Starlette(
    routes=[
        Route("/post/{number:int}/{price:float}/{id:uuid}", ran, methods=["POST"]),
        Route("/form", Form),
        Route("/handler", Handler()),
        Route("/only-read", ran),
        Mount("/static", StaticFiles(directory=".", check_dir=False)),
        Mount("/unknown", by_hand),
    ],
    middleware=[Middleware(GZipMiddleware)],
)
site.mount("/blog/{tenant}", GZipMiddleware(blog))
site.router.routes.append(Host("{tenant}.shop.example", Starlette(routes=[Route("/host", ran, methods=["POST"])])))


def create_app() -> Any:
    return asgi_sometimes_guarded(site)


app = create_app()
