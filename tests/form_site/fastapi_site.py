from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from caputchin_gate.asgi import GateMiddleware
from tests.form_site import OWN_COOKIES, PATHS, answered, make_gate

site = FastAPI(openapi_url=None)


async def submit(request: Request) -> HTMLResponse:
    status, page = answered(request.url.path, str((await request.form()).get("address", "")))
    response = HTMLResponse(page, status, {"X-Reason": request.scope["caputchin_gate"].reason})
    for name, value in OWN_COOKIES:
        response.set_cookie(name, value)
    return response


for path in PATHS:
    site.post(path)(submit)
app = GateMiddleware(site, gate=make_gate())
