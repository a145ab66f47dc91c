from __future__ import annotations

from flask import Flask, Response, request

from caputchin_gate.flask import decision_of, install, require_human
from tests import echo
from tests.at_home import MARKED, METHODS, gate_for_marks


def tell(rest: str = "", item: str = "") -> Response:
    echo.begun += 1
    body = request.get_data(cache=False)
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    return Response(echo.description([body], decision_of(request), headers), content_type="application/json")


def site() -> Flask:
    app = Flask("at_home", static_folder=None)
    app.add_url_rule("/runs", "runs", lambda: str(echo.runs))
    app.add_url_rule("/begun", "begun", lambda: str(echo.begun))
    for path in ("/", "/<path:rest>"):
        app.add_url_rule(path, "tell", tell, methods=METHODS, provide_automatic_options=False)
    return app


with_rules = site()
install(with_rules, echo.make_gate())

with_marks = site()
install(with_marks, gate_for_marks())
for path, options in MARKED:
    rule = path.replace("{", "<").replace("}", ">")
    view = require_human(**options)(tell)
    with_marks.add_url_rule(rule, path, view, methods=METHODS, provide_automatic_options=False)
