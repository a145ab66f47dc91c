from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Response, route

from caputchin_gate.asgi import GateMiddleware
from tests import echo
from tests.plain import METHODS


@route(["/", "/{rest:path}"], http_method=list(METHODS), status_code=200)
async def tell(request: Request[Any, Any, Any]) -> Response[bytes]:
    if request.url.path in ("/runs", "/begun"):
        return Response(str(getattr(echo, request.url.path[1:])).encode(), media_type="text/plain")
    echo.begun += 1
    body = await request.body()
    headers = [(name.lower(), value) for name, value in request.headers.multi_items()]
    told = echo.description([body], request.scope.get("caputchin_gate"), headers)
    return Response(told, media_type="application/json")


site = GateMiddleware(Litestar([tell], openapi_config=None), gate=echo.make_gate())
