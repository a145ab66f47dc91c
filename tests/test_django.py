"""At home in Django: where views are marked, what the view gets, and what fails closed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from django import VERSION
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.utils.functional import lazy
from django.utils.translation import get_language
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from caputchin_gate import ConfigurationError, Decision
from caputchin_gate.django import decision_of, require_human, wrap
from caputchin_gate.wsgi import GateMiddleware
from tests.django_ways import DOOR, WAYS, Site, settings_of, site_gate
from tests.scenarios import BIG, END, file, part
from tests.test_doors import fresh_token

FORM = "application/x-www-form-urlencoded"


def tell(request: HttpRequest, *groups: str, **variables: object) -> HttpResponse:
    decision = decision_of(request)
    return HttpResponse(decision.reason if decision is not None else "no decision")


async def atell(request: HttpRequest, **variables: object) -> HttpResponse:
    return tell(request)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Where marks stand


@require_human
class OnAClass(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return tell(request)

    post = get


class Inheriting(OnAClass): ...


@require_human
class OnAnAsyncClass(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return tell(request)

    async def post(self, request: HttpRequest) -> HttpResponse:
        return tell(request)


@method_decorator(require_human(receipt="1m"), name="dispatch")
class Decorated(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return tell(request)

    post = get


class OnAMethod(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return tell(request)

    @require_human
    def post(self, request: HttpRequest) -> HttpResponse:
        return tell(request)


class OnADecoratedMethod(View):
    @method_decorator(require_human)
    def post(self, request: HttpRequest) -> HttpResponse:
        return tell(request)

    def get(self, request: HttpRequest) -> HttpResponse:
        return tell(request)


marked = require_human(tell)
inner = [path("contact/", marked, name="contact"), re_path(r"^x/(\d+)/$", marked)]
PLACES: dict[str, tuple[Any, str]] = {
    "a function": (path("contact", marked), "/contact"),
    "an async function": (path("contact", require_human(atell)), "/contact"),
    "under another decorator": (path("contact", csrf_exempt(marked)), "/contact"),
    "variables": (path("t/<slug:slug>/<int:number>.json", marked), "/t/a-b/7.json"),
    "a path": (path("files/<path:name>/edit", marked), "/files/a/b/c/edit"),
    "a regex": (re_path(r"^(?:page|seite)/(?P<which>help|about)/?$", marked), "/seite/help"),
    "a regex with digits": (re_path(r"^articles/(?P<year>[0-9]{4})/(?:draft/)?$", marked), "/articles/2026/draft/"),
    "an unanchored regex": (re_path(r"^loose/start", marked), "/loose/starting/here"),
    "an included URLconf": (path("a/<str:who>/", include((inner, "inner"), namespace="one")), "/a/ann/contact/"),
    "an included regex": (re_path(r"^b/", include(inner)), "/b/x/12/"),
    "a class": (path("contact", OnAClass.as_view()), "/contact"),
    "a class that inherits the mark": (path("contact", Inheriting.as_view()), "/contact"),
    "an async class": (path("contact", OnAnAsyncClass.as_view()), "/contact"),
    "method_decorator": (path("contact", Decorated.as_view()), "/contact"),
    "a method": (path("contact", OnAMethod.as_view()), "/contact"),
    "a method with method_decorator": (path("contact", OnADecoratedMethod.as_view()), "/contact"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_marked_view_asks_for_a_token_wherever_the_mark_stands(way: str, place: str) -> None:
    url, target = PLACES[place]
    with settings_of([url]):
        site = Site(way)
        assert site.post(target).status == 403
        token = fresh_token()
        assert site.post(target, token).text == "verified"
        assert site.post(target, token).status == 403
        assert site.send("GET", target).text == "no decision"


@pytest.mark.parametrize(
    "target", ["/de/contact", "/contact", "/de/kontakt", "/de/outer/kontakt"], ids=lambda target: str(target)
)
def test_a_marked_view_is_guarded_in_every_language_of_the_site(way: str, target: str) -> None:
    translated = lazy(lambda: "kontakt" if get_language() == "de" else "touch", str)()
    urls = [
        *i18n_patterns(
            path("contact", marked),
            path(translated, marked),
            path("outer/", include([path(translated, marked)])),
            prefix_default_language=False,
        )
    ]
    locale = "django.middleware.locale.LocaleMiddleware"
    with settings_of(urls, LANGUAGES=[("en", "English"), ("de", "Deutsch")], LANGUAGE_CODE="en"):
        site = Site(way, [locale])
        assert site.post(target).status == 403
        assert site.post(target, fresh_token()).text == "verified"


def test_a_variable_stands_for_any_segment_so_a_neighbour_may_be_guarded_too(way: str) -> None:
    with settings_of([path("articles/<int:year>", marked), path("articles/open", tell)]):
        site = Site(way)
        assert site.post("/articles/open").status == 403  # {year} is any segment
        assert site.post("/articles/").status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_mark_may_name_the_methods_that_it_asks_a_token_for(way: str, method: str) -> None:
    with settings_of([path("export", require_human(methods=["GET"])(tell))]):
        site = Site(way)
        assert site.send(method, "/export").status == 403
        assert site.post("/export").text == "no decision"
        assert site.send("GET", "/export", headers={"X-Caputchin-Token": fresh_token()}).text == "verified"


@pytest.mark.parametrize("thing", ["contact", type("Contact", (), {})])
def test_a_mark_on_what_is_no_view_is_a_mistake(thing: Any) -> None:
    with pytest.raises(TypeError, match="stands above a function, a View or a method"):
        require_human(thing)


# One decision


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_token_is_verified_once_by_wrap_middleware_rule_and_mark_together(interface: str) -> None:
    with settings_of([path("contact", marked)], ["POST /contact", "POST /other"]):
        heard: list[Decision] = []
        site_gate().on_decision(heard.append)
        assert Site(f"{interface}-wrap", [DOOR]).post("/contact", fresh_token()).text == "verified"
        assert [decision.reason for decision in heard] == ["verified"]


def test_the_mark_is_content_with_the_plain_middleware() -> None:
    with settings_of([path("contact", marked)], ["POST /contact"]):
        site = Site("wsgi-none")
        site.app = GateMiddleware(site.app, gate=site_gate())
        assert site.post("/contact", fresh_token()).text == "verified"
        assert site.post("/contact").status == 403


def test_a_view_that_answers_refusals_itself_gets_them(way: str) -> None:
    with settings_of([path("contact", require_human(on_refuse="pass")(tell))]):
        site = Site(way)
        assert site.post("/contact").text == "token-missing"
        assert site.post("/contact", fresh_token()).text == "verified"
        assert site.send("POST", "/contact", b"{", {"Content-Type": "application/json"}).status == 400


def test_a_view_gets_no_refusals_that_only_a_rule_passes_on(way: str) -> None:
    rule = {"match": "POST /contact", "on_refuse": "pass"}
    with settings_of([path("contact", marked)], gate={"route": [rule]}):
        answer = Site(way).post("/contact")
        assert (answer.status, b"missing-input-response" in answer.body) == (403, True)


def test_a_receipt_is_one_cookie_beside_those_of_the_view(way: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        response = tell(request)
        response.set_cookie("own", "kept")
        response.headers["X-Own"] = "kept"
        return response

    with settings_of([path("contact", require_human(receipt="2m")(view))]):
        site = Site(way)
        answer = site.post("/contact", fresh_token())
        cookies = [cookie.strip() for cookie in answer.header("set-cookie")]
        assert len(cookies) == 2
        (receipt,) = (cookie for cookie in cookies if not cookie.startswith("own="))
        _, *attributes = (one.strip().lower() for one in receipt.split(";"))
        assert {"httponly", "path=/", "max-age=120", "samesite=strict"} <= set(attributes)
        headers = {"Cookie": receipt.split(";")[0], "Content-Type": FORM}
        assert site.send("POST", "/contact", b"name=Ann", headers).text == "receipt"


# What the view gets


def described(parts: Iterator[bytes] | list[bytes]) -> JsonResponse:
    body = b"".join(parts)
    return JsonResponse({"length": len(body), "sha256": hashlib.sha256(body).hexdigest()})


def read_all(request: HttpRequest) -> JsonResponse:
    return described([request.read()])


def read_piecewise(request: HttpRequest) -> JsonResponse:
    return described(list(iter(lambda: request.read(1000), b"")))


def read_lines(request: HttpRequest) -> JsonResponse:
    return described(list(request))


def read_body(request: HttpRequest) -> JsonResponse:
    return described([request.body])


@pytest.mark.parametrize("view", [read_all, read_piecewise, read_lines, read_body])
def test_the_body_reaches_the_view_byte_for_byte_however_it_reads_it(
    way: str, view: Callable[[HttpRequest], HttpResponse]
) -> None:
    body = part("caputchin-token", fresh_token()) + file(BIG) + END
    with settings_of([path("upload", require_human(view))]):
        answer = Site(way).send("POST", "/upload", body, {"Content-Type": "multipart/form-data; boundary=xXx"})
        assert answer.text == described([body]).content.decode()


@pytest.mark.parametrize("first", [True, False])
def test_forms_and_files_are_parsed_as_without_a_gate(way: str, first: bool) -> None:
    """Also files over the size that Django keeps in memory, and a token behind them."""

    def view(request: HttpRequest) -> HttpResponse:
        upload: Any = request.FILES["upload"]
        return JsonResponse({"name": request.POST["name"], "same": upload.read() == BIG})

    token = part("caputchin-token", fresh_token())
    body = (token if first else b"") + part("name", "Zoë") + file(BIG) + (b"" if first else token) + END
    with settings_of([path("upload", require_human(view))], FILE_UPLOAD_MAX_MEMORY_SIZE=1000):
        answer = Site(way).send("POST", "/upload", body, {"Content-Type": "multipart/form-data; boundary=xXx"})
        assert answer.text == '{"name": "Zo\\u00eb", "same": true}'


def test_a_body_over_django_s_limit_of_memory_is_django_s_to_refuse(way: str) -> None:
    with settings_of([path("contact", require_human(read_body))], DATA_UPLOAD_MAX_MEMORY_SIZE=100):
        site = Site(way)
        body = f"caputchin-token={fresh_token()}&x=".encode() + b"y" * 2000
        assert site.send("POST", "/contact", body, {"Content-Type": FORM}).status == 400
        assert site.send("POST", "/contact", b"x=" + b"y" * 2000, {"Content-Type": FORM}).status == 403


def test_no_header_of_the_gate_s_prefix_reaches_a_guarded_view(way: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        own = [name for name in (*request.META, *request.headers) if "CAPUTCHIN" in name.upper().replace("-", "_")]
        return HttpResponse(",".join(name for name in own if not name.startswith("caputchin_gate")))

    with settings_of([path("contact", require_human(view))]):
        site = Site(way, ["tests.test_django.looking_at_headers"])
        headers = {"X-Caputchin-Token": fresh_token(), "X-Caputchin-Verdict": "admitted"}
        answer = site.send("POST", "/contact", b"", headers)
        assert (answer.status, answer.text) == (200, "")


def looking_at_headers(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.headers is not None
        response: HttpResponse = get_response(request)
        return response

    return middleware


@pytest.mark.parametrize("forced", [None, "/shop"])
def test_a_site_below_a_prefix_is_guarded_as_it_sees_itself(way: str, forced: str | None) -> None:
    with settings_of([path("contact", marked), path("open", tell)], FORCE_SCRIPT_NAME=forced):
        site = Site(way)
        for target in ("/contact", "//contact", "/%63ontact"):
            assert site.send("POST", target, b"x=y", {"Content-Type": FORM}, root_path="/shop").status == 403
        body = f"caputchin-token={fresh_token()}".encode()
        assert site.send("POST", "/contact", body, {"Content-Type": FORM}, root_path="/shop").text == "verified"
        assert site.send("POST", "/open", b"x=y", {"Content-Type": FORM}, root_path="/shop").text == "no decision"


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("asgi")])
def test_a_forced_prefix_that_the_server_does_not_know_of_is_cut_off_for_the_gate_too(way: str) -> None:
    """Django cuts it off an ASGI path: the handler of /contact runs for /shop/contact."""
    with settings_of([path("contact", tell)], ["POST /contact"], FORCE_SCRIPT_NAME="/shop"):
        site = Site(way)
        if way == "asgi-middleware" and VERSION < (5,):
            assert site.post("/shop/contact").status == 404  # Django 4.2 does not: no handler runs
            return
        assert site.post("/shop/contact").status == 403
        assert site.post("/shop/contact", fresh_token()).text == "verified"


# Middleware beside the gate


def sync_only(get_response: Any) -> Any:
    return lambda request: get_response(request)


def reading_the_body(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.body is not None
        response: HttpResponse = get_response(request)
        return response

    return middleware


def taking_the_stream(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        request.read()
        response: HttpResponse = get_response(request)
        return response

    return middleware


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize("beside", [["sync_only", DOOR], [DOOR, "sync_only"], ["reading_the_body", DOOR]])
def test_the_gate_gets_along_with_other_middleware(interface: str, beside: list[str]) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.POST["name"])

    middleware = [name if name == DOOR else f"tests.test_django.{name}" for name in beside]
    with settings_of([path("contact", require_human(view))]):
        site = Site(f"{interface}-none", middleware)
        assert site.post("/contact").status == 403
        assert site.post("/contact", fresh_token(), name="Zoe").text == "Zoe"


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_body_that_was_read_and_not_kept_is_refused(interface: str, caplog: pytest.LogCaptureFixture) -> None:
    with settings_of([path("contact", marked)]):
        site = Site(f"{interface}-none", ["tests.test_django.taking_the_stream", DOOR])
        assert site.post("/contact", fresh_token()).status == 503
    assert "has to stand before it in MIDDLEWARE" in caplog.text


def test_django_s_own_test_clients_see_the_gate() -> None:
    import asyncio

    with settings_of([path("contact", marked)], MIDDLEWARE=[DOOR]):
        assert Client().post("/contact").status_code == 403
        assert Client().post("/contact", {"caputchin-token": fresh_token()}).content == b"verified"

        async def post() -> Any:
            return await AsyncClient().post("/contact", {"caputchin-token": fresh_token()})

        assert asyncio.run(post()).content == b"verified"


# Failing closed


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    "place",
    ["a function", "an async function", "an async class", "method_decorator", "a method with method_decorator"],
)
def test_a_marked_view_without_a_gate_refuses(interface: str, place: str, caplog: pytest.LogCaptureFixture) -> None:
    url, target = PLACES[place]
    with settings_of([url]):
        site = Site(f"{interface}-none")
        assert site.post(target, fresh_token()).status == 503
        assert "was reached without a decision" in caplog.text
        assert site.send("GET", target).status == 200


def other_urls(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        request.urlconf = (path("hidden", marked),)
        response: HttpResponse = get_response(request)
        return response

    return middleware


def other_path(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        request.path_info = request.headers.get("X-Original-URL", request.path_info)
        response: HttpResponse = get_response(request)
        return response

    return middleware


def test_a_decision_about_one_path_is_none_about_another_that_the_request_is_led_to(way: str) -> None:
    with settings_of([path("contact", marked)], ["POST /weak"]):
        site = Site(way, ["tests.test_django.other_path"])
        body = f"caputchin-token={fresh_token()}".encode()
        led = site.send("POST", "/weak", body, {"Content-Type": FORM, "X-Original-URL": "/contact"})
        assert led.status == 503
        assert site.post("/contact", fresh_token()).text == "verified"


def test_a_marked_view_of_another_urlconf_refuses(way: str) -> None:
    with settings_of([path("contact", marked)]):
        assert Site(way, ["tests.test_django.other_urls"]).post("/hidden", fresh_token()).status == 503


WRONG: list[tuple[Any, Any, str]] = [
    (None, [path("contact", marked)], "CAPUTCHIN_GATE: is missing"),
    ("gate.toml", [path("contact", marked)], "CAPUTCHIN_GATE: is no table"),
    ({"protct": []}, [path("contact", marked)], "protct: unknown key; did you mean 'protect'"),
    (
        {"provider": {"kind": "caputchin", "verification": "in-process"}},
        [path("contact", tell)],
        "nothing is protected",
    ),
    (
        {"provider": {"kind": "caputchin", "verification": "in-process"}},
        [
            path("list", require_human(require_POST(tell))),
            path("x", require_human(methods=["GET"])(require_POST(tell))),
        ],
        "view tell: answers POST, and its mark asks nothing",
    ),
]


@pytest.mark.parametrize(("setting", "urls", "complaint"), WRONG, ids=lambda value: str(value)[:40])
def test_a_site_with_wrong_settings_does_not_start(
    way: str, setting: Any, urls: Any, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caputchin_gate.django.gates import Forms

    monkeypatch.setattr(Forms, "have_fields", False)
    with settings_of(urls, CAPUTCHIN_GATE=setting), pytest.raises(ConfigurationError, match=complaint):
        Site(way)


def test_wrap_takes_whatever_has_been_put_around_the_application() -> None:
    with settings_of([path("contact", marked)]):
        site = Site("wsgi-none")
        inner = site.app

        def around(environ: Any, start_response: Any) -> Any:
            return inner(environ, start_response)

        site.app = wrap(around)
        assert site.post("/contact").status == 403
        assert site.post("/contact", fresh_token()).text == "verified"


def test_a_streamed_upload_is_handed_over_while_it_comes() -> None:
    """The middleware reads no more of a body than it has to: the rest is the server's until the view asks."""

    class Counted(BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            Counted.taken += len(piece)
            return piece

    seen: list[int] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(Counted.taken)
        return described([request.read()])

    body = part("caputchin-token", fresh_token()) + file(BIG) + END
    with settings_of([path("upload", require_human(view))]):
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        environ = EnvironBuilder("/upload", method="POST").get_environ()
        environ |= {"wsgi.input": Counted(body), "CONTENT_LENGTH": str(len(body))}
        environ["CONTENT_TYPE"] = "multipart/form-data; boundary=xXx"
        pieces, status, _ = run_wsgi_app(Site("wsgi-middleware").app, environ)
        assert (status, b"".join(pieces)) == ("200 OK", described([body]).content)
    assert seen[0] < len(body) // 2
