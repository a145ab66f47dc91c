"""A Flask application with a guest book, guarded by one line at its end.

pip install caputchin-gate flask
flask --app examples/flask_guestbook.py run
"""

from flask import Flask, redirect, render_template, request
from werkzeug.wrappers import Response

from caputchin_gate import Gate
from caputchin_gate.wsgi import GateMiddleware

app = Flask(__name__, template_folder=".")
entries: list[str] = []


@app.get("/")
def page() -> str:
    return render_template("flask_guestbook.html", entries=entries)


@app.post("/entries")
def sign() -> Response:
    entries.append(request.form["text"])
    return redirect("/", 303)


# Everything above is the application as it was.
gate = Gate(provider="caputchin", verification="in-process", protect=["POST /entries"])
app.wsgi_app = GateMiddleware(app.wsgi_app, gate=gate)  # type: ignore[method-assign]
