"""A FastAPI application with a sign-up form, guarded by one line at its end.

pip install caputchin-gate fastapi jinja2 python-multipart uvicorn
uvicorn fastapi_newsletter:app --app-dir examples
"""

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware

templates = Jinja2Templates(Path(__file__).parent)
api = FastAPI()
readers: set[str] = set()


@api.get("/")
async def page(request: Request) -> HTMLResponse:
    return templates.TemplateResponse(request, "fastapi_newsletter.html", {"count": len(readers)})


@api.post("/subscribe")
async def subscribe(request: Request, email: Annotated[str, Form()]) -> HTMLResponse:
    readers.add(email)
    return templates.TemplateResponse(request, "fastapi_newsletter.html", {"email": email})


# Everything above is the application as it was.
gate = Gate(provider="caputchin", verification="in-process", protect=["POST /subscribe"])
app = GateMiddleware(api, gate=gate)
