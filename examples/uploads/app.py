"""A Starlette application that takes large files, and shows how far they are.

pip install caputchin-gate jinja2 starlette uvicorn
uvicorn app:app --app-dir examples/uploads

The token is the first field of what is sent. So the gate verifies it before the file has arrived: a robot is refused
after some bytes, and nothing of its file is kept.
"""

import hashlib
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from caputchin_gate import load_gate
from caputchin_gate.starlette import install

HERE = Path(__file__).parent
gate = load_gate(HERE / "gate.toml")
templates = Jinja2Templates(HERE / "templates")


async def page(request: Request) -> Response:
    return templates.TemplateResponse(request, "page.html")


async def upload(request: Request) -> Response:
    async with request.form(max_files=1) as form:
        file = form["file"]
        digest, size = hashlib.sha256(), 0
        while piece := await file.read(64 * 1024):
            digest.update(piece)
            size += len(piece)
    return JSONResponse({"name": file.filename, "size": size, "sha256": digest.hexdigest()})


app = Starlette(routes=[Route("/", page), Route("/files", upload, methods=["POST"])])
install(app, gate, templates=templates)
