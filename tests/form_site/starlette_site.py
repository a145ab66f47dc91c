from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from caputchin_gate.asgi import GateMiddleware
from tests.form_site import OWN_COOKIES, PATHS, answered, form, make_gate


async def show(request: Request) -> Response:
    path = request.url.path
    return HTMLResponse(form("/login/" if path == "/login" else path))


async def submit(request: Request) -> Response:
    if "broken" in request.query_params:
        raise RuntimeError("the application fails")
    status, page = answered(request.url.path, str((await request.form()).get("address", "")))

    async def in_pieces() -> AsyncIterator[str]:
        for start in range(0, len(page), 50):
            yield page[start : start + 50]

    headers = {"X-Reason": request.scope["caputchin_gate"].reason}
    response = StreamingResponse(in_pieces(), status, headers, "text/html")
    for name, value in OWN_COOKIES:
        response.set_cookie(name, value)
    return response


routes = [Route(path, view, methods=[method]) for path in PATHS for view, method in ((show, "GET"), (submit, "POST"))]
app = GateMiddleware(Starlette(routes=routes), gate=make_gate())
