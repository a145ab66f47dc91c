"""At home in Starlette: where endpoints are marked, how refusals are answered, and what fails closed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from jinja2 import DictLoader, Environment
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from caputchin_gate import ConfigurationError, Decision, Gate
from caputchin_gate.asgi import GateMiddleware
from caputchin_gate.marks import MarkedView, mark
from caputchin_gate.starlette import Refused, decision_of, install, require_human
from tests import echo
from tests.test_doors import fresh_token


def make_gate(*protect: str) -> Gate:
    return echo.make_gate(protect, exempt=())


async def tell(request: Request) -> Response:
    decision = decision_of(request)
    return PlainTextResponse(decision.reason if decision is not None else "no decision")


def tell_from_a_thread(request: Request) -> Response:
    decision = decision_of(request)
    return PlainTextResponse(decision.reason if decision is not None else "no decision")


def post(
    app: Starlette, path: str, token: str | None = None, headers: dict[str, str] | None = None, **more: Any
) -> Any:
    client = TestClient(app, raise_server_exceptions=False, headers={"Accept": "application/json"})
    data = {"name": "Ann", **({"caputchin-token": token} if token else {})}
    return client.post(path, **{"data": data, "headers": headers, **more})


def installed(*routes: Any, gate: Gate | None = None, **more: Any) -> Starlette:
    app = Starlette(routes=routes, **more)
    install(app, gate or make_gate())
    return app


@require_human
class Contact(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return await tell(request)

    async def post(self, request: Request) -> Response:
        return await tell(request)


class Partly(HTTPEndpoint):
    @require_human
    async def post(self, request: Request) -> Response:
        return await tell(request)

    async def put(self, request: Request) -> Response:
        return await tell(request)


marked = require_human(tell)
BOTH = ["GET", "POST"]


@pytest.mark.parametrize(
    ("route", "path"),
    [
        (Route("/contact", marked, methods=BOTH), "/contact"),
        (Route("/contact", require_human(tell_from_a_thread), methods=BOTH), "/contact"),
        (Route("/contact", Contact), "/contact"),
        (Route("/t/{slug}/reply", marked, methods=BOTH), "/t/a-b/reply"),
        (Route("/n/{number:int}.json", marked, methods=BOTH), "/n/7.json"),
        (Route("/files/{path:path}", marked, methods=BOTH), "/files/a/b/c"),
        (Mount("/shop", routes=[Route("/contact", marked, methods=BOTH)]), "/shop/contact"),
        (Mount("/shop", app=Router([Route("/", marked, methods=BOTH)])), "/shop/"),
        (Mount("/s/{tenant}", routes=[Mount("/b", routes=[Route("/x", marked, methods=BOTH)])]), "/s/ann/b/x"),
        (Mount("/shop", app=Starlette(routes=[Route("/contact", marked, methods=BOTH)])), "/shop/contact"),
        (Host("testserver", Router([Route("/contact", marked, methods=BOTH)])), "/contact"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_marked_endpoint_asks_for_a_token_wherever_it_stands(route: Any, path: str) -> None:
    app = installed(route)
    assert post(app, path).status_code == 403
    token = fresh_token()
    assert post(app, path, token).text == "verified"
    assert post(app, path, token).json()["error-codes"] == ["timeout-or-duplicate"]
    assert TestClient(app).get(path).text == "no decision"


def test_one_method_of_an_endpoint_may_be_marked() -> None:
    app = installed(Route("/contact", Partly))
    assert post(app, "/contact").status_code == 403
    assert TestClient(app).put("/contact").text == "no decision"


def test_a_mark_may_have_the_options_of_a_route() -> None:
    options: dict[str, Any] = {"max_body": "1KiB", "receipt": "2m"}
    app = installed(Route("/contact", require_human(**options)(tell), methods=["POST"]))
    assert post(app, "/contact", data={"x": "y" * 2000}).status_code == 413
    assert "set-cookie" in post(app, "/contact", fresh_token()).headers


def test_a_get_that_is_named_asks_for_a_token_too() -> None:
    app = installed(Route("/contact", require_human(methods=["GET"])(tell)))
    client = TestClient(app)
    assert client.get("/contact").status_code == 403
    assert client.head("/contact").status_code == 403
    assert client.get("/contact", headers={"X-Caputchin-Token": fresh_token()}).text == "verified"


# Refusals


def plainly(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return JSONResponse([refused.decision.reason, refused.detail], refused.status_code)


async def awaited(request: Request, refused: Exception) -> Response:
    return plainly(request, refused)


@pytest.mark.parametrize("kind", [Refused, HTTPException, 403])
@pytest.mark.parametrize("handler", [plainly, awaited])
def test_a_refusal_goes_through_the_application_s_own_handler(kind: Any, handler: Callable[..., Any]) -> None:
    app = installed(Route("/contact", marked, methods=["POST"]), exception_handlers={kind: handler})
    refused = post(app, "/contact", headers={"Accept-Language": "de"})
    reason, detail = refused.json()
    assert (refused.status_code, reason) == (403, "token-missing")
    assert detail.startswith("Dieses Formular ist vor automatischen Nachrichten geschützt")
    assert refused.headers["cache-control"] == "no-store"


def test_a_handler_may_read_the_form_again() -> None:
    async def form_again(request: Request, refused: Exception) -> Response:
        return PlainTextResponse(f"{(await request.form())['name']}, once more please", 403)

    app = installed(Route("/contact", marked, methods=["POST"]), exception_handlers={Refused: form_again})
    assert post(app, "/contact").text == "Ann, once more please"


def test_a_handler_that_fails_leaves_the_answer_to_the_gate(caplog: pytest.LogCaptureFixture) -> None:
    def failing(request: Request, refused: Exception) -> Response:
        raise RuntimeError("no template")

    app = installed(Route("/contact", marked, methods=["POST"]), exception_handlers={Refused: failing})
    refused = post(app, "/contact")
    assert (refused.status_code, refused.json()["error-codes"]) == (403, ["missing-input-response"])
    assert "a refusal could not be answered by the application" in caplog.text


def test_a_handler_of_other_errors_is_not_asked() -> None:
    app = installed(Route("/contact", marked, methods=["POST"]), exception_handlers={404: plainly, ValueError: plainly})
    assert post(app, "/contact").json()["error-codes"] == ["missing-input-response"]


def test_a_configured_redirect_needs_no_handler() -> None:
    to_contact = require_human(on_refuse="redirect:/contact")(tell)
    app = installed(Route("/contact", to_contact, methods=["POST"]), exception_handlers={Refused: plainly})
    refused = post(app, "/contact", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (refused.status_code, refused.headers["location"]) == (303, "/contact")


def test_an_endpoint_that_answers_refusals_itself_gets_them() -> None:
    app = installed(Route("/contact", require_human(on_refuse="pass")(tell), methods=["POST"]))
    assert post(app, "/contact").text == "token-missing"
    assert post(app, "/contact", fresh_token()).text == "verified"
    unreadable = {"Content-Type": "application/json"}
    assert TestClient(app).post("/contact", content=b"{", headers=unreadable).status_code == 400


@pytest.mark.parametrize("before", [True, False])
def test_pages_of_other_origins_can_read_a_refusal(before: bool) -> None:
    app = Starlette(routes=[Route("/contact", marked, methods=["POST"])])
    allowed = {"allow_origins": ["https://shop.example"], "allow_methods": ["POST"]}
    if before:
        app.add_middleware(CORSMiddleware, **allowed)
    install(app, make_gate())
    if not before:
        app.add_middleware(CORSMiddleware, **allowed)
    origin = {"Origin": "https://shop.example"}
    refused = post(app, "/contact", headers=origin)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (403, "https://shop.example")
    asked = TestClient(app).options("/contact", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 200


def test_nothing_that_was_there_before_answers_before_the_gate() -> None:
    class Answering:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await (PlainTextResponse("too early") if scope["type"] == "http" else self.app)(scope, receive, send)

    app = Starlette(routes=[Route("/contact", marked, methods=["POST"])])
    app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"])
    app.add_middleware(Answering)
    install(app, make_gate())
    assert post(app, "/contact").status_code == 403


# One decision


def test_a_token_is_verified_once_where_a_rule_guards_a_marked_endpoint_too() -> None:
    heard: list[Decision] = []
    gate = make_gate("POST /contact")
    gate.on_decision(heard.append)
    app = installed(Route("/contact", marked, methods=["POST"]), gate=gate)
    assert post(app, "/contact", fresh_token()).text == "verified"
    assert [decision.reason for decision in heard] == ["verified"]


def test_the_mark_is_content_with_the_plain_middleware() -> None:
    heard: list[Decision] = []
    gate = make_gate("POST /contact")
    gate.on_decision(heard.append)
    app = Starlette(
        routes=[Route("/contact", marked, methods=BOTH)], middleware=[Middleware(GateMiddleware, gate=gate)]
    )
    assert post(app, "/contact", fresh_token()).text == "verified"
    assert post(app, "/contact").status_code == 403
    assert [decision.reason for decision in heard] == ["verified", "token-missing"]


def test_a_token_is_verified_once_where_the_same_gate_stands_twice() -> None:
    heard: list[Decision] = []
    gate = make_gate("POST /contact", "POST /other")
    gate.on_decision(heard.append)
    routes = [Route("/contact", marked, methods=["POST"]), Route("/strict", marked, methods=["POST"])]
    app: Any = GateMiddleware(installed(*routes, gate=gate), gate=gate)
    assert post(app, "/contact", fresh_token()).text == "verified"
    assert post(app, "/strict", fresh_token()).text == "verified"
    assert post(app, "/contact").status_code == 403
    assert [decision.reason for decision in heard] == ["verified", "verified", "token-missing"]


def test_a_decision_by_another_rule_does_not_count_for_a_mark_that_asks_for_more() -> None:
    gate = make_gate("/{rest:path}")
    route = Route("/contact", require_human(max_body="1MiB")(tell), methods=["POST"])
    app: Any = GateMiddleware(installed(route, gate=gate), gate=gate)
    assert post(app, "/contact", fresh_token()).json()["error-codes"] == ["timeout-or-duplicate"]


def test_a_rule_of_the_same_words_that_asks_for_less_does_not_count_either() -> None:
    gate = make_gate("POST /other")
    inner = installed(Route("/contact", require_human(max_body="1MiB")(tell), methods=["POST"]), gate=gate)
    outer = installed(Route("/contact", marked, methods=["POST"]), gate=gate)
    outer.router.routes.insert(0, Host("inner.example", inner))
    told = post(outer, "/contact", fresh_token(), headers={"Host": "inner.example"})
    assert told.json()["error-codes"] == ["timeout-or-duplicate"]
    assert post(outer, "/contact", fresh_token()).text == "verified"


def test_a_receipt_counts_once_where_the_same_gate_stands_twice() -> None:
    gate = make_gate("POST /other")
    route = Route("/contact", require_human(receipt="1m")(tell), methods=["POST"])
    app: Any = GateMiddleware(
        installed(route, gate=gate),
        gate=gate.guarding([MarkedView("x", "/contact", frozenset({"POST"}), mark({"receipt": "1m"}), 1)]),
    )
    assert post(app, "/contact", fresh_token()).text == "verified"


def test_a_decision_of_another_gate_does_not_count_for_this_one() -> None:
    heard: list[Decision] = []
    gate = make_gate("POST /contact")
    gate.on_decision(heard.append)
    app: Any = GateMiddleware(
        installed(Route("/contact", marked, methods=["POST"]), gate=gate), gate=make_gate("POST /contact")
    )
    assert post(app, "/contact", fresh_token()).text == "verified"
    assert [decision.reason for decision in heard] == ["verified"]


# Failing closed


def test_a_marked_endpoint_without_a_gate_refuses(caplog: pytest.LogCaptureFixture) -> None:
    app = Starlette(routes=[Route("/contact", marked, methods=BOTH)])
    assert post(app, "/contact", fresh_token()).status_code == 503
    assert "view tell was reached without a decision" in caplog.text
    assert TestClient(app).get("/contact").status_code == 200


def test_a_marked_endpoint_that_the_gate_sees_on_another_path_refuses() -> None:
    class Rewriting:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app({**scope, "path": "/contact"} if scope["type"] == "http" else scope, receive, send)

    gate = make_gate("POST /weak", "POST /hooks/{name}")
    app = installed(Route("/contact", marked, methods=["POST"]), gate=gate, middleware=[Middleware(Rewriting)])
    for path in ("/elsewhere", "/weak", "/contact/"):
        assert post(app, path, fresh_token()).status_code == 503
    assert post(app, "/contact", fresh_token()).text == "verified"


def test_an_exemption_of_one_path_is_none_of_another_that_the_request_is_led_to() -> None:
    class Rewriting:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            told = dict(scope.get("headers", ())).get(b"x-original-url")
            await self.app({**scope, "path": told.decode()} if told else scope, receive, send)

    gate = echo.make_gate(["POST /hooks/{name}"], exempt=["POST /hooks/paid"])
    routes = [Route("/contact", marked, methods=["POST"]), Route("/hooks/{name}", tell, methods=["POST"])]
    app = installed(*routes, gate=gate, middleware=[Middleware(Rewriting)])
    assert post(app, "/hooks/paid").text == "exempt"
    assert post(app, "/hooks/paid", headers={"X-Original-URL": "/contact"}).status_code == 503


def test_an_endpoint_that_is_marked_after_the_start_refuses() -> None:
    app = installed(gate=make_gate("POST /other"))
    with TestClient(app) as client:
        app.add_route("/contact", marked, methods=["POST"])
        assert client.post("/contact", data={"caputchin-token": fresh_token()}).status_code == 503


def test_an_endpoint_that_is_added_while_the_application_starts_is_guarded() -> None:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        app.add_route("/contact", marked, methods=["POST"])
        yield

    with TestClient(installed(lifespan=lifespan)) as client:
        assert client.post("/contact", data={"caputchin-token": fresh_token()}).text == "verified"
        assert client.post("/contact").status_code == 403


def test_a_marked_websocket_is_closed() -> None:
    @require_human
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()

    app = installed(WebSocketRoute("/chat", chat), gate=make_gate("POST /contact"))
    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect("/chat"):
        pass


def test_an_application_in_which_nothing_is_guarded_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="nothing is protected"), TestClient(installed(Route("/", tell))):
        pass


def test_without_lifespan_the_first_request_tells() -> None:
    with pytest.raises(ConfigurationError, match="nothing is protected"):
        TestClient(installed(Route("/", tell))).get("/")


def test_an_application_that_has_started_takes_no_gate() -> None:
    app = Starlette(routes=[Route("/contact", tell, methods=["POST"])])
    assert post(app, "/contact").text == "no decision"
    with pytest.raises(ConfigurationError, match="has started"):
        install(app, make_gate("POST /contact"))


def test_a_mark_on_a_page_alone_does_not_start() -> None:
    with (
        pytest.raises(ConfigurationError, match="view tell: answers GET, HEAD"),
        TestClient(installed(Route("/", marked))),
    ):
        pass


@pytest.mark.parametrize("first", [install, lambda app, gate: app.add_middleware(GateMiddleware, gate=gate)])
def test_a_second_gate_is_a_mistake(first: Callable[[Starlette, Gate], None]) -> None:
    app = Starlette(routes=[Route("/contact", marked, methods=["POST"])])
    first(app, make_gate("POST /x"))
    with pytest.raises(ConfigurationError, match="a gate stands in front of this application already"):
        install(app, make_gate())


def test_a_mounted_application_with_a_gate_of_its_own_keeps_its_marks() -> None:
    shop = installed(Route("/contact", marked, methods=BOTH))
    app = installed(Mount("/shop", app=shop), Route("/contact", marked, methods=BOTH))
    for path in ("/contact", "/shop/contact"):
        assert post(app, path).status_code == 403
        assert post(app, path, fresh_token()).text == "verified"


def test_one_endpoint_may_stand_in_two_applications() -> None:
    for path in ("/one", "/other"):
        app = installed(Route(path, marked, methods=["POST"]))
        assert (post(app, path).status_code, post(app, path, fresh_token()).text) == (403, "verified")


@pytest.mark.parametrize("wrong", [object(), Starlette()])
def test_a_mark_on_what_is_no_endpoint_is_a_mistake(wrong: Any) -> None:
    with pytest.raises(TypeError, match="is no endpoint"):
        require_human(wrong)


def test_the_gate_is_closed_with_the_application() -> None:
    gate = make_gate()
    closed: list[str] = []

    async def aclose() -> None:
        closed.append("gate")

    gate.aclose = aclose  # type: ignore[method-assign]
    with TestClient(installed(Route("/contact", marked, methods=["POST"]), gate=gate)):
        assert closed == []
    assert closed == ["gate"]


def test_starting_warns_of_what_is_risky(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    gate = Gate(provider="caputchin", secret="cpt_sec_example", store="memory")
    with TestClient(installed(Route("/contact", require_human(receipt="2m")(tell), methods=["POST"]), gate=gate)):
        assert '"memory" knows one process only' in caplog.text


# The widget


def widget_page(templates: Any, call: str) -> Callable[[Request], Response]:
    templates.env.loader.mapping["page"] = "{{ " + call + " }}"
    return lambda request: templates.TemplateResponse(request, "page")


@pytest.mark.parametrize("root", ["", "/shop"])
def test_templates_get_the_widget_also_below_a_mount(root: str) -> None:
    templates = Jinja2Templates(env=Environment(loader=DictLoader({}), autoescape=True))
    page = widget_page(templates, "captcha_widget(nonce='r4nd', locale='<\">')")
    inner = Mount("/inner", Starlette(routes=[Route("/", page)]))
    app = Starlette(routes=[Route("/", page), inner])
    install(app, make_gate("POST /x"), templates=templates)
    client = TestClient(Starlette(routes=[Mount(root, app)]) if root else app)
    written = f'<script src="{root}/.caputchin/captcha.js" nonce="r4nd" data-locale="&lt;&quot;&gt;" defer></script>'
    assert client.get(f"{root}/").text == written
    assert client.get(f"{root}/inner/").text == written
