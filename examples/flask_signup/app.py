"""A Flask application with three forms: sign-up, an invitation by htmx, and comments by fetch.

pip install caputchin-gate flask
flask --app examples/flask_signup/app.py run

The invitation uses htmx if it is in static/htmx.min.js, and is an ordinary form else.
"""

from typing import Any

from flask import Blueprint, Flask, render_template, request
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from caputchin_gate.flask import decision_of, install, require_human

forms = Blueprint("forms", __name__)
comments: list[str] = []


@forms.get("/")
def page() -> str:
    return render_template("page.html", comments=comments)


# An ordinary form, which shows its mistakes itself. A refusal is one of them: on_refuse="pass" lets the view run.
# Who was verified and then mistyped something need not be verified again: the receipt admits what is sent next.


@forms.post("/signup")
@require_human(on_refuse="pass", receipt="2m")
def sign_up() -> ResponseReturnValue:
    email = request.form.get("email", "")
    if not is_human():
        mistake, status = "We could not tell you from a robot. Please send the form once more.", 403
    elif "@" not in email:
        mistake, status = "An e-mail address has an @.", 422
    else:
        return render_template("welcome.html", email=email)
    return render_template("page.html", email=email, mistake=mistake, comments=comments), status


# The same by htmx, without a receipt: the answer is the form itself, new, and the widget gets a new token for it.


@forms.post("/invite")
@require_human(on_refuse="pass")
def invite() -> str:
    friend = request.form.get("friend", "")
    if not is_human():
        said = "We could not tell you from a robot. Please send the form once more."
    elif "@" not in friend:
        said = "An e-mail address has an @."
    else:
        said, friend = f"{friend} is invited.", ""
    return render_template("invitation.html", friend=friend, said=said)


def is_human() -> bool:
    decision = decision_of(request)
    return decision is not None and decision.admitted


# A page that sends JSON with fetch. Refusals need nothing here: the gate answers before, with a problem document.


class Comments(MethodView):
    @require_human
    def post(self) -> dict[str, int]:
        comments.append(request.get_json()["text"])
        return {"comments": len(comments)}


forms.add_url_rule("/comments", view_func=Comments.as_view("comments"))


def create_app(settings: dict[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config["CAPUTCHIN_GATE"] = {"provider": {"kind": "caputchin", "verification": "in-process"}}
    app.config.from_mapping(settings or {})
    app.register_blueprint(forms)
    install(app)
    return app
