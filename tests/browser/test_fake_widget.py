"""A site in development: its gate asks a fake provider, and the fake's script puts tokens into its forms."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask, request
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from caputchin_gate import Decision, Gate
from caputchin_gate.fake_provider import FakeProvider
from caputchin_gate.wsgi import GateMiddleware

PAGE = """<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,">
<script src="{base}/widget.js" defer {attributes}></script>
<form id="contact" method="post" action="/contact"><button>Send</button></form>
<form id="search" action="/search"><input name="q"></form>
<script>document.forms[0].addEventListener("submit", (event) => {{
  event.preventDefault();
  fetch("/contact", {{ method: "POST", body: new URLSearchParams(new FormData(event.target)) }});
}});</script>"""


class Site:
    def __init__(self) -> None:
        self.fake = FakeProvider("caputchin")
        self.decisions: list[Decision] = []

    def application(self, url: str) -> Flask:
        secret = {"secret": self.fake.secret, "allow_test_keys": True}
        provider = {"kind": "caputchin", "endpoint": url, **secret}
        gate = Gate(provider=provider, protect=["POST /contact"])
        gate.on_decision(self.decisions.append)
        base = url.removesuffix(self.fake.kind.path)
        site = Flask(__name__)
        site.add_url_rule("/", "page", lambda: PAGE.format(base=base, attributes=request.args.get("script", "")))
        site.add_url_rule("/contact", "contact", lambda: "sent", methods=["POST"])
        site.wsgi_app = GateMiddleware(site.wsgi_app, gate=gate)  # type: ignore[method-assign]
        return site


@pytest.fixture
def served() -> Iterator[tuple[Site, str]]:
    site = Site()
    with site.fake.serving() as url:
        server = make_server("127.0.0.1", 0, site.application(url), threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield site, f"http://127.0.0.1:{server.port}"
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("script", "reason"), [("", "verified"), ('data-outcome="token-rejected"', "token-rejected")])
def test_each_submission_has_a_token_of_its_own(served: tuple[Site, str], page: Page, script: str, reason: str) -> None:
    site, url = served
    page.goto(f"{url}/?script={script}")
    token = page.locator("#contact input[name=caputchin-token]")
    for _ in range(2):
        expect(token).not_to_have_value("")
        before = token.input_value()
        with page.expect_response("**/contact"):
            page.click("button")
        expect(token).not_to_have_value(before)
    assert [decision.reason for decision in site.decisions] == [reason, reason]
    assert page.locator("#search input").count() == 1
