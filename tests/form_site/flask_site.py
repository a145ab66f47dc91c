from __future__ import annotations

from flask import Flask, Response, request

from caputchin_gate.wsgi import GateMiddleware
from tests.form_site import OWN_COOKIES, PATHS, answered, form, make_gate

site = Flask("form_site")


def show() -> str:
    return form(request.path)


def submit() -> Response:
    if "broken" in request.args:
        raise RuntimeError("the application fails")
    status, page = answered(request.path, request.form.get("address", ""))
    pieces = (page[start : start + 50] for start in range(0, len(page), 50))
    response = Response(pieces, status, {"X-Reason": request.environ["caputchin_gate"].reason})
    for name, value in OWN_COOKIES:
        response.set_cookie(name, value)
    return response


for path in PATHS:
    site.add_url_rule(path, f"show {path[1:]}", show)
    site.add_url_rule(path, f"submit {path[1:]}", submit, methods=["POST"])
app = GateMiddleware(site, gate=make_gate())
