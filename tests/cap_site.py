"""A website with a form that Cap's own widget guards, for the browser tests. The widget comes as it was published.

GATE_CAP holds the settings of [in_process.cap], GATE_LIMIT how many challenges a client gets a minute. The query of
the page says where its widget asks, and whether its solver is to be found.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from werkzeug.wrappers import Request as WsgiRequest
from werkzeug.wrappers import Response as WsgiResponse

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware
from caputchin_gate.wsgi import GateMiddleware as WsgiGate

PACKAGES = Path(__file__).parent.parent / ".widgets" / "node_modules" / "@cap.js"

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Contact</title>
<script>{before}</script><script src="/packages/widget/cap.min.js"></script>
<script>
  window.seen = []
  for (const name of ["solve", "error"])
    document.addEventListener(name, event => seen.push([name, event.detail?.code, event.detail?.message]), true)
</script>
<form method="post" action="/contact">
<label>Message <input name="message" value="hello"></label>
<cap-widget data-cap-api-endpoint="{endpoint}"></cap-widget>
<button>Send</button></form>"""

# The solver of the package instead of the one of a content delivery network, or one that isn't there.
WASM = "window.CAP_CUSTOM_WASM_URL = location.origin + '/packages/wasm/browser/{file}'"


async def page(request: Request) -> HTMLResponse:
    file = "missing.wasm" if "script" in request.query_params else "cap_wasm_bg.wasm"
    endpoint = request.query_params.get("endpoint", "/.caputchin/cap/shop/")
    return HTMLResponse(PAGE.format(before=WASM.format(file=file), endpoint=endpoint))


async def contact(request: Request) -> PlainTextResponse:
    form = await request.form()
    return PlainTextResponse(f"Thank you for {form['message']}")


gate = Gate(
    provider="cap",
    verification="in-process",
    store="memory",
    protect=["POST /contact"],
    in_process={
        "cap": json.loads(os.environ.get("GATE_CAP", "{}")),
        "challenges_per_minute": int(os.environ.get("GATE_LIMIT", "100")),
        "sites": [{"site_key": "shop", "secret": "shop-secret-of-the-test", "domains": ["127.0.0.1", "localhost"]}],
    },
)
app = GateMiddleware(
    Starlette(
        routes=[
            Route("/", page),
            Route("/contact", contact, methods=["POST"]),
            Mount("/packages", StaticFiles(directory=PACKAGES, check_dir=False)),
        ]
    ),
    gate=gate,
)


@WsgiRequest.application
def wsgi_contact(request: WsgiRequest) -> WsgiResponse:
    return WsgiResponse(f"Thank you for {request.form['message']}")


wsgi = WsgiGate(wsgi_contact, gate=gate)
