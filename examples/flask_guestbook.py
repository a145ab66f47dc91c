"""A Flask application with a guest book, guarded by one line at its end.

pip install caputchin-gate flask
flask --app examples/flask_guestbook.py run
"""

from flask import Flask, redirect, render_template_string, request
from werkzeug.wrappers import Response

from caputchin_gate import Gate
from caputchin_gate.wsgi import GateMiddleware

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Guest book</title>
<script src="/.caputchin/captcha.js" defer></script>
<h1>Guest book</h1>
<ul>{% for entry in entries %}<li>{{ entry }}</li>{% endfor %}</ul>
<form method="post" action="/entries" data-captcha>
  <label>Your words <input name="text" required maxlength="200"></label>
  <button>Sign</button>
  <span data-captcha-status></span>
  <noscript>This form needs JavaScript to tell you from a robot.</noscript>
</form>
</html>"""

app = Flask(__name__)
entries: list[str] = []


@app.get("/")
def page() -> str:
    return render_template_string(PAGE, entries=entries)


@app.post("/entries")
def sign() -> Response:
    entries.append(request.form["text"])
    return redirect("/", 303)


# Everything above is the application as it was.
gate = Gate(provider="caputchin", verification="in-process", protect=["POST /entries"])
app.wsgi_app = GateMiddleware(app.wsgi_app, gate=gate)  # type: ignore[method-assign]
