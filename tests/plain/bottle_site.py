from __future__ import annotations

from bottle import Bottle, request, response

from caputchin_gate.wsgi import GateMiddleware
from tests import echo
from tests.plain import METHODS

app = Bottle()


@app.get("/<name:re:runs|begun>")
def count(name: str) -> str:
    return str(getattr(echo, name))


@app.route("/", method=METHODS)
@app.route("/<rest:path>", method=METHODS)
def tell(rest: str = "") -> bytes:
    echo.begun += 1
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    response.content_type = "application/json"
    return echo.description([request.body.read()], request.environ.get("caputchin_gate"), headers)


site = GateMiddleware(app, gate=echo.make_gate())
