"""The demo's site: a contact form as anybody would write it, and the gate in front of it.

The application knows nothing of captchas. It reads the decision from the scope, and it counts how often its handler
runs: a refused request never gets that far.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from caputchin_gate import Decision, Gate
from caputchin_gate.asgi import Application, GateMiddleware
from caputchin_gate.demo.feed import Feed

LARGEST_FORM: Final = 64 * 1024

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#3f4fd8"/>'
    '<path d="M8 25V13a8 8 0 0 1 16 0v12M13.3 25V11M18.7 25V11M8 18h16" fill="none" stroke="#fff" stroke-width="2.4" '
    'stroke-linecap="round"/></svg>'
)

_FILES: Final = Path(__file__).parent
_THANKS: Final = Template(_FILES.joinpath("thanks.html").read_text(encoding="utf-8"))


def guarded_site(feed: Feed) -> Application:
    """The site behind its gate; `feed` is told of every decision."""
    gate = Gate(
        provider="caputchin",
        verification="in-process",
        protect=["POST /contact"],
        store="memory",
        max_body="64KiB",
    )
    gate.on_decision(feed.decided)
    return GateMiddleware(contact_site(feed), gate=gate)


def contact_site(feed: Feed) -> Starlette:
    """The application alone, without any protection."""

    async def contact(request: Request) -> Response:
        feed.application_ran()
        decision: Decision = request.scope["caputchin_gate"]
        try:
            name = await form_field(request, "name")
        except ValueError:
            return PlainTextResponse("This is not the form of this site.", 400, HEADERS)
        page = _THANKS.substitute(
            name=f", {escape(name)}" if name else "",
            reason=escape(decision.reason),
            provider=escape(decision.provider or "none"),
            route=escape(decision.route or "none"),
            runs="once" if feed.runs == 1 else f"{feed.runs} times",
        )
        return HTMLResponse(page, headers=HEADERS)

    async def contact_again(request: Request) -> Response:
        """The address of the answer, opened by hand or from the history."""
        return RedirectResponse("/", 303, HEADERS)

    async def decisions(request: Request) -> Response:
        return StreamingResponse(feed.listen(), media_type="text/event-stream", headers=HEADERS)

    return Starlette(
        routes=[
            Route("/", served("page.html", "text/html")),
            Route("/contact", contact, methods=["POST"]),
            Route("/contact", contact_again),
            Route("/decisions", decisions),
            Route("/demo.css", served("demo.css", "text/css")),
            Route("/demo.js", served("demo.js", "text/javascript")),
            Route("/icon.svg", icon),
        ]
    )


async def form_field(request: Request, name: str) -> str:
    """One field of a urlencoded form, at most 100 characters of it. Raises ValueError for any other body."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_FORM:
            raise ValueError
    values = parse_qs(body.decode(), max_num_fields=20).get(name, [""])
    return values[0].strip()[:100]


async def icon(request: Request) -> Response:
    return Response(ICON, media_type="image/svg+xml", headers=HEADERS)


def served(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = _FILES.joinpath(name).read_bytes()

    async def file(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=HEADERS)

    return file
