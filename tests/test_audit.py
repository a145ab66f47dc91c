"""The audit against real applications: what it says about a target is what happens to a request for it."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.views import View
from fastapi import Depends, FastAPI
from flask import Flask
from flask.views import MethodView
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Mount, Route, Router
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from caputchin_gate import ConfigurationError, Gate
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.audit import Audit, Standing, audit
from caputchin_gate.audit.applications import CantLoad, endpoints_of, load
from caputchin_gate.audit.own_gates import gate_around
from caputchin_gate.audit.paths import AppPath, Variable, examples
from caputchin_gate.fastapi import install as fastapi_install
from caputchin_gate.fastapi import require_human as fastapi_mark
from caputchin_gate.flask import install as flask_install
from caputchin_gate.flask import require_human as flask_mark
from caputchin_gate.starlette import install as starlette_install
from caputchin_gate.wsgi import GateMiddleware as WsgiGate
from tests.audited import GATE_TOML
from tests.servers import ROOT, Server, serve

SITES = {"fastapi_site": "uvicorn-httptools", "flask_site": "waitress", "django_site": "gunicorn-gthread"}
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


def run_audit(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caputchin_gate", "audit", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        check=False,
    )


@cache
def audited(site: str) -> dict[str, Any]:
    done = run_audit(str(GATE_TOML), f"tests.audited.{site}:app", "--json")
    assert (done.returncode, done.stderr) == (1, ""), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield {site: stack.enter_context(serve(name, f"tests.audited.{site}:app")) for site, name in SITES.items()}


def answered(server: Server, method: str, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    host = {"Host": "a.shop.example"} if target == "/host" else {}
    connection.request(method, quote(target, safe="/:@"), headers={"Accept": "application/json", **headers, **host})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize("site", SITES)
def test_what_it_calls_protected_is_refused_and_what_it_calls_unprotected_runs(
    site: str, servers: dict[str, Server]
) -> None:
    told, server = audited(site), servers[site]
    asked = 0
    for standing in ("protected", "unprotected", "exempt"):
        for row in told[standing]:
            assert row["targets"], row
            answers = []
            for method in row["methods"]:
                for target in row["targets"]:
                    status, body = answered(server, method, target, {"X-Unguarded": "yes"})
                    ran = body.strip(b'"') == b"ran" or status in (301, 302)  # a view that redirects has run too
                    assert ran or status == 422, f"{method} {target} leads to no view of {site}: {status}"
                    status, body = answered(server, method, target, {})
                    answers.append(b"urn:caputchin-gate:refusal" in body)
                    asked += 1
            match standing:
                case "protected":
                    assert all(answers), row
                case "unprotected":
                    assert not all(answers), row
                case _:
                    assert not any(answers), row
    assert asked > 20


EXPECTED = {
    "fastapi_site": {
        ("POST", "/open"),
        ("PUT", "/signup"),
        ("PATCH", "/mixed"),
        ("DELETE", "/files/{path}"),
        ("PUT", "/things/{thing}/{number}"),
        *(("POST", f"/old-api/v1/{path}") for path in ("webhook", "deep/webhook", "orders/{order}")),
        ("POST", "/blog/{tenant}/post/{number}/{price}/{id}"),
        ("DELETE", "/blog/{tenant}/form"),
        ("POST,PUT,PATCH,DELETE", "/blog/{tenant}/handler"),
        ("POST,PUT,PATCH,DELETE", "/blog/{tenant}/unknown/{rest}"),
        ("POST", "/host"),
    },
    "flask_site": {
        ("POST", "/open"),
        ("PUT", "/signup"),
        ("PATCH", "/mixed"),
        ("POST", "/files/{file}"),
        ("POST", "/some/{which}"),
        ("POST", "/users/{user}/{number}"),
        ("POST", "/codes/{code}/{id}/{price}"),
        ("POST", "/admin/users"),
    },
    "django_site": {
        ("POST", "/open"),
        ("PUT", "/signup"),
        ("POST", "/mixed-less"),
        ("POST,PUT,PATCH,DELETE", "/everything"),
        ("POST,PUT,PATCH,DELETE", "/redirect"),
        ("POST", "/code/{code}/{id}/{rest}"),
        ("POST", "/articles/{(?P<year>[0-9]{4})/(?:draft/)?}"),
        ("POST", "/{(?:page|seite)/(?P<which>help|about)/?}"),
        ("POST", "/{loose/start}"),
        ("POST", "/{language/}translated"),
    },
}


@pytest.mark.parametrize("site", SITES)
def test_it_finds_exactly_the_open_routes(site: str) -> None:
    told = audited(site)
    found = {(",".join(row["methods"]), row["path"]) for row in told["unprotected"]}
    assert found == EXPECTED[site]
    assert [row["path"] for row in told["exempt"]] == ["/api/v1/webhook"]
    redirected = "rule 'POST /slashed': the application redirects /slashed to /slashed/: write it like that"
    assert redirected in told["warnings"]


def test_django_is_found_by_its_settings_too() -> None:
    done = run_audit(str(GATE_TOML), "tests.audited.django_settings", "--json")
    assert json.loads(done.stdout) == audited("django_site")


def test_a_factory_is_called_and_usual_names_are_found() -> None:
    named = load("tests.audited.fastapi_site:app")
    assert load("tests.audited.fastapi_site") is named
    made = load("tests.audited.fastapi_site:create_app()")
    assert made is not named
    assert list(endpoints_of(made, AppPath())) == list(endpoints_of(named, AppPath()))


def test_a_django_class_that_dispatches_itself_may_answer_to_every_method() -> None:
    from caputchin_gate.django.urls import methods_of  # its module needs settings only to look at a whole site

    class Own(View):
        def dispatch(self, request: Any, *args: Any, **variables: Any) -> Any:
            return super().dispatch(request)  # or not

    class Usual(View):
        def post(self, request: Any) -> Any: ...

    class Actions(Usual):
        pass

    by_actions = Actions.as_view()
    by_actions.actions = {"put": "update"}  # type: ignore[attr-defined]  # as a view set of REST framework has it
    assert methods_of(Own.as_view()) is None
    assert methods_of(Usual.as_view()) == {"POST", "OPTIONS"}
    assert methods_of(by_actions) == {"POST", "PUT", "OPTIONS"}


# Rules that are in vain, or hardly right


def gate(*rules: str, exempt: Sequence[str] = ()) -> Gate:
    return Gate(provider="caputchin", verification="in-process", store="memory", protect=rules, exempt=exempt)


def of(app: object, *rules: str, exempt: Sequence[str] = (), ignore: Sequence[str] = ()) -> Audit:
    return audit(endpoints_of(app, AppPath()), gate(*rules, exempt=exempt).policy, ignore)


async def view(request: Any) -> Any:
    raise NotImplementedError


SHOP = Starlette(
    routes=[
        Route("/", view),
        Route("/signup", view, methods=["POST"]),
        Route("/users/{user}", view, methods=["POST"]),
        Route("/search", view, methods=["GET"]),
        Route("/both", view, methods=["POST"]),
        Route("/both/", view, methods=["POST"]),
    ]
)


@pytest.mark.parametrize(
    ("rule", "warnings"),
    [
        ("POST /signup", []),
        ("/signup", []),
        ("POST /users/{name}", []),
        ("POST /users/me", []),
        ("POST /{rest:path}", []),
        ("GET /search", []),
        ("/both/", []),
        ("POST /singup", ["rule 'POST /singup' matches no route of the application; did you mean '/signup'?"]),
        ("POST /wholly-else", ["rule 'POST /wholly-else' matches no route of the application"]),
        (
            "POST /search",
            ["rule 'POST /search': the application has this path, and answers to none of these methods there"],
        ),
        ("POST /signup/", ["rule 'POST /signup/': the application redirects /signup/ to /signup: write it like that"]),
    ],
)
def test_it_warns_of_rules_in_vain_and_of_those_that_the_application_redirects(rule: str, warnings: list[str]) -> None:
    assert list(of(SHOP, rule).warnings) == warnings


def test_what_is_ignored_is_no_finding_and_an_ignored_pattern_has_to_match() -> None:
    found = of(SHOP, "/signup", "/both", "/users/me", ignore=["POST /users/{name}", "/nowhere"])
    assert not found.standing(Standing.UNPROTECTED)
    assert [row.path for row in found.standing(Standing.IGNORED)] == ["/users/{user}"]
    assert found.warnings == ("--ignore '/nowhere' leaves nothing out",)
    with pytest.raises(ConfigurationError):
        of(SHOP, "/signup", ignore=["no path"])


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda app: AsgiGate(app, gate=gate("/x")),
        lambda app: AsgiGate(AsgiGate(app, gate=gate("/x")), gate=gate("/x")),
        lambda app: Starlette(routes=[Mount("/", app)]),
        lambda app: lambda scope, receive, send: app(scope, receive, send),
    ],
)
def test_it_looks_through_what_is_around_an_application(wrapped: Any) -> None:
    assert {row.path for row in of(wrapped(SHOP), "/signup").rows} == {row.path for row in of(SHOP, "/signup").rows}


def test_it_looks_through_what_is_around_a_flask_application() -> None:
    site = Flask("site")
    site.add_url_rule("/open", "open", lambda: "", methods=["POST"])
    bare = of(site, "/x").rows
    site.wsgi_app = WsgiGate(site.wsgi_app, gate=gate("/x"))  # type: ignore[method-assign]
    assert of(site, "/x").rows == bare
    assert of(WsgiGate(site, gate=gate("/x")), "/x").rows == bare


def test_a_trial_that_refuses_nobody_is_a_warning() -> None:
    trial = Gate(provider="caputchin", verification="in-process", store="memory", protect=["/signup"], mode="report")
    assert audit(endpoints_of(SHOP, AppPath()), trial.policy).warnings == ('mode = "report": no request is refused',)


def test_a_view_that_is_a_class_has_the_name_of_the_class() -> None:
    class Form(MethodView):
        def post(self) -> str:
            return "ran"

    site = Flask("site")
    site.add_url_rule("/form", view_func=Form.as_view("form"))
    assert [row.view.rpartition(".")[2] for row in of(site, "/x").rows] == ["Form"]


def test_a_marked_view_is_protected_by_its_mark() -> None:
    site, api = Flask("site"), FastAPI()

    def answer() -> str:
        return "ran"

    site.add_url_rule("/marked", "marked", flask_mark(answer), methods=["POST", "PUT"])
    site.add_url_rule("/half", "half", flask_mark(methods=["POST"])(answer), methods=["POST", "PUT"])
    api.post("/marked", dependencies=[Depends(fastapi_mark)])(answer)
    api.post("/bare")(answer)
    half = [("PUT",)]
    assert [row.methods for row in of(site, "/x").standing(Standing.UNPROTECTED)] == half
    assert [row.path for row in of(api, "/x").standing(Standing.UNPROTECTED)] == ["/bare"]
    assert of(api, "/x").standing(Standing.PROTECTED)[0].rules == ("require_human",)


def test_a_marked_view_of_django_is_protected_by_its_mark_behind_wrap_too() -> None:
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    from caputchin_gate.django import require_human, wrap
    from tests.django_ways import settings_of

    marked = require_human(lambda request: HttpResponse())
    with settings_of([path("marked", marked), path("bare", lambda request: HttpResponse())]):
        rows = of(wrap(WSGIHandler()), "/x")
        assert [row.path for row in rows.standing(Standing.UNPROTECTED)] == ["/bare"]
        assert rows.standing(Standing.PROTECTED)[0].rules == ("require_human",)


async def unknown(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError


def test_what_it_can_not_look_into_is_open_unless_a_rule_guards_all_of_it() -> None:
    assert of(unknown, "/x").standing(Standing.UNPROTECTED)[0].why == "an application that can't be looked into"
    assert of(unknown, "/{name}").standing(Standing.UNPROTECTED)
    assert not of(unknown, "/{rest:path}").standing(Standing.UNPROTECTED)


@pytest.mark.parametrize(
    "content",
    [
        "def app(environ, start_response): ...",
        "async def app(scope, receive, send): ...",
        "def app(*arguments, **named): ...",
        "class app:\n    def __init__(self, scope): ...",
        "class App:\n    def __call__(self, environ, start_response): ...\napp = App()",
    ],
)
def test_whatever_takes_a_request_may_be_an_application(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("unusual.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert callable(load("unusual"))
    monkeypatch.delitem(sys.modules, "unusual")


@pytest.mark.parametrize("rule", ["POST /users/x", "POST /users/7", "POST /users/qz"])
def test_a_rule_for_one_value_of_a_variable_is_none_for_all(rule: str) -> None:
    assert "/users/{user}" in {row.path for row in of(SHOP, rule).standing(Standing.UNPROTECTED)}


def test_rules_for_so_many_segments_are_none_for_any_number_of_them() -> None:
    site = Starlette(routes=[Route("/files/{path:path}", view, methods=["POST"])])
    assert of(site, "POST /files/{a}", "POST /files/{a}/{b}").standing(Standing.UNPROTECTED)
    (empty,) = of(site, "POST /files/{a}", "POST /files/{a}/{rest:path}").standing(Standing.UNPROTECTED)
    assert empty.why.endswith("as in /files/")
    assert of(site, "POST /files/{rest:path}").standing(Standing.PROTECTED)


def test_what_a_router_falls_back_to_is_open() -> None:
    routes = [Route("/contact", view, methods=["POST"])]
    site = Starlette(routes=routes)
    site.router.default = unknown
    for fallen in (Router(routes, default=unknown), site):
        assert [row.path for row in of(fallen, "/contact").standing(Standing.UNPROTECTED)] == ["/{rest}"]
        assert not of(fallen, "/contact", "/{rest:path}").standing(Standing.UNPROTECTED)


def test_a_class_that_dispatches_itself_may_answer_to_every_method() -> None:
    class Own(HTTPEndpoint):
        async def dispatch(self) -> None:
            raise NotImplementedError

    found = of(Starlette(routes=[Route("/own", Own), Route("/usual", HTTPEndpoint)]), "/x")
    assert [row.methods for row in found.standing(Standing.UNPROTECTED)] == [("POST", "PUT", "PATCH", "DELETE")]


@pytest.mark.parametrize("kept", [lambda other: other, lambda other: {"/api": other}, lambda other: [("/api", other)]])
def test_a_second_application_beside_the_one_that_is_wrapped_is_open(kept: Any) -> None:
    """It may be anywhere: which requests it gets is known to the wrapper alone."""
    guarded = Starlette(routes=[Route("/contact", view, methods=["POST"])])
    other = kept(Starlette(routes=[Route("/open", view, methods=["POST"])]))

    class Wrapper:
        def __init__(self) -> None:
            self.app = guarded
            self.others = other

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await (guarded if scope else other)(scope, receive, send)

    async def closure(scope: Any, receive: Any, send: Any) -> None:
        await (guarded if scope else other)(scope, receive, send)

    for wrapping in (Wrapper(), closure):
        (found,) = of(wrapping, "/contact").standing(Standing.UNPROTECTED)
        assert found.path in ("/{rest}", "/open")  # a closure says nothing about which of two is the inner one


# Examples of paths


@pytest.mark.parametrize(
    ("regex", "made"),
    [
        ("[^/]+", ("x", "qz")),
        (".*", ("x", "qz", "x/qz", "x/qz/7/4093", "")),
        ("^upload/(?P<rest>.*)$", ("upload/", "upload/x", "upload/x/qz", "upload/x/qz/7/4093")),
        ("^upload/(?P<rest>[a-z/]+)$", ("upload/x", "upload/x/qz")),
        ("^upload/(?P<rest>[^.]+)$", ("upload/x", "upload/x/qz")),
        ("[0-9]+", ("7", "4093")),
        ("[0-9]{4}", ("4093",)),
        ("[0-9]{6}", ("777777",)),
        ("(?:help|about us)", ("help", "about us")),
        ("[A-Z]{3}-[0-9]{2}", ("XXX-77",)),
        (r"^(?P<year>\d{4})/(?:page/)?$", ("7777/", "7777/page/")),
        (r"[^x7]\S\D\W", ("Xxx-",)),
        ("(?!admin)[a-z]{5}", ("xxxxx",)),
        (r"(a|b)\1", ()),
    ],
)
def test_examples_of_a_regex(regex: str, made: tuple[str, ...]) -> None:
    found = examples(Variable("made", regex))
    assert set(made) <= set(found) if made else found == ()


@given(st.from_regex(r"(\[a-z\]|[a-z]|\\d|\(a\|b\)|\.|x\?|7\*|y\+|z\{2,3\}){1,6}", fullmatch=True))
def test_every_example_matches_and_there_is_one(regex: str) -> None:
    import re

    found = examples(Variable("made", regex))
    assert found
    assert all(re.fullmatch(regex, text) for text in found)


# The gate that an application has already


def among_middleware(app: Any, gate: Gate) -> object:
    app.add_middleware(AsgiGate, gate=gate)
    return app


def installed(install: Any) -> Any:
    def made(app: Any, gate: Gate) -> object:
        install(app, gate)
        return app

    return made


def within(app: Any) -> object:
    return lambda scope, receive, send: app(scope, receive, send)


def starlette() -> Starlette:
    return Starlette(routes=[Route("/signup", view, methods=["POST"])])


@pytest.mark.parametrize(
    ("made", "door"),
    [
        (starlette, lambda app, gate: AsgiGate(app, gate=gate)),
        (starlette, lambda app, gate: within(AsgiGate(app, gate=gate))),
        (starlette, among_middleware),
        (starlette, installed(starlette_install)),
        (FastAPI, among_middleware),
        (FastAPI, installed(fastapi_install)),
        (lambda: Flask("site"), lambda app, gate: WsgiGate(app, gate=gate)),
        (lambda: Flask("site"), lambda app, gate: WsgiGate(app.wsgi_app, gate=gate)),
        (lambda: Flask("site"), installed(flask_install)),
    ],
)
def test_the_gate_in_front_of_an_application_is_found(made: Any, door: Any) -> None:
    own = gate("/signup")
    assert gate_around(door(made(), own)) is own


@pytest.mark.parametrize("way", ["wsgi-wrap", "asgi-wrap", "wsgi-middleware", "asgi-middleware"])
def test_the_gate_of_a_django_site_is_found(way: str) -> None:
    from caputchin_gate.django.gates import site_gate
    from tests.django_ways import DOOR, Site, settings_of

    middleware = [DOOR] if way.endswith("middleware") else []
    with settings_of([], protect=["/signup"], MIDDLEWARE=middleware):
        assert gate_around(Site(way).app) is site_gate()


class Keeping:
    """An application that keeps a gate, to verify by hand, and is not behind it."""

    def __init__(self) -> None:
        self.gate = gate("/signup")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError


class Choosing:
    """One that sends some requests past the gate."""

    def __init__(self) -> None:
        self.app = AsgiGate(SHOP, gate=gate("/{rest:path}"))
        self.other = starlette()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    "app",
    [
        SHOP,
        Keeping(),
        Choosing(),
        Starlette(routes=[Mount("/below", AsgiGate(SHOP, gate=gate("/x")))]),
        DispatcherMiddleware(WsgiGate(Flask("site"), gate=gate("/x")), {"/open": Flask("open")}),
    ],
)
def test_a_gate_that_does_not_stand_in_front_is_none(app: object) -> None:
    with pytest.raises(CantLoad, match="no gate stands in front of the application"):
        gate_around(app)


def test_a_file_need_not_be_named_where_the_application_has_a_gate(tmp_path: Path) -> None:
    tmp_path.joinpath("shop.py").write_text(
        "from flask import Flask\n"
        "from caputchin_gate import Gate\n"
        "from caputchin_gate.flask import install\n"
        "app, bare = Flask('shop'), Flask('bare')\n"
        "app.post('/contact')(print)\n"
        "app.post('/search')(repr)\n"
        "install(app, Gate(provider='caputchin', verification='in-process', protect=['/contact'], store='memory'))\n"
    )
    found, none = run_audit("shop:app", "--json", folder=tmp_path), run_audit("shop:bare", folder=tmp_path)
    assert found.returncode == 1, found.stderr
    assert [row["path"] for row in json.loads(found.stdout)["unprotected"]] == ["/search"]
    assert (none.returncode, none.stdout) == (2, "")
    assert re.fullmatch("caputchin-gate: no gate stands in front of [^\n]+ name a gate.toml before it\n", none.stderr)
    nothing = run_audit("shop:app", "--ignore", "no path", folder=tmp_path)
    assert nothing.stderr.startswith("caputchin-gate: no path: "), nothing.stderr


# An application that misbehaves


BROKEN = {
    "absent": (None, "there is no module absent in"),
    "absent.deep": (None, "there is no module absent in"),
    "lacking": ("import no_such_library", "lacking can't be imported: ModuleNotFoundError: No module named"),
    "wrong": ("1 / 0", "wrong can't be imported: ZeroDivisionError: division by zero (wrong.py:1)"),
    "grammar": ("def f(:", "grammar can't be imported: SyntaxError: invalid syntax (grammar.py:1)"),
    "leaving": ("import sys; sys.exit(0)", "leaving can't be imported: SystemExit: 0 (leaving.py:1)"),
    "empty": ("", "empty has neither application nor app"),
    "empty:site": ("", "empty has no site"),
    "empty:make()": ("def make(): raise KeyError('x')", "empty:make() failed: KeyError: 'x' (empty.py:1)"),
    "three:app": ("app = 3", "three:app is no application but of type int"),
    "none": ("app = None", "none:app is None"),
    "none:make()": ("def make(): pass", "none:make() is None"),
    "maker:make": ("def make(debug=False, **more): pass", "maker:make is a function; write maker:make()"),
    "maker": ("class app: pass", "maker:app is a class; write maker:app()"),
    "other:os": ("import os", "other:os is no application but of type module"),
    "empty:make(1)": ("", "is no application: write it like"),
    "../empty": ("", "is no application: write it like"),
}


@pytest.mark.parametrize("spec", BROKEN)
def test_an_application_that_can_not_be_imported_is_told_with_its_reason(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, why = BROKEN[spec]
    name = spec.partition(":")[0].strip("./")
    if content is not None:
        tmp_path.joinpath(f"{name}.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(CantLoad) as told:
        load(spec)
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert why in str(told.value)


def test_routes_that_can_not_be_imported_are_one_line_too(tmp_path: Path) -> None:
    tmp_path.joinpath("settings.py").write_text("ROOT_URLCONF = 'urls'")
    tmp_path.joinpath("urls.py").write_text("1 / 0")
    done = run_audit(str(GATE_TOML), "settings", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "can't be read: ZeroDivisionError: division by zero (urls.py:1)" in done.stderr


def test_the_traceback_is_there_for_who_asks(tmp_path: Path) -> None:
    tmp_path.joinpath("wrong.py").write_text("1 / 0")
    done = run_audit(str(GATE_TOML), "wrong", "--traceback", folder=tmp_path)
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("caputchin-gate: wrong can't be imported")


def test_nothing_that_the_application_prints_gets_into_the_report(tmp_path: Path) -> None:
    tmp_path.joinpath("loud.py").write_text(
        "import atexit, os, subprocess, sys\n"
        "print('one'); sys.__stdout__.write('two\\n'); os.write(1, b'three\\n')\n"
        "subprocess.run(['echo', 'four']); atexit.register(print, 'five')\n"
        "from flask import Flask\napp = Flask(__name__)\n"
    )
    done = run_audit(str(GATE_TOML), "loud", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["unprotected"] == []
    assert done.returncode == 0
    assert all(word in done.stderr for word in ("one", "two", "three", "four", "five"))


def test_an_application_whose_middleware_keeps_it_is_looked_into_once() -> None:
    app = Flask("site")
    app.post("/contact")(lambda: "")
    flask_install(app, Gate(provider="caputchin", verification="in-process", store="memory", protect=["POST /contact"]))
    found = [str(endpoint.path) for endpoint in endpoints_of(app, AppPath()) if "POST" in endpoint.methods]
    assert found == ["/contact"]
