"""What `docs/howto/` says: its applications run, and do what the page promises."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caputchin_gate import Decision, Reason
from caputchin_gate.effects import BodyEnd
from caputchin_gate.engines.solver import solve
from caputchin_gate.messages import RequestHead
from tests.pages import examples, post, served, solved
from tests.scenarios import END, MULTIPART, file, part
from tests.servers import Server, serve
from tests.siteverify_site import SECRET
from tests.wire import exchange, request_bytes

JSON = "Content-Type: application/json"


# The two migrations in which the gate asks the old provider


@pytest.fixture(scope="module")
def old_provider() -> Iterator[Server]:
    """A service that answers siteverify as reCAPTCHA and hCaptcha do: another gate."""
    with serve("uvicorn-h11", "tests.siteverify_site:app") as server:
        yield server


def old_token(server: Server) -> str:
    head = f"POST /.caputchin/api/v1/captcha/challenge\n{JSON}\nOrigin: https://shop.example"
    challenge = json.loads(exchange(server.port, request_bytes(head, b'{"site_key": "shop"}')).body)
    return f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"


@pytest.mark.parametrize(
    ("page", "stack", "field", "path", "kind"),
    [
        (
            "from-flask-recaptcha",
            "werkzeug",
            "g-recaptcha-response",
            "recaptcha/api/siteverify",
            "recaptcha",
        ),
        ("from-hcaptcha", "uvicorn-h11", "h-captcha-response", "hcaptcha/siteverify", "hcaptcha"),
    ],
)
def test_while_both_are_accepted_a_token_of_either_is_needed(
    old_provider: Server, page: str, stack: str, field: str, path: str, kind: str, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{old_provider.port}/.caputchin/{path}"
    code = examples(f"howto/{page}")[0].replace(f'"kind": "{kind}"', f'"kind": "{kind}", "endpoint": "{url}"')
    assert url in code
    with served(code, stack, "app", tmp_path, {f"{kind.upper()}_SECRET": SECRET}) as server:
        old = f"message=hello&{field}={old_token(old_provider)}"
        new = f"message=hello&caputchin-token={solved(server)}"
        bodies = ("message=hello", f"message=hello&{field}=forged", new, new, old, old)
        assert [post(server, "/contact", body).status for body in bodies] == [403, 403, 200, 403, 200, 403]


DJANGO = """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

settings.configure(
    SECRET_KEY="an example",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=INSTALLED_APPS,
    MIDDLEWARE=MIDDLEWARE,
    CAPUTCHIN_GATE=CAPUTCHIN_GATE,
    RECAPTCHA_PUBLIC_KEY="a key",
    RECAPTCHA_PRIVATE_KEY="a secret",
    RECAPTCHA_DOMAIN="127.0.0.1:1",
)
"""


def test_a_django_form_takes_the_old_field_of_pages_that_have_it_alone(tmp_path: Path) -> None:
    typed, form = examples("howto/from-django-recaptcha")
    ending = 'urlpatterns = [path("contact/", contact)]\napplication = get_wsgi_application()\n'
    with served("\n".join((typed, DJANGO, form, ending)), "gunicorn-gthread", "application", tmp_path) as server:
        new = f"message=hello&caputchin-token={solved(server)}"
        assert json.loads(post(server, "/contact/", new).body) == {"sent": "hello"}
        for body in (new, "message=hello", "message=hello&g-recaptcha-response="):
            refused = post(server, "/contact/", body)
            assert (refused.status, list(json.loads(refused.body))) == (400, ["captcha"])
        # Google is asked about what is in the old field, and can't be reached here.
        assert post(server, "/contact/", "message=hello&g-recaptcha-response=forged").status == 500


# Two providers


def two_providers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PROSOPO_SECRET", "0xan-example-of-a-secret")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made: dict[str, Any] = {"os": os}
    exec(examples("howto/two-providers")[0], made)
    return made["gate"]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/contact", "caputchin-token=forged.1&procaptcha-response=0xforged", Reason.TOKEN_AMBIGUOUS),
        ("/contact", "caputchin-token=forged.1", Reason.TOKEN_MALFORMED),
        ("/contact", "message=hello", Reason.TOKEN_MISSING),
        ("/signup", "procaptcha-response=0xforged", Reason.TOKEN_MISSING),
    ],
)
def test_the_field_tells_which_provider_is_asked(
    path: str, body: str, reason: Reason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = two_providers(tmp_path, monkeypatch)
    headers = {"content-type": ["application/x-www-form-urlencoded"]}
    head = RequestHead("POST", path, None, "", "", headers, "192.0.2.1", "http")
    decisions: list[Decision] = []
    gate.on_decision(decisions.append)
    pieces = iter([body.encode()])
    gate.handle(head, lambda most: next(pieces, BodyEnd.COMPLETE))
    gate.close()
    assert [decision.reason for decision in decisions] == [reason]


# Steps


def test_a_form_of_two_steps_asks_for_one_token_and_a_correction_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made: dict[str, Any] = {"__name__": "steps"}
    exec(examples("howto/multi-step-forms")[0], made)
    client = made["app"].test_client()
    challenge = client.post("/.caputchin/api/v1/captcha/challenge", json={}).json
    token = f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"
    assert client.post("/signup", data={"email": "ann@shop.example"}).location == "/signup/finish"
    assert client.post("/signup/finish", data={"name": "Ann"}).status_code == 403
    assert client.post("/signup/finish", data={"name": "", "caputchin-token": token}).status_code == 422
    done = client.post("/signup/finish", data={"name": "Ann"})
    assert (done.status_code, done.text) == (200, "Welcome, Ann: a mail is on its way to ann@shop.example.")


# Bodies and programs


def test_an_upload_may_be_larger_than_what_is_kept_if_its_token_comes_first(tmp_path: Path) -> None:
    content = bytes(5 * 1024 * 1024)
    with served(examples("howto/uploads")[0], "uvicorn-httptools", "app", tmp_path) as server:
        first = part("caputchin-token", solved(server)) + file(content, "document") + END
        assert json.loads(post(server, "/upload", first, MULTIPART).body) == {"size": len(content)}
        last = file(content, "document") + part("caputchin-token", solved(server)) + END
        assert post(server, "/upload", last, MULTIPART).status == 413


def test_a_program_solves_and_sends_and_a_page_elsewhere_can_read_a_refusal(tmp_path: Path) -> None:
    application, client = examples("howto/api-clients")
    with served(application, "uvicorn-httptools", "app", tmp_path) as server:
        program = f'{client}\nprint(json.dumps(send_comment("http://127.0.0.1:{server.port}", "hello")))'
        done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == {"sent": "hello"}
        refused = post(server, "/api/comments", '{"text": "hello"}', f"{JSON}\nOrigin: https://shop.example")
        assert (refused.status, refused.headers["content-type"]) == (403, "application/problem+json")
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        in_the_body = json.dumps({"text": "hello", "caputchin-token": solved(server)})
        assert post(server, "/api/comments", in_the_body, JSON).status == 200


def test_report_mode_counts_what_it_would_refuse_and_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made: dict[str, Any] = {}
    exec("\n".join(examples("howto/report-mode")), made)
    head = RequestHead("POST", "/contact", None, "", "", {}, "192.0.2.1", "http")
    ruling = made["gate"].handle(head)
    assert ruling.decision.admitted
    assert made["would_refuse"] == {("POST /contact", Reason.TOKEN_MISSING): 1}
    asyncio.run(made["gate"].aclose())
