"""A website with a form that Caputchin's own widget guards, behind both doors, for tests over real servers.

GATE_STORE names the store that its workers share. Cap is in process too, for tests of what is good for which.
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from werkzeug.wrappers import Request as WsgiRequest
from werkzeug.wrappers import Response as WsgiResponse

from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware
from caputchin_gate.wsgi import GateMiddleware as WsgiGate


async def contact(request: Request) -> PlainTextResponse:
    form = await request.form()
    return PlainTextResponse(f"Thank you for {form['message']}")


gate = Gate(
    provider="caputchin",
    verification="in-process",
    store=os.environ.get("GATE_STORE", "memory"),
    protect=["POST /contact"],
    providers={"cap": {"kind": "cap", "verification": "in-process"}},
    route=[
        {"match": "POST /cap", "provider": "cap"},
        {"match": "POST /signup", "action": "signup"},
    ],
    in_process={
        "signing_key": "a-signing-key-of-more-than-32-characters",
        "cap": {"puzzles": 4, "difficulty": 2},
        "challenges_per_minute": 1000,
        "sites": [
            {"site_key": "cpt_pub_shop", "domains": ["shop.example"]},
            {"site_key": "cpt_pub_blog"},
        ],
    },
)
PATHS = ("/contact", "/cap", "/signup")
app = GateMiddleware(Starlette(routes=[Route(path, contact, methods=["POST"]) for path in PATHS]), gate=gate)


@WsgiRequest.application
def wsgi_contact(request: WsgiRequest) -> WsgiResponse:
    return WsgiResponse(f"Thank you for {request.form['message']}")


wsgi = WsgiGate(wsgi_contact, gate=gate)
