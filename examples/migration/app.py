"""A Flask site that leaves one captcha provider for another, page by page, while both are accepted.

pip install caputchin-gate flask
PROSOPO_SECRET=... flask --app examples/migration/app.py run

Sign-up has moved: its page shows the gate's own widget. The contact page has not: it shows the old provider's. Pages
that were open before a change send the other token, so for a while both forms take both.
"""

from pathlib import Path

from flask import Flask, render_template, request

from caputchin_gate import load_gate
from caputchin_gate.flask import install

gate = load_gate(Path(__file__).with_name("gate.toml"))
app = Flask(__name__)
install(app, gate)


@app.get("/")
def sign_up_page() -> str:
    return render_template(
        "page.html", title="Sign up", action="/signup", label="Your e-mail address", provider="caputchin"
    )


@app.get("/contact")
def contact_page() -> str:
    return render_template("page.html", title="Contact", action="/contact", label="Your message", provider="old")


@app.post("/signup")
def sign_up() -> str:
    return render_template("done.html", said=f"Welcome, {request.form['text']}.")


@app.post("/contact")
def contact() -> str:
    return render_template("done.html", said="Thank you, we will answer soon.")
