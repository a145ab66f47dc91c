from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from caputchin_gate.fastapi import decision_of, install, require_human
from tests import echo
from tests.at_home import MARKED, METHODS, gate_for_marks

anything = APIRouter()


async def tell(request: Request) -> Response:
    echo.begun += 1
    body = [piece async for piece in request.stream()]
    return Response(
        echo.description(body, decision_of(request), request.headers.items()), media_type="application/json"
    )


anything.api_route("/{rest:path}", methods=[*METHODS])(tell)


def site() -> FastAPI:
    app = FastAPI(openapi_url=None)
    for what in ("/runs", "/begun"):
        app.get(what)(lambda what=what[1:]: Response(str(getattr(echo, what))))
    return app


with_rules = site()
with_rules.include_router(anything)
install(with_rules, echo.make_gate())

with_marks = site()
for path, options in MARKED:
    router = APIRouter(dependencies=[Depends(require_human(**options))])
    router.api_route(path, methods=[*METHODS])(tell)
    with_marks.include_router(router)
with_marks.include_router(anything)
install(with_marks, gate_for_marks())
