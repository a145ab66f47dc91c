"""A FastAPI application with a strict content security policy: nothing runs in its pages but scripts with a nonce.

pip install caputchin-gate fastapi jinja2 python-multipart uvicorn
uvicorn app:app --app-dir examples/content_security_policy
"""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from caputchin_gate import Gate
from caputchin_gate.fastapi import install, require_human

# The widget fetches a challenge from the site itself, and solves it in a worker from the address of its script.
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

gate = Gate(provider="caputchin", verification="in-process")
templates = Jinja2Templates(Path(__file__).with_name("templates"))
app = FastAPI()


@app.middleware("http")
async def content_security_policy(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    request.state.nonce = secrets.token_urlsafe(16)
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = POLICY.format(nonce=request.state.nonce)
    return response


@app.get("/")
async def page(request: Request) -> HTMLResponse:
    return templates.TemplateResponse(request, "page.html")


@app.post("/feedback", dependencies=[Depends(require_human)])
async def feedback(request: Request, text: Annotated[str, Form()]) -> HTMLResponse:
    return templates.TemplateResponse(request, "page.html", {"said": text})


install(app, gate, templates=templates)  # last: the gate's own answers bring a policy of their own
