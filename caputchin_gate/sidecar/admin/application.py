"""What the admin address serves: GET only, nothing to be kept by anybody, and constant but for the numbers.

A web page that a name of its own leads here (DNS rebinding) could read them through the browser of somebody on this
machine; so a loopback address answers only to hosts that are no names.
"""

from __future__ import annotations

import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caputchin_gate.sidecar.admin import health
from caputchin_gate.sidecar.admin.dashboard import Dashboard
from caputchin_gate.sidecar.admin.health import Check
from caputchin_gate.sidecar.admin.metrics import Numbers
from caputchin_gate.sidecar.admin.sources import Sources, World
from caputchin_gate.sidecar.ledger import Snapshot

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
UNAVAILABLE: Final = 503

_FOLDER: Final = Path(__file__).parent
_FILES: Final = {"/dashboard.css": "text/css", "/dashboard.js": "text/javascript"}


class Admin:
    """The application, an ASGI one."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._dashboard = Dashboard(sources.service.settings)
        address = sources.service.settings.admin
        own_pages = [
            Route("/", self._page),
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        files = [Route(path, _file(path, kind)) for path, kind in _FILES.items()]
        app = Starlette(routes=[*own_pages, *files])
        app.router.redirect_slashes = False
        names_itself = address is not None and address.path is None and address.is_local
        self._app = _Guarded(app, loopback=names_itself)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def watch(self) -> None:
        """Remember the numbers now and then, so that the dashboard has a past to show."""
        await self._dashboard.remember(self._sources.snapshot)

    async def _page(self, request: Request) -> Response:
        snapshot = await self._sources.snapshot()
        if snapshot is None:
            return PlainTextResponse("The supervisor does not answer.\n", UNAVAILABLE)
        world = await self._sources.world()
        return HTMLResponse(self._dashboard.page(snapshot, world, self._checks(snapshot, world)))

    async def _healthz(self, request: Request) -> Response:
        return _told(health.alive(await self._sources.snapshot()))

    async def _readyz(self, request: Request) -> Response:
        world = await self._sources.world()
        return _told(self._checks(await self._sources.snapshot(), world))

    async def _metrics(self, request: Request) -> Response:
        snapshot = await self._sources.snapshot()
        if snapshot is None:
            return PlainTextResponse("The supervisor does not answer.\n", UNAVAILABLE)
        world = await self._sources.world()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Numbers(snapshot, world, self._checks(snapshot, world), time.monotonic()))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    @staticmethod
    def _checks(snapshot: Snapshot | None, world: World) -> list[Check]:
        return health.ready(snapshot, world, time.monotonic())


def _told(checks: list[Check]) -> Response:
    told = health.told(checks)
    return JSONResponse(told, 200 if told["ok"] else UNAVAILABLE)


def _file(path: str, kind: str) -> Any:
    content = (_FOLDER / path[1:]).read_text(encoding="utf-8")

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


class _Guarded:
    """Who is answered, and the header fields of every answer."""

    def __init__(self, app: ASGIApp, *, loopback: bool) -> None:
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if self._loopback and not _is_no_name(Request(scope).headers.getlist("host")):
            refused = PlainTextResponse("Ask for this by its address, or as localhost.\n", 421)
            await refused(scope, receive, finish)
            return
        await self._app(scope, receive, finish)


def _is_no_name(hosts: list[str]) -> bool:
    """Whether a Host field holds an IP address or localhost: what no name server decides about."""
    if len(hosts) != 1:
        return False
    host, colon, port = hosts[0].rpartition(":")
    host = host if colon and port.isdecimal() else hosts[0]
    if host.lower() == "localhost":
        return True
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
