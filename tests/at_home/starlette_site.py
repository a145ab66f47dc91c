from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from caputchin_gate.starlette import decision_of, install, require_human
from tests import echo
from tests.at_home import MARKED, METHODS, gate_for_marks


async def tell(request: Request) -> Response:
    echo.begun += 1
    body = [piece async for piece in request.stream()]
    return Response(
        echo.description(body, decision_of(request), request.headers.items()), media_type="application/json"
    )


async def count(request: Request) -> Response:
    return Response(str(getattr(echo, request.url.path[1:])))


counts = [Route("/runs", count), Route("/begun", count)]
anything = Route("/{rest:path}", tell, methods=METHODS)
marked = [Route(path, require_human(**options)(tell), methods=METHODS) for path, options in MARKED]

with_rules = Starlette(routes=[*counts, anything])
install(with_rules, echo.make_gate())

with_marks = Starlette(routes=counts)
install(with_marks, gate_for_marks())
with_marks.routes.extend([*marked, anything])  # after `install`, which is all the same
