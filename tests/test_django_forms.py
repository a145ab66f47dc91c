"""The captcha as a field of a form, in the admin's login, in templates and in Django REST framework."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from django import forms
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Engine
from django.test import RequestFactory
from django.urls import path
from django.utils import translation

from caputchin_gate import ConfigurationError, Decision
from caputchin_gate.django import CaptchaField, CaptchaWidget, decision_of, require_human
from caputchin_gate.django.forms import Forms
from caputchin_gate.refusals.field_texts import FIELD_TEXTS
from caputchin_gate.refusals.texts import LANGUAGES
from tests.django_ways import DOOR, WAYS, Site, settings_of, site_gate
from tests.servers import inherited
from tests.test_doors import fresh_token, wrong_token


class SignUp(forms.Form):
    name = forms.CharField(min_length=2)
    captcha = CaptchaField()


def sign_up(request: HttpRequest) -> HttpResponse:
    form = SignUp(request.POST)
    if not form.is_valid():
        return JsonResponse(form.errors.get_json_data(), status=422)
    decision: Decision = form.cleaned_data["captcha"]
    seen = decision_of(request)
    return JsonResponse({"field": decision.reason, "view": seen.reason if seen is not None else None})


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


MISSING = FIELD_TEXTS["en"]


@pytest.mark.parametrize("is_marked", [True, False])
def test_a_form_is_valid_with_a_token_once_and_tells_why_it_is_not(way: str, is_marked: bool) -> None:
    view = require_human(on_refuse="pass")(sign_up) if is_marked else sign_up
    with settings_of([path("signup", view)]):
        heard: list[Decision] = []
        site_gate().on_decision(heard.append)
        site = Site(way)
        missing = site.post("/signup")
        assert (missing.status, '"code": "token-missing"' in missing.text) == (422, True)
        assert '"code": "token-rejected"' in site.post("/signup", wrong_token()).text
        token = fresh_token()
        assert site.post("/signup", token).text == '{"field": "verified", "view": "verified"}'
        assert '"code": "token-used"' in site.post("/signup", token).text
        assert [decision.reason for decision in heard] == ["token-missing", "token-rejected", "verified", "token-used"]


def test_a_corrected_form_needs_no_new_token_with_a_receipt_and_a_new_one_without(way: str) -> None:
    receipts = require_human(on_refuse="pass", receipt="2m")(sign_up)
    plain = require_human(on_refuse="pass")(sign_up)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with settings_of([path("signup", receipts), path("plain", plain)]):
        site = Site(way)
        mistaken = site.post("/signup", fresh_token(), name="A")
        assert (mistaken.status, "captcha" in mistaken.text) == (422, False)
        cookie = mistaken.header("set-cookie")[0].strip().split(";")[0]
        corrected = site.send("POST", "/signup", b"name=Ann", {**form, "Cookie": cookie})
        assert corrected.text == '{"field": "receipt", "view": "receipt"}'
        token = fresh_token()
        assert "captcha" not in site.post("/plain", token, name="A").text
        assert '"code": "token-used"' in site.post("/plain", token).text
        assert site.post("/plain", fresh_token()).status == 200


def test_two_forms_of_one_request_share_its_decision(way: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        valid = [SignUp(request.POST).is_valid(), SignUp(request.POST, prefix="other").errors.get("captcha") is None]
        return JsonResponse(valid, safe=False)

    with settings_of([path("signup", view)]):
        assert Site(way).post("/signup", fresh_token()).text == "[true, true]"


def test_a_captcha_may_be_in_the_first_form_of_a_set() -> None:
    class Set(forms.BaseFormSet):  # type: ignore[misc]
        def add_fields(self, form: forms.Form, index: int | None) -> None:
            super().add_fields(form, index)
            if index == 0:
                form.fields["captcha"] = CaptchaField()

    class Name(forms.Form):
        name = forms.CharField()

    people = forms.formset_factory(Name, formset=Set, extra=2)
    data = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "0", "form-0-name": "Ann", "form-1-name": "Bo"}
    with settings_of([], ["POST /x"]):
        refused = people(data)
        assert (refused.is_valid(), list(refused.errors[0]), refused.errors[1]) == (False, ["captcha"], {})
        assert people({**data, "caputchin-token": fresh_token()}).is_valid()


def test_without_a_request_the_field_asks_by_itself() -> None:
    with settings_of([], ["POST /x"]):
        token = fresh_token()
        assert SignUp({"name": "Ann", "caputchin-token": token}).is_valid()
        assert not SignUp({"name": "Ann", "caputchin-token": token}).is_valid()
        assert not SignUp({"name": "Ann", "captcha": fresh_token()}).is_valid()


def test_an_outage_policy_and_report_mode_hold_for_fields_too() -> None:
    with settings_of([], ["POST /x"], gate={"mode": "report"}):
        form = SignUp({"name": "Ann"})
        assert form.is_valid()
        assert form.cleaned_data["captcha"].reason == "report-only"
    down = {"provider": {"kind": "caputchin", "secret": "cpt_sec_x", "endpoint": "http://127.0.0.1:1/", "attempts": 1}}
    for policy, told in (("refuse", ["unavailable"]), ("admit", [])):
        with settings_of([], ["POST /x"], gate={**down, "on_outage": policy}):
            form = SignUp({"name": "Ann", "caputchin-token": "a-token-of-some-length"})
            assert [error.code for error in form.errors.get("captcha", forms.utils.ErrorList()).as_data()] == told


def test_a_field_that_would_block_an_event_loop_says_what_to_do() -> None:
    async def view() -> None:
        SignUp({"name": "Ann", "caputchin-token": fresh_token()}).is_valid()

    with settings_of([], ["POST /x"]), pytest.raises(SynchronousOnlyOperation, match="@require_human"):
        asyncio.run(view())


def test_a_field_alone_is_enough_to_start_and_has_its_challenges_served(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Forms, "have_fields", False)

    class Alone(forms.Form):
        captcha = CaptchaField()

    with settings_of([path("signup", lambda request: HttpResponse(str(Alone(request.POST).is_valid())))]):
        site = Site(way)
        asked = {"Content-Type": "application/json"}
        assert site.send("POST", "/.caputchin/api/v1/captcha/challenge", b"{}", asked).status == 200
        assert site.post("/signup").text == "False"
        assert site.post("/signup", fresh_token()).text == "True"


# What the visitor reads


def test_there_are_words_for_every_language_of_the_refusals() -> None:
    assert {tag: set(texts) for tag, texts in FIELD_TEXTS.items()} == {tag: set(MISSING) for tag in LANGUAGES}


@pytest.mark.parametrize(("language", "tag"), [*((tag, tag) for tag in LANGUAGES), ("de-at", "de"), ("fi", "en")])
def test_the_mistake_is_told_at_the_field_in_the_language_of_the_page(language: str, tag: str) -> None:
    with settings_of([], ["POST /x"]), translation.override(language):
        form = SignUp({"name": "Ann"})
        assert form.errors["captcha"] == [FIELD_TEXTS[tag][next(iter(MISSING))]]


def test_texts_of_one_s_own_go_by_the_reason() -> None:
    class Own(forms.Form):
        captcha = CaptchaField(error_messages={"token-missing": "Hm."})

    with settings_of([], ["POST /x"]):
        assert Own({}).errors["captcha"] == ["Hm."]


@pytest.mark.parametrize("required", [True, False])
def test_a_captcha_can_t_be_made_optional(required: bool) -> None:
    with pytest.raises(TypeError):
        CaptchaField(required=required)


# In the page

OWN = (
    '<script src="/.caputchin/captcha.js" defer></script>'
    '<input type="hidden" name="caputchin-token" data-captcha=""> <span data-captcha-status></span>'
)


def test_the_field_puts_the_widget_into_the_form_and_never_a_token() -> None:
    with settings_of([], ["POST /x"]):
        assert str(SignUp()["captcha"]) == OWN
        assert str(SignUp({"caputchin-token": "a-token"})["captcha"]) == OWN
        assert "caputchin-token" in SignUp().as_p()


def test_a_provider_s_own_widget_is_put_into_the_form() -> None:
    class Theirs(forms.Form):
        captcha = CaptchaField(widget=CaptchaWidget(script="https://captcha.example/a.js", skin='<"1">'))

    provider = {"kind": "caputchin", "secret": "cpt_sec_x", "site_key": "cpt_pub_x"}
    with settings_of([], ["POST /x"], gate={"provider": provider}):
        assert str(Theirs()["captcha"]) == (
            '<script src="https://captcha.example/a.js" defer></script>'
            '<caputchin-widget sitekey="cpt_pub_x" skin="&lt;&quot;1&quot;&gt;"></caputchin-widget>'
        )
    del provider["site_key"]
    with (
        settings_of([], ["POST /x"], gate={"provider": provider}),
        pytest.raises(ConfigurationError, match="site_key: is missing"),
    ):
        str(SignUp()["captcha"])


def with_nonce(get_response: Any) -> Any:
    def middleware(request: Any) -> HttpResponse:
        request.csp_nonce = "r4nd"
        response: HttpResponse = get_response(request)
        return response

    return middleware


def test_the_script_gets_the_nonce_of_the_page() -> None:
    with settings_of([path("signup", lambda request: HttpResponse(str(SignUp()["captcha"])))], ["POST /x"]):
        page = Site("wsgi-none", [DOOR, "tests.test_django_forms.with_nonce"]).send("GET", "/signup").text
        assert page == OWN.replace(" defer", ' nonce="r4nd" defer')


TAGS = [
    ("{% captcha_widget %}", {}, '<script src="/shop/.caputchin/captcha.js" defer></script>'),
    ("{% captcha_widget nonce='r4nd' %}", {}, '<script src="/shop/.caputchin/captcha.js" nonce="r4nd" defer></script>'),
    (
        "{% captcha_widget %}",
        {"csp_nonce": "r4nd"},
        '<script src="/shop/.caputchin/captcha.js" nonce="r4nd" defer></script>',
    ),
    (
        "{% captcha_widget locale=key %}",
        {"key": '<">'},
        '<script src="/shop/.caputchin/captcha.js" data-locale="&lt;&quot;&gt;" defer></script>',
    ),
]


@pytest.mark.parametrize(("tag", "context", "written"), TAGS)
def test_templates_get_the_widget(tag: str, context: dict[str, str], written: str) -> None:
    from django.urls import set_script_prefix

    engine = Engine(libraries={"caputchin_gate": "caputchin_gate.django.templatetags.caputchin_gate"})
    with settings_of([], ["POST /x"]):
        set_script_prefix("/shop/")
        try:
            rendered = engine.from_string("{% load caputchin_gate %}" + tag).render(Context(context))
        finally:
            set_script_prefix("/")
    assert rendered == written


def test_the_tag_takes_the_nonce_of_the_request() -> None:
    request = RequestFactory().get("/")
    request.csp_nonce = "r4nd"
    engine = Engine(libraries={"caputchin_gate": "caputchin_gate.django.templatetags.caputchin_gate"})
    with settings_of([], ["POST /x"]):
        template = engine.from_string("{% load caputchin_gate %}{% captcha_widget %}")
        assert 'nonce="r4nd"' in template.render(Context({"request": request}))


# Django REST framework


def api() -> list[Any]:
    from rest_framework.decorators import action, api_view, permission_classes
    from rest_framework.permissions import IsAdminUser
    from rest_framework.response import Response
    from rest_framework.routers import SimpleRouter
    from rest_framework.views import APIView
    from rest_framework.viewsets import ViewSet

    from caputchin_gate.django.rest_framework import IsHuman

    def told(request: Any) -> Response:
        decision = decision_of(request)
        return Response(decision.reason if decision is not None else "no decision")

    class Contact(APIView):  # type: ignore[misc]
        permission_classes = [IsHuman]  # noqa: RUF012

        def get(self, request: Any) -> Response:
            return told(request)

        post = get

    class Composed(Contact):
        permission_classes = [IsAdminUser | IsHuman]  # noqa: RUF012

    class Marked(APIView):  # type: ignore[misc]
        @require_human
        def post(self, request: Any) -> Response:
            return told(request)

        get = Contact.get

    class Comments(ViewSet):  # type: ignore[misc]
        def list(self, request: Any) -> Response:
            return told(request)

        @require_human
        def create(self, request: Any) -> Response:
            return told(request)

        @action(detail=False, methods=["get", "post"], permission_classes=[IsHuman.asking(receipt="1m")])
        def report(self, request: Any) -> Response:
            return told(request)

        @action(detail=False, methods=["post"])
        def open(self, request: Any) -> Response:
            return told(request)

    @api_view(["GET", "POST"])
    @permission_classes([IsHuman])
    def function(request: Any) -> Response:
        return told(request)

    @require_human
    @api_view(["GET", "POST"])
    def decorated(request: Any) -> Response:
        return told(request)

    router = SimpleRouter()
    router.register("comments", Comments, basename="comments")
    return [
        path("contact", Contact.as_view()),
        path("composed", Composed.as_view()),
        path("marked", Marked.as_view()),
        path("function", function),
        path("decorated", decorated),
        *router.urls,
    ]


API = {
    "INSTALLED_APPS": ["caputchin_gate.django", "django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    "REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
}
TARGETS = ["/contact", "/composed", "/marked", "/function", "/decorated", "/comments/", "/comments/report/"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_api_asks_for_a_token_wherever_it_is_marked(way: str, target: str) -> None:
    with settings_of([], **API, gate={"protect": ["POST /x"]}), settings_of(api(), **API):
        site = Site(way)
        assert site.send("GET", target).text == '"no decision"'
        assert site.post(target).status == 403
        token = fresh_token()
        assert site.post(target, token).text == '"verified"'
        assert site.post(target, token).status == 403
        assert site.post("/comments/open/").text == '"no decision"'


ADMIN = """
import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="tests", LOGGING_CONFIG=None, USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin"],
    MIDDLEWARE=["caputchin_gate.django.GateMiddleware"],
    CAPUTCHIN_GATE={"provider": {"kind": "caputchin", "verification": "in-process"}, "store": "memory"},
)
django.setup()

from django.contrib.admin.forms import AdminAuthenticationForm
from django.test import Client
from django.urls import path

from caputchin_gate.django.admin_site import GuardedAdminSite


class Own(GuardedAdminSite):
    login_form = AdminAuthenticationForm


urlpatterns = [path("admin/", Own().urls)]
answer = Client(headers={"accept": "application/json"}).post("/admin/login/", {"username": "ann", "password": "?"})
print(answer.status_code, answer.json()["error-codes"])
"""


def test_a_login_form_without_a_captcha_tries_no_password_that_was_refused() -> None:
    """In a process of its own: the admin can't be put into a site that has begun without it."""
    told = subprocess.run([sys.executable, "-c", ADMIN], capture_output=True, text=True, env=inherited(), check=True)
    assert told.stdout == "403 ['missing-input-response']\n"


def test_an_api_refuses_in_the_framework_s_own_way(way: str) -> None:
    with settings_of([], **API, gate={"protect": ["POST /x"]}), settings_of(api(), **API):
        answer = Site(way).post("/contact")
        assert answer.text == '{"detail":"' + MISSING[next(iter(MISSING))] + '"}'
    with settings_of(api(), **API):
        assert Site("wsgi-none").post("/contact", fresh_token()).status == 403
