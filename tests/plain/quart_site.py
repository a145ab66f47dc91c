from __future__ import annotations

from quart import Quart, Response, request

from caputchin_gate.asgi import GateMiddleware
from tests import echo
from tests.plain import METHODS

app = Quart("plain", static_folder=None)


@app.route("/<any(runs, begun):name>")
async def count(name: str) -> str:
    return str(getattr(echo, name))


@app.route("/", methods=METHODS, defaults={"rest": ""}, provide_automatic_options=False)
@app.route("/<path:rest>", methods=METHODS, provide_automatic_options=False)
async def tell(rest: str) -> Response:
    echo.begun += 1
    body = await request.get_data(cache=False)
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    told = echo.description([body], request.scope.get("caputchin_gate"), headers)
    return Response(told, content_type="application/json")


app.asgi_app = GateMiddleware(app.asgi_app, gate=echo.make_gate())
