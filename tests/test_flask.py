"""At home in Flask: where views are marked, how refusals are answered, and what fails closed."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, Flask, Response, g, render_template_string, request
from flask.views import MethodView, View
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from caputchin_gate import ConfigurationError, Decision, Gate
from caputchin_gate.flask import Refused, decision_of, install, require_human
from caputchin_gate.wsgi import GateMiddleware
from tests import echo
from tests.test_doors import fresh_token


def make_gate(*protect: str) -> Gate:
    return echo.make_gate(protect, exempt=())


def tell(**variables: object) -> str:
    decision = decision_of(request)
    return decision.reason if decision is not None else "no decision"


def post(app: Flask, path: str, token: str | None = None, **more: Any) -> Any:
    data = {"name": "Ann", **({"caputchin-token": token} if token else {})}
    return app.test_client().post(path, **{"data": data, "headers": {"Accept": "application/json"}, **more})


BOTH = ["GET", "POST"]
marked = require_human(tell)


def on_a_function(app: Flask) -> str:
    app.route("/contact", methods=BOTH)(marked)
    return "/contact"


def with_variables(app: Flask) -> str:
    app.route("/t/<slug>/<int:number>.json", methods=BOTH)(marked)
    return "/t/a-b/7.json"


def with_a_path(app: Flask) -> str:
    app.route("/files/<path:name>/edit", methods=BOTH)(marked)
    return "/files/a/b/c/edit"


def on_a_coroutine_function(app: Flask) -> str:
    @app.route("/contact", methods=BOTH)
    @require_human
    async def contact() -> str:
        return tell()

    return "/contact"


def in_a_blueprint(app: Flask) -> str:
    inner, outer = Blueprint("inner", __name__), Blueprint("outer", __name__)
    inner.route("/contact", methods=BOTH)(marked)
    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer/<tenant>")
    return "/outer/ann/inner/contact"


def on_a_method(app: Flask) -> str:
    class Contact(MethodView):
        def get(self) -> str:
            return tell()

        @require_human
        def post(self) -> str:
            return tell()

    app.add_url_rule("/contact", view_func=Contact.as_view("contact"))
    return "/contact"


def on_a_method_view(app: Flask) -> str:
    class Contact(MethodView):
        decorators = [require_human]  # noqa: RUF012

        def get(self) -> str:
            return tell()

        def post(self) -> str:
            return tell()

    app.add_url_rule("/contact", view_func=Contact.as_view("contact"))
    return "/contact"


def on_a_view(app: Flask) -> str:
    class Contact(View):
        methods = BOTH
        decorators = [require_human(receipt="1m")]  # noqa: RUF012

        def dispatch_request(self) -> str:
            return tell()

    app.add_url_rule("/contact", view_func=Contact.as_view("contact"))
    return "/contact"


PLACES = (
    on_a_function,
    with_variables,
    with_a_path,
    on_a_coroutine_function,
    in_a_blueprint,
    on_a_method,
    on_a_method_view,
    on_a_view,
)


@pytest.mark.parametrize("installed_first", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_a_marked_view_asks_for_a_token_wherever_the_mark_stands(place: Any, installed_first: bool) -> None:
    app = Flask("site")
    if installed_first:
        install(app, make_gate())
    path = place(app)
    if not installed_first:
        install(app, make_gate())
    assert post(app, path).json["error-codes"] == ["missing-input-response"]
    token = fresh_token()
    assert post(app, path, token).text == "verified"
    assert post(app, path, token).status_code == 403
    assert app.test_client().get(path).text == "no decision"


def test_an_application_below_a_prefix_is_guarded_as_it_sees_itself() -> None:
    app = Flask("site")
    path = on_a_function(app)
    install(app, make_gate())
    client = Client(DispatcherMiddleware(Flask("outer"), {"/shop": app}))
    assert client.post(f"/shop{path}").status_code == 403
    assert client.post(f"/shop{path}", data={"caputchin-token": fresh_token()}).text == "verified"


# Settings


def create_app(settings: object) -> Flask:
    app = Flask("site")
    if settings is not None:
        app.config["CAPUTCHIN_GATE"] = settings
    install(app)
    return app


def test_the_gate_may_be_described_in_the_configuration_of_the_application() -> None:
    provider = {"kind": "caputchin", "verification": "in-process"}
    app = create_app({"provider": provider, "store": "memory", "protect": ["POST /contact"]})
    assert post(app, "/contact").status_code == 403


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (None, r"CAPUTCHIN_GATE: is missing; app\.config\["),
        ("gate.toml", "CAPUTCHIN_GATE: is no table"),
        ({"protct": []}, "protct: unknown key; did you mean 'protect'?"),
    ],
)
def test_settings_that_can_t_be_used_say_why(settings: object, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint.replace("?", r"\?")):
        create_app(settings)


# The widget


@pytest.mark.parametrize(
    ("call", "written"),
    [
        ("captcha_widget()", '<script src="/.caputchin/captcha.js" defer></script>'),
        ("captcha_widget(nonce='r4nd')", '<script src="/.caputchin/captcha.js" nonce="r4nd" defer></script>'),
        (
            "captcha_widget(locale=name)",
            '<script src="/.caputchin/captcha.js" data-locale="&lt;&quot;&gt;" defer></script>',
        ),
    ],
)
def test_templates_get_the_widget(call: str, written: str) -> None:
    app = Flask("site")
    install(app, make_gate())
    on_a_function(app)
    app.get("/")(lambda: render_template_string("{{ " + call + " }}", name='<">'))
    assert app.test_client().get("/").text == written
    below = Client(DispatcherMiddleware(Flask("outer"), {"/shop": app}))
    assert below.get("/shop/").text == written.replace("/.cap", "/shop/.cap")


def test_the_widget_fills_the_field_that_the_gate_looks_at() -> None:
    gate = Gate(provider="captchaapi", verification="in-process", store="memory")
    app = Flask("site")
    install(app, gate)
    with app.test_request_context():
        assert 'data-field="captchaapi_response"' in render_template_string("{{ captcha_widget() }}")


@pytest.mark.parametrize(
    "options", [{"provider": "caputchin", "secret": "cpt_sec_x"}, {"provider": "cap", "verification": "in-process"}]
)
def test_what_a_provider_s_widget_lacks_is_told(options: Any) -> None:
    app = Flask("site")
    install(app, Gate(store="memory", **options))
    with app.test_request_context(), pytest.raises(ConfigurationError, match="is missing"):
        render_template_string("{{ captcha_widget() }}")


# Refusals


@pytest.mark.parametrize("kind", [Refused, HTTPException, Forbidden, 403])
def test_a_refusal_goes_through_the_application_s_own_handler(kind: Any) -> None:
    app = Flask("site")
    install(app, make_gate())
    on_a_function(app)

    @app.errorhandler(kind)
    def answered(refused: Refused) -> tuple[dict[str, str], int]:
        return {"error": refused.decision.reason, "description": refused.description}, refused.code

    refused = post(app, "/contact", headers={"Accept-Language": "de"})
    assert (refused.status_code, refused.json["error"]) == (403, "token-missing")
    assert refused.json["description"].startswith("Dieses Formular ist vor automatischen Nachrichten geschützt")
    assert refused.headers["cache-control"] == "no-store"


def test_a_blueprint_s_handler_answers_for_its_views() -> None:
    app = Flask("site")
    forms = Blueprint("forms", __name__)
    forms.post("/contact")(marked)
    forms.errorhandler(Refused)(lambda refused: ("of the blueprint", 403))
    app.errorhandler(Refused)(lambda refused: ("of the application", 403))
    app.post("/other")(require_human(tell))
    app.register_blueprint(forms)
    install(app, make_gate())
    assert post(app, "/contact").text == "of the blueprint"


def test_a_handler_may_read_the_form_again() -> None:
    app = Flask("site")
    install(app, make_gate())
    on_a_function(app)
    app.errorhandler(Refused)(lambda refused: (f"{request.form['name']}, once more please", 403))
    assert post(app, "/contact").text == "Ann, once more please"


def test_a_handler_may_answer_with_a_status_that_http_has_no_words_for() -> None:
    app = Flask("site")
    install(app, make_gate())
    on_a_function(app)
    app.errorhandler(Refused)(lambda refused: ("once more please", 499))
    answer = post(app, "/contact")
    assert (answer.status_code, answer.text) == (499, "once more please")


def test_a_handler_that_fails_leaves_the_answer_to_the_gate(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("site")
    install(app, make_gate())
    on_a_function(app)
    app.errorhandler(Refused)(lambda refused: 1 / 0)
    assert post(app, "/contact").json["error-codes"] == ["missing-input-response"]
    assert "a refusal could not be answered by the application" in caplog.text


def test_what_an_application_does_after_each_request_is_done_to_refusals_too() -> None:
    """Flask-CORS and others add their headers there."""
    app = Flask("site")
    install(app, make_gate())
    on_a_function(app)

    @app.before_request
    def before() -> None:
        g.ran = True

    @app.after_request
    def after(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "https://shop.example"
        return response

    refused = post(app, "/contact")
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (403, "https://shop.example")
    assert refused.json["error-codes"] == ["missing-input-response"]


def test_a_view_that_answers_refusals_itself_gets_them() -> None:
    app = Flask("site")
    install(app, make_gate())
    app.post("/contact")(require_human(on_refuse="pass")(tell))
    assert post(app, "/contact").text == "token-missing"
    assert post(app, "/contact", fresh_token()).text == "verified"
    assert post(app, "/contact", data=b"{", content_type="application/json").status_code == 400


# One decision


def test_a_token_is_verified_once_where_a_rule_guards_a_marked_view_too() -> None:
    heard: list[Decision] = []
    gate = make_gate("POST /contact")
    gate.on_decision(heard.append)
    app = Flask("site")
    install(app, gate)
    on_a_function(app)
    assert post(app, "/contact", fresh_token()).text == "verified"
    assert [decision.reason for decision in heard] == ["verified"]


def test_the_mark_is_content_with_the_plain_middleware() -> None:
    app = Flask("site")
    on_a_function(app)
    app.wsgi_app = GateMiddleware(app.wsgi_app, gate=make_gate("POST /contact"))  # type: ignore[method-assign]
    assert post(app, "/contact", fresh_token()).text == "verified"
    assert post(app, "/contact").status_code == 403


def test_a_token_is_verified_once_where_the_same_gate_stands_twice() -> None:
    heard: list[Decision] = []
    gate = make_gate("POST /contact")
    gate.on_decision(heard.append)
    app = Flask("site")
    install(app, gate)
    on_a_function(app)
    client = Client(GateMiddleware(app, gate=gate))
    assert client.post("/contact", data={"caputchin-token": fresh_token()}).text == "verified"
    assert client.post("/contact").status_code == 403
    assert [decision.reason for decision in heard] == ["verified", "token-missing"]


# Failing closed


def test_a_marked_view_without_a_gate_refuses(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("site")
    on_a_function(app)
    assert post(app, "/contact", fresh_token()).status_code == 503
    assert "view tell was reached without a decision" in caplog.text
    assert app.test_client().get("/contact").status_code == 200


def test_a_mark_that_another_decorator_hides_refuses() -> None:
    app = Flask("site")
    install(app, make_gate("POST /other"))

    def hiding(view: Any) -> Any:
        return lambda **variables: view(**variables)

    app.add_url_rule("/contact", "contact", hiding(marked), methods=["POST"])
    assert post(app, "/contact", fresh_token()).status_code == 503


def test_a_decision_about_one_path_is_none_about_another_that_the_request_is_led_to() -> None:
    app = Flask("site")
    on_a_function(app)
    inner = app.wsgi_app

    def rewriting(environ: Any, start_response: Any) -> Any:
        return inner({**environ, "PATH_INFO": environ.get("HTTP_X_ORIGINAL_URL", environ["PATH_INFO"])}, start_response)

    app.wsgi_app = rewriting  # type: ignore[method-assign]
    install(app, make_gate("POST /weak"))
    headers = {"X-Original-URL": "/contact", "Accept": "application/json"}
    assert post(app, "/weak", fresh_token(), headers=headers).status_code == 503
    assert post(app, "/contact", fresh_token()).text == "verified"


def test_a_view_that_asks_for_something_else_counts_no_decision_of_its_neighbour() -> None:
    app = Flask("site")
    app.add_url_rule("/<who>/edit", "own", require_human(receipt="1m")(tell), methods=["POST"])
    app.add_url_rule("/admin/<what>", "admin", require_human(max_body="1KiB")(tell), methods=["POST"])
    install(app, make_gate())
    assert post(app, "/ann/edit", fresh_token()).text == "verified"
    assert post(app, "/admin/users", fresh_token()).text == "verified"
    assert app.url_map.bind("localhost").match("/admin/edit", method="POST")[0] == "admin"
    assert post(app, "/admin/edit", fresh_token()).status_code == 503


def test_a_mount_behind_the_gate_leads_nowhere_else() -> None:
    app = Flask("site")
    on_a_function(app)
    site = GateMiddleware(DispatcherMiddleware(Flask("outer"), {"/shop": app}), gate=make_gate("POST /shop/contact"))
    assert Client(site).post("/shop/contact", data={"caputchin-token": fresh_token()}).text == "verified"


def test_an_application_in_which_nothing_is_guarded_answers_nothing() -> None:
    app = Flask("site")
    app.get("/")(tell)
    install(app, make_gate())
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="nothing is protected"):
            app.test_client().get("/")


def test_a_mark_on_a_page_alone_is_told_with_the_first_request() -> None:
    app = Flask("site")
    app.get("/list")(marked)
    install(app, make_gate())
    with pytest.raises(ConfigurationError, match=r"view tell: answers GET, HEAD, OPTIONS, and its mark"):
        app.test_client().get("/")


@pytest.mark.parametrize("plain", [True, False])
def test_a_second_gate_is_a_mistake(plain: bool) -> None:
    app = Flask("site")
    if plain:
        app.wsgi_app = GateMiddleware(app.wsgi_app, gate=make_gate("POST /x"))  # type: ignore[method-assign]
    else:
        install(app, make_gate())
    with pytest.raises(ConfigurationError, match="a gate stands in front of this application already"):
        install(app, make_gate())


def test_a_mark_on_what_is_no_view_is_a_mistake() -> None:
    class Contact(MethodView): ...

    with pytest.raises(TypeError, match=r"decorators = \[require_human\]"):
        require_human(Contact)
