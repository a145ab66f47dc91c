"""What `captcha_widget()` writes, in a real browser: each widget that can be had solves, fills the form, and is let in.

The pages have a content security policy with nonces, and no other machine is asked for anything. Widgets come as they
were published; Caputchin's, which is in no package registry, as the stand-in that `test_caputchin_widget.py` describes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask, g, render_template_string, request, send_file
from flask.typing import ResponseReturnValue
from playwright.sync_api import Page, expect
from test_caputchin_widget import bundle
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from caputchin_gate import Gate
from caputchin_gate.flask import install, require_human

PACKAGES = Path(__file__).parents[2] / ".widgets" / "node_modules"
FILES = {
    "cap.js": PACKAGES / "@cap.js/widget/cap.min.js",
    "cap.wasm": PACKAGES / "@cap.js/wasm/browser/cap_wasm_bg.wasm",
    "altcha-3.js": PACKAGES / "altcha/dist/main/altcha.js",
    "altcha-2.js": PACKAGES / "altcha-2/dist/altcha.js",
}
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; connect-src 'self'; "
    "worker-src 'self' blob:; style-src 'unsafe-inline'; img-src data:; form-action 'self'"
)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Contact</title>
<form method="post" action="{{ request.script_root }}/contact" data-captcha>
<label>Message <input name="message" value="hello"></label>
{{ captcha_widget(nonce=g.nonce, **said) }}
<button>Send</button></form>"""

SWIFT = {"cap": {"puzzles": 5, "difficulty": 3}}
KEYS = {"signing_key": "k" * 32}


def site(gate: Gate, said: dict[str, Any], files: Path) -> Flask:
    app = Flask("site")
    app.secret_key = "k"

    @app.before_request
    def make_nonce() -> None:
        g.nonce = os.urandom(16).hex()

    @app.after_request
    def add_policy(response: Any) -> Any:
        response.headers["Content-Security-Policy"] = POLICY.format(nonce=g.nonce)
        return response

    @app.get("/")
    def page() -> str:
        return render_template_string(PAGE, said=said)

    @app.get("/files/<name>")
    def file(name: str) -> ResponseReturnValue:
        return send_file(FILES.get(name, files / name))

    @app.post("/contact")
    @require_human
    def contact() -> str:
        return f"Thank you for {request.form['message']}"

    install(app, gate)
    return app


@contextmanager
def served(application: Any) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def visitor(page: Page) -> Iterator[Page]:
    """A page that asks no other machine, and breaks no policy."""
    complaints: list[str] = []

    def watch(url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "blob:", "data:")):
            complaints.append(url)

    page.on("request", lambda asked: watch(asked.url))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    page.set_default_timeout(20_000)
    yield page
    assert complaints == []


def send(page: Page, element: str, field: str) -> None:
    """As a visitor does: click the widget, wait until the form has a token, send it."""
    if element:
        page.locator(element).wait_for()
        page.locator(element).click(force=True)  # some draw over their own checkbox
        expect(page.locator(f"input[name={field}]")).not_to_have_value("", timeout=20_000)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("body")).to_have_text("Thank you for hello")


CHECKBOX = "altcha-widget input[type=checkbox]"
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("caputchin", {}, {}, "", "caputchin-token"),
    ("captchaapi", {"token_field": "token"}, {"locale": "de"}, "", "token"),
    ("cap", {}, {"script": "/site/files/cap.js", "wasm": "/site/files/cap.wasm"}, "cap-widget", "cap-token"),
    ("cap", {"token_field": "t"}, {"script": "/site/files/cap.js", "wasm": "/none"}, "cap-widget", "t"),
    ("altcha", {}, {"script": "/site/files/altcha-3.js"}, CHECKBOX, "altcha"),
    ("altcha", {"token_field": "t"}, {"script": "/site/files/altcha-2.js"}, CHECKBOX, "t"),
    ("caputchin", {}, {"script": "/site/files/widget.js"}, "caputchin-widget", "caputchin-token"),
    ("caputchin", {}, {}, "caputchin-widget", "caputchin-token"),
]


@pytest.mark.parametrize(("kind", "options", "said", "element", "field"), CASES)
def test_in_process_a_visitor_is_let_in(
    visitor: Page,
    tmp_path: Path,
    kind: str,
    options: dict[str, Any],
    said: dict[str, Any],
    element: str,
    field: str,
) -> None:
    (tmp_path / "widget.js").write_bytes(bundle())
    (tmp_path / "cap_wasm_bg.wasm").write_bytes(FILES["cap.wasm"].read_bytes())
    applications: dict[str, Any] = {"/none": Flask("none")}
    with served(DispatcherMiddleware(Flask("outer"), applications)) as port:
        own: dict[str, Any] = {**SWIFT, **KEYS}
        if said.get("script") is None and element == "caputchin-widget":
            own["caputchin"] = {
                "widget": str(tmp_path / "widget.js"),
                "public_origin": f"http://127.0.0.1:{port}/site",
            }
        gate = Gate(provider=kind, verification="in-process", store="memory", in_process=own, **options)
        applications["/site"] = site(gate, said, tmp_path)
        visitor.goto(f"http://127.0.0.1:{port}/site/")
        send(visitor, element, field)


def test_upstream_a_visitor_of_a_site_with_cap_is_let_in_by_a_cap_server(visitor: Page, tmp_path: Path) -> None:
    """The Cap server is another gate, whose siteverify stands where that of Cap Standalone does."""
    sites = [{"site_key": "shop", "secret": "a-secret-of-the-shop"}]
    cap_server = Flask("cap")
    options: dict[str, Any] = {"provider": "cap", "store": "memory", "protect": ["POST /x"]}
    install(cap_server, Gate(verification="in-process", in_process={**SWIFT, **KEYS, "sites": sites}, **options))
    applications: dict[str, Any] = {"/cap": cap_server}
    with served(DispatcherMiddleware(Flask("outer"), applications)) as port:
        gate = Gate(
            provider="cap",
            secret="a-secret-of-the-shop",
            endpoint=f"http://127.0.0.1:{port}/cap/.caputchin/cap/shop/siteverify",
            site_key="shop",
        )
        said = {"script": "/site/files/cap.js", "wasm": "/site/files/cap.wasm"}
        applications["/site"] = site(gate, said, tmp_path)
        visitor.goto(f"http://127.0.0.1:{port}/site/")
        send(visitor, "cap-widget", "cap-token")
