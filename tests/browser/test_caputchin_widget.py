"""Caputchin's own widget in a real browser before a real gate, by both ways of caputchin.md 6.1.

The bundle itself is in no package registry. `caputchin_stand_in.js` behaves as the page says that it does, around the
published widget of Cap; like the real one it asks a host that is written into it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from caputchin_gate import Gate
from caputchin_gate.wsgi import GateMiddleware

PACKAGES = Path(__file__).parents[2] / ".widgets" / "node_modules" / "@cap.js"
STAND_IN = Path(__file__).with_name("caputchin_stand_in.js")
SITE_KEY = "cpt_pub_shop"
BUILT_FOR = "https://verify.caputchin.com"
SWIFT = {"puzzles": 5, "difficulty": 3}

FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Contact</title>
{scripts}
<form method="post" action="{action}"><label>Message <input name="message" value="hello"></label>
<caputchin-widget sitekey="{site_key}" {attributes}></caputchin-widget>
<button>Send</button></form>"""

# Ways A and B, and the bundle of way B alone, which asks the host that it was built for.
SERVED = '<script src="{gate}/.caputchin/caputchin/widget.js"></script>'
ELSEWHERE = '<script src="{cdn}/cdn/widget.js"></script>'
SHIM = '<script src="{gate}/.caputchin/caputchin/shim.js"></script>'
WAYS = {"A: served with our place in it": SERVED, "B: as it comes, after the shim": SHIM + ELSEWHERE}

RECORD = """window.seen = []
for (const name of ["start", "pass", "error", "degraded"])
  document.addEventListener(name, event => {
    if (event.target.localName == "caputchin-widget") seen.push([name, event.detail.originalCode, event.detail.message])
  }, true)"""


def bundle() -> bytes:
    """The stand-in around Cap's widget, in one file as bundlers make it."""
    cap = PACKAGES / "widget" / "cap.min.js"
    assert cap.exists(), "the widget is not there: run `make widgets`"
    return STAND_IN.read_bytes().replace(b"/* cap.min.js */", cap.read_bytes() + b";")


class Site:
    """A website with a guarded form, and the gate before it. Its pages are on 127.0.0.1 or on localhost."""

    def __init__(self, folder: Path, *, public_origin: bool = False, **in_process: Any) -> None:
        (folder / "widget.js").write_bytes(bundle())
        wasm = (PACKAGES / "wasm" / "browser" / "cap_wasm_bg.wasm").read_bytes()
        (folder / "cap_wasm_bg.wasm").write_bytes(wasm)
        self.cdn = {"widget.js": bundle(), "cap_wasm_bg.wasm": wasm}
        self.form, self.headers = "", {}
        self.received: list[dict[str, list[str]]] = []
        self._server = make_server("127.0.0.1", 0, self._guarded, threaded=True)
        self.port = self._server.server_port
        caputchin = {"widget": str(folder / "widget.js")}
        if public_origin:
            caputchin["public_origin"] = self.gate
        gate = Gate(
            provider="caputchin",
            verification="in-process",
            store="memory",
            protect=["POST /contact"],
            in_process={
                "signing_key": "k" * 32,
                "cap": SWIFT,
                "caputchin": caputchin,
                "sites": [{"site_key": SITE_KEY, "domains": ["127.0.0.1", "localhost"]}],
                **in_process,
            },
        )
        self._application = GateMiddleware(self._pages, gate=gate)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def gate(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _guarded(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._application(environ, start_response)

    def _pages(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        name = request.path.removeprefix("/cdn/")
        if request.path.startswith("/cdn/") and name in self.cdn:
            kind = "application/wasm" if name.endswith("wasm") else "text/javascript"
            cross = {"Access-Control-Allow-Origin": "*"}
            response = Response(self.cdn[name], mimetype=kind, headers=cross)
        elif request.method == "POST":
            self.received.append(parse_qs(request.get_data().decode()))
            response = Response(f"<h1>{environ['caputchin_gate'].reason}</h1>", mimetype="text/html")
        elif request.path == "/":
            response = Response(self.form, mimetype="text/html", headers=self.headers)
        else:
            response = Response(status=404)
        return response(environ, start_response)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def show(
        self, page: Page, way: str, attributes: str = "", *, host: str = "127.0.0.1", site_key: str = SITE_KEY
    ) -> None:
        """Open a page with a guarded form and a widget with these attributes."""
        scripts = way.format(gate=self.gate, cdn=f"http://localhost:{self.port}")
        action = f"{self.gate}/contact"
        self.form = FORM.format(scripts=scripts, action=action, attributes=attributes, site_key=site_key)
        page.goto(f"http://{host}:{self.port}/")


OpenSite = Callable[..., Site]


@pytest.fixture
def asked(page: Page) -> list[str]:
    """What the page asks of other machines; nothing of it is answered."""
    strangers: list[str] = []

    def turn_away(route: Any) -> None:
        strangers.append(route.request.url)
        route.abort()

    page.route(lambda url: not url.startswith(("http://127.0.0.1:", "http://localhost:", "blob:", "data:")), turn_away)
    page.add_init_script(RECORD)
    page.set_default_timeout(60_000)  # the solver takes a few seconds on a busy machine
    return strangers


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[OpenSite]:
    sites: list[Site] = []

    def open_site(**options: Any) -> Site:
        sites.append(Site(tmp_path, **options))
        return sites[-1]

    yield open_site
    for site in sites:
        site.close()


def token_of(page: Page) -> str:
    """Wait until the widget has put its token into the form."""
    field = page.locator("input[name=caputchin-token]")
    expect(field).not_to_have_value("", timeout=60_000)
    return field.input_value()


def send(page: Page) -> None:
    page.get_by_role("button", name="Send").click()


def send_held(page: Page) -> None:
    """Send the form as soon as the widget holds it, which it does once its bootstrap is answered."""
    page.wait_for_function("document.querySelector('caputchin-widget').ready")
    send(page)


def is_admitted_once(page: Page, site: Site) -> None:
    expect(page.get_by_role("heading")).to_have_text("verified", timeout=60_000)
    (received,) = site.received
    assert received["message"] == ["hello"]
    (token,) = received["caputchin-token"]
    again = page.request.post(f"{site.gate}/contact", form={"message": "again", "caputchin-token": token})
    assert again.status == 403
    assert len(site.received) == 1


def checkbox(page: Page) -> None:
    page.locator("caputchin-widget [role=checkbox]").click()
    token_of(page)
    send(page)


def invisible(page: Page) -> None:
    token_of(page)
    send(page)


MODES = {"trigger='click'": checkbox, "invisible": invisible, "invisible trigger='form-submit'": send_held}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_a_form_with_the_widget_is_admitted_once(
    page: Page, open_site: OpenSite, asked: list[str], way: str, mode: str
) -> None:
    site = open_site()
    site.show(page, WAYS[way], mode)
    MODES[mode](page)
    is_admitted_once(page, site)
    assert asked == []


@pytest.mark.parametrize(
    "cap",
    [{}, {"format": 2, "puzzles": 4, "difficulty": 3}, {"format": 2, "puzzles": 0, "squarings": 10_000}],
    ids=["as it comes", "format 2", "squarings"],
)
def test_the_work_may_be_any_of_caps(page: Page, open_site: OpenSite, asked: list[str], cap: dict[str, Any]) -> None:
    site = open_site(cap=cap)
    site.show(page, SERVED, "invisible")
    invisible(page)
    is_admitted_once(page, site)
    assert asked == []


@pytest.mark.parametrize(
    ("way", "options"),
    [(SERVED, {"public_origin": True}), (SHIM + ELSEWHERE, {})],
    ids=["A: with the public origin", "B: the shim knows where it came from"],
)
def test_a_page_of_another_origin_has_the_widget_too(
    page: Page, open_site: OpenSite, asked: list[str], way: str, options: dict[str, Any]
) -> None:
    """The page is on localhost and the gate on 127.0.0.1, so that start and pass take preflights."""
    site = open_site(**options)
    site.show(page, way, "invisible", host="localhost")
    invisible(page)
    is_admitted_once(page, site)
    assert asked == []


def test_without_either_way_the_bundle_asks_the_host_that_it_was_built_for(
    page: Page, open_site: OpenSite, asked: list[str]
) -> None:
    """The trap that both ways are for: api-host is heeded by the bootstrap alone."""
    site = open_site()
    site.show(page, ELSEWHERE, f"invisible trigger='form-submit' api-host='{site.gate}/.caputchin'")
    with page.expect_response("**/contact") as answer:
        send_held(page)
    assert answer.value.status == 403
    assert asked == [f"{BUILT_FOR}/v1/verify/start"]
    assert site.received == []


@pytest.mark.parametrize("way", WAYS)
def test_two_widgets_of_a_page_have_a_session_each(page: Page, open_site: OpenSite, asked: list[str], way: str) -> None:
    site = open_site()
    second = f"<form id=other><caputchin-widget sitekey='{SITE_KEY}' invisible></caputchin-widget></form>"
    site.show(page, WAYS[way], f"invisible></caputchin-widget></form>{second}<form hidden><caputchin-widget")
    expect(page.locator("input[name=caputchin-token]")).to_have_count(2, timeout=60_000)
    tokens = page.eval_on_selector_all("input[name=caputchin-token]", "fields => fields.map(field => field.value)")
    answers = [
        page.request.post(f"{site.gate}/contact", form={"caputchin-token": token}).status for token in tokens * 2
    ]
    assert answers == [200, 200, 403, 403]


@pytest.mark.parametrize(
    ("options", "site_key", "message"),
    [
        ({"sites": [{"site_key": SITE_KEY, "domains": ["shop.example"]}]}, SITE_KEY, "Error: origin-not-allowed"),
        ({}, "cpt_pub_other", "Error: invalid-sitekey"),
        ({"challenges_per_minute": 10}, SITE_KEY, "Error: rate-limited"),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_widget_tells_the_page_why_there_is_no_session(
    page: Page, open_site: OpenSite, asked: list[str], options: Any, site_key: str, message: str, host: str
) -> None:
    site = open_site(public_origin=True, **options)
    if "rate-limited" in message:
        for _ in range(10):
            page.request.post(
                f"{site.gate}/.caputchin/v1/verify/start",
                data={"platform": {"sitekey": SITE_KEY}},
                headers={"Origin": site.gate},
            )
    site.show(page, SERVED, "invisible", host=host, site_key=site_key)
    page.wait_for_function("seen.some(([name]) => name == 'error')")
    (told,) = [event for event in page.evaluate("seen") if event[0] == "error"]
    assert told == ["error", "cap-solve-failed", message]


def test_the_bootstrap_is_answered_so_that_the_widget_does_not_degrade(
    page: Page, open_site: OpenSite, asked: list[str]
) -> None:
    site = open_site()
    site.show(page, SERVED, "invisible")
    token_of(page)
    assert [name for name, *_ in page.evaluate("seen")] == ["start", "pass"]


@pytest.mark.parametrize(
    ("way", "policy"),
    [
        (SERVED, "script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"),
        (
            SHIM + ELSEWHERE,
            "script-src 'self' http://localhost:* 'wasm-unsafe-eval'; connect-src 'self' http://localhost:*",
        ),
    ],
    ids=WAYS,
)
def test_the_content_security_policies_of_the_documentation_let_the_widget_work(
    page: Page, open_site: OpenSite, asked: list[str], way: str, policy: str
) -> None:
    site = open_site()
    rest = "default-src 'none'; worker-src blob:; style-src 'unsafe-inline'; img-src data:"
    site.headers = {"Content-Security-Policy": f"{rest}; {policy}"}
    site.show(page, way, "trigger='click'")
    checkbox(page)
    is_admitted_once(page, site)


def integrity(script: bytes) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(script).digest()).decode()}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_may_hold_the_hash_of_what_the_gate_serves(
    page: Page, open_site: OpenSite, asked: list[str], host: str
) -> None:
    site = open_site(public_origin=True)
    served = page.request.get(f"{site.gate}/.caputchin/caputchin/widget.js").body()
    scripts = {
        name: SERVED.replace("src", f'crossorigin integrity="{integrity(script)}" src')
        for name, script in {"served": served, "original": bundle()}.items()
    }
    site.show(page, scripts["original"], "invisible", host=host)
    assert page.evaluate("customElements.get('caputchin-widget') === undefined")
    site.show(page, scripts["served"], "invisible", host=host)
    invisible(page)
    is_admitted_once(page, site)
