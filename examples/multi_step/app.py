"""A Flask application whose form has three steps: a person is recognised in the first one, for the whole of the form.

pip install caputchin-gate flask
flask --app examples/multi_step/app.py run

What was typed is kept here, and the session names it. The last step takes it away, so one token makes one booking: the
cookie of a session alone, sent again and again, makes none.
"""

import secrets
from pathlib import Path

from flask import Flask, abort, redirect, render_template, request, session
from flask.typing import ResponseReturnValue

from caputchin_gate import load_gate
from caputchin_gate.flask import install

gate = load_gate(Path(__file__).with_name("gate.toml"))
app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)
install(app, gate)

drafts: dict[str, dict[str, str]] = {}  # in a database, where they end after an hour
bookings: list[dict[str, str]] = []


@app.get("/")
def first() -> str:
    return render_template("page.html", step=1)


@app.post("/")  # the only step that the gate guards
def begin() -> ResponseReturnValue:
    session["draft"] = secrets.token_urlsafe()
    drafts[session["draft"]] = {"name": request.form["name"]}
    return redirect("/date", 303)


@app.get("/date")
def second() -> str:
    return render_template("page.html", step=2, draft=draft())


@app.post("/date")
def choose() -> ResponseReturnValue:
    draft()["date"] = request.form["date"]
    return redirect("/confirm", 303)


@app.get("/confirm")
def third() -> str:
    return render_template("page.html", step=3, draft=draft())


@app.post("/confirm")
def confirm() -> str:
    bookings.append(drafts.pop(session.pop("draft", ""), None) or abort(403))
    return render_template("page.html", step=4, draft=bookings[-1])


def draft() -> dict[str, str]:
    """What this person has typed so far; nobody has a draft who was not recognised in the first step."""
    return drafts.get(session.get("draft", "")) or abort(403)
