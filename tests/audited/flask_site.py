"""Flask: blueprints, converters, classes, another application beside it."""

from __future__ import annotations

from flask import Blueprint, Flask
from flask.views import MethodView
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.audited import wsgi_sometimes_guarded

site = Flask("flask_site")


@site.get("/")
@site.post("/contact")
@site.route("/signup", methods=["GET", "POST", "PUT"])
@site.post("/open")
@site.route("/mixed", methods=["PATCH", "POST"])
@site.post("/slashed/")
def answer(**variables: object) -> str:
    return "ran"


for number, rule in enumerate(
    [
        "/users/<user>",
        "/users/<user>/<int:number>",
        "/articles/<int(fixed_digits=4):year>/<slug>/comment",
        "/page/<any(help, 'about-us'):which>",
        "/some/<any(help, contact):which>",
        "/files/<path:file>",
        "/codes/<string(length=3):code>/<uuid:id>/<float:price>",
    ]
):
    site.add_url_rule(rule, f"variable {number}", answer, methods=["POST"])


class Item(MethodView):
    def get(self, item: str) -> str:
        return "ran"

    def delete(self, item: str) -> str:
        return "ran"


api = Blueprint("api", __name__, url_prefix="/v1")
api.add_url_rule("/items/<item>", view_func=Item.as_view("item"))
api.add_url_rule("/webhook", "webhook", answer, methods=["POST"])
outer = Blueprint("outer", __name__, url_prefix="/api")
outer.register_blueprint(api)
site.register_blueprint(outer)

admin = Flask("admin")
admin.add_url_rule("/users", "users", answer, methods=["POST"])
site.wsgi_app = DispatcherMiddleware(site.wsgi_app, {"/admin": ProxyFix(admin.wsgi_app)})  # type: ignore[method-assign]
app = wsgi_sometimes_guarded(site.wsgi_app)
