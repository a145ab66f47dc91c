"""A poll in Flask behind a CDN or a proxy: all requests come from one address, and each visitor is a client of its own.

pip install caputchin-gate flask gunicorn
gunicorn --chdir examples/behind_a_proxy app:app
nginx -c "$PWD/examples/behind_a_proxy/nginx.conf" -p /tmp

trusted_proxies in gate.toml names who may say where a request comes from; what others say is not believed. Without it
all visitors together have the limits of one: it is the first thing to look at when people are refused in numbers.
"""

from collections import Counter
from pathlib import Path

from flask import Flask, render_template, request

from caputchin_gate import load_gate
from caputchin_gate.flask import install

gate = load_gate(Path(__file__).with_name("gate.toml"))
app = Flask(__name__)
install(app, gate)

votes: Counter[str] = Counter(tea=0, coffee=0)


@app.get("/")
def page() -> str:
    return render_template("page.html", votes=votes)


@app.post("/votes")
def vote() -> str:
    if request.form["drink"] in votes:
        votes[request.form["drink"]] += 1
    return render_template("page.html", votes=votes)
