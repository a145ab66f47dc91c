"""ALTCHA's own widget, as its package has it, in a real browser before a real gate (others.md 6.3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from caputchin_gate import Gate, Route
from caputchin_gate.engines.altcha import ALGORITHMS
from caputchin_gate.wsgi import GateMiddleware

WIDGETS = Path(__file__).parent.parent.parent / ".widgets" / "node_modules"
SCRIPTS = {
    "/3/altcha.js": WIDGETS / "altcha/dist/main/altcha.js",
    "/3/external.js": WIDGETS / "altcha/dist/external/altcha.js",
    "/3/sha.js": WIDGETS / "altcha/dist/workers/sha.js",
    "/3/scrypt.js": WIDGETS / "altcha/dist/workers/scrypt.js",
    "/2/altcha.js": WIDGETS / "altcha-2/dist/altcha.js",
}
FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Contact</title>
<script type="module" src="{script}"></script>{head}
<form method="post" action="{action}"><label>Message <input name="message" value="a &amp; b = ü"></label>
<altcha-widget {widget}></altcha-widget><button>Send</button></form>"""
WITH_SCRYPT = """<script type="module">
$altcha.algorithms.set("SCRYPT", () => new Worker("/3/scrypt.js", { type: "module" }))</script>"""
WITH_WORKERS = """import "/3/external.js"
$altcha.algorithms.set("SHA-256", () => new Worker("/3/sha.js", { type: "module" }))"""
NEWEST, OLDER = "/3/altcha.js", "/2/altcha.js"
HERE = "/.caputchin/altcha/challenge"


class Site:
    """A website with a guarded form, and the gate before it."""

    def __init__(self, **options: Any) -> None:
        in_process = {"signing_key": "k" * 32, **options.pop("in_process", {})}
        gate = Gate(
            provider="altcha",
            verification="in-process",
            store="memory",
            protect=["POST /contact", Route("POST /signup", action="signup")],
            in_process=in_process,
            **options,
        )
        self.form = ""
        self.headers: dict[str, str] = {}
        self.received: list[dict[str, list[str]]] = []
        self._server = make_server("127.0.0.1", 0, GateMiddleware(self._application, gate=gate), threaded=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _application(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        if request.path == "/3/with-workers.js":
            response = Response(WITH_WORKERS, mimetype="text/javascript")
        elif request.path in SCRIPTS:
            response = Response(SCRIPTS[request.path].read_bytes(), mimetype="text/javascript")
        elif request.method == "POST":
            self.received.append(parse_qs(request.get_data().decode()))
            response = Response(f"<h1>{environ['caputchin_gate'].reason}</h1>", mimetype="text/html")
        else:
            response = Response(self.form, mimetype="text/html", headers=self.headers)
        return response(environ, start_response)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def show(self, page: Page, script: str = NEWEST, head: str = "", action: str = "/contact", **widget: str) -> None:
        """Open a page with a form that is sent to `action`, and a widget with these attributes."""
        attributes = " ".join(f"{name}='{value}'" for name, value in widget.items())
        self.form = FORM.format(script=script, head=head, action=action, widget=attributes)
        page.goto(self.url)


OpenSite = Callable[..., Site]


@pytest.fixture
def open_site() -> Iterator[OpenSite]:
    sites: list[Site] = []

    def open_site(**options: Any) -> Site:
        sites.append(Site(**options))
        return sites[-1]

    yield open_site
    for site in sites:
        site.close()


def solved(page: Page) -> str:
    """Wait until the widget has put its payload into the form."""
    field = page.locator("input[name=altcha]")
    expect(field).not_to_have_value("", timeout=30_000)
    return field.input_value()


def send(page: Page) -> None:
    page.get_by_role("button", name="Send").click()
    page.wait_for_load_state()


WIDGETS_AND_ALGORITHMS = [
    *((NEWEST, "challenge", algorithm) for algorithm in ALGORITHMS),
    *((OLDER, "challengeurl", algorithm) for algorithm in ALGORITHMS if algorithm.startswith("v1/")),
]


@pytest.mark.parametrize(("script", "attribute", "algorithm"), WIDGETS_AND_ALGORITHMS)
def test_a_form_with_the_unmodified_widget_is_admitted_once(
    page: Page, open_site: OpenSite, script: str, attribute: str, algorithm: str
) -> None:
    site = open_site(in_process={"altcha": {"algorithm": algorithm}})
    head = WITH_SCRYPT if algorithm == "SCRYPT" else ""
    site.show(page, script, head, **{attribute: HERE, "auto": "onload"})
    payload = solved(page)
    send(page)
    expect(page.get_by_role("heading")).to_have_text("verified")
    assert site.received == [{"message": ["a & b = ü"], "altcha": [payload]}]
    again = page.request.post(f"{site.url}/contact", form={"message": "again", "altcha": payload})
    assert again.status == 403
    assert len(site.received) == 1


def test_the_default_suits_both_generations_of_the_widget(page: Page, open_site: OpenSite) -> None:
    site = open_site()
    for script, attribute in ((NEWEST, "challenge"), (OLDER, "challengeurl")):
        site.show(page, script, **{attribute: HERE, "auto": "onload"})
        assert json.loads(base64.b64decode(solved(page))).keys() >= {"number", "salt"}
        send(page)
        expect(page.get_by_role("heading")).to_have_text("verified")


def test_a_widget_that_waits_for_the_submission_solves_and_sends(page: Page, open_site: OpenSite) -> None:
    site = open_site()
    site.show(page, challenge=HERE, auto="onsubmit")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading")).to_have_text("verified", timeout=30_000)


def test_a_page_names_its_site_and_the_action_of_its_form(page: Page, open_site: OpenSite) -> None:
    site = open_site(in_process={"sites": [{"site_key": "shop", "domains": ["127.0.0.1"]}, {"site_key": "blog"}]})
    site.show(page, action="/signup", challenge="/.caputchin/altcha/shop/challenge?action=signup", auto="onload")
    solved(page)
    send(page)
    expect(page.get_by_role("heading")).to_have_text("verified")
    site.show(page, action="/signup", challenge="/.caputchin/altcha/shop/challenge", auto="onload")
    solved(page)
    send(page)
    assert len(site.received) == 1


def test_the_widgets_own_test_mode_admits_nobody(page: Page, open_site: OpenSite) -> None:
    site = open_site()
    for script, attribute in ((NEWEST, "challenge"), (OLDER, "challengeurl")):
        widget = {attribute: HERE, "auto": "onload"}
        if script == NEWEST:
            site.show(page, script, configuration='{"test": true}', **widget)
        else:
            site.show(page, script, test="true", **widget)
        assert json.loads(base64.b64decode(solved(page)))["test"] is True
        send(page)
    assert site.received == []


def test_a_visitor_over_the_cap_is_told_by_the_widget_and_sends_nothing(page: Page, open_site: OpenSite) -> None:
    site = open_site(in_process={"challenges_per_minute": 10})
    for _ in range(10):
        page.request.get(site.url + HERE)
    site.show(page, challenge=HERE, auto="onload")
    expect(page.locator("altcha-widget [data-state=error]")).to_be_visible()
    assert site.received == []


@pytest.mark.parametrize(
    ("script", "policy"),
    [
        (NEWEST, "default-src 'self'; style-src 'self' 'unsafe-inline'; worker-src blob:"),
        ("/3/with-workers.js", "default-src 'self'"),
    ],
)
def test_the_content_security_policies_of_the_documentation_let_the_widget_work(
    page: Page, open_site: OpenSite, script: str, policy: str
) -> None:
    site = open_site()
    site.headers = {"Content-Security-Policy": policy}
    site.show(page, script, challenge=HERE, auto="onload")
    solved(page)
    send(page)
    expect(page.get_by_role("heading")).to_have_text("verified")
