"""The first example of a framework's page or section is a whole application: started as the page says, it refuses and
admits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.pages import examples, post, served, solved
from tests.scenarios import END, MULTIPART, file, part
from tests.servers import Server
from tests.wire import exchange, request_bytes


@dataclass(frozen=True)
class Shown:
    """Where an application is shown, and how it is started there."""

    page: str
    section: str
    stack: str
    app: str = "app"


SHOWN = (
    Shown("fastapi", "FastAPI and Starlette", "uvicorn-h11"),
    Shown("flask", "Flask", "werkzeug"),
    Shown("frameworks", "Litestar", "uvicorn-httptools"),
    Shown("frameworks", "Quart", "hypercorn"),
    Shown("frameworks", "aiohttp", "aiohttp", "make"),
    Shown("frameworks", "Bottle", "waitress", "application"),
    Shown("frameworks", "Pyramid", "waitress", "application"),
)


@pytest.fixture(scope="module", params=SHOWN, ids=lambda shown: shown.section)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    shown, folder = request.param, tmp_path_factory.mktemp("app")
    code = examples(shown.page, shown.section)[0]
    with served(code, shown.stack, shown.app, folder) as started:
        yield started


def test_the_page_has_the_widget_and_the_widget_is_there(server: Server) -> None:
    shown = exchange(server.port, request_bytes("GET /", b""))
    assert b'<script src="/.caputchin/captcha.js" defer></script>' in shown.body
    script = exchange(server.port, request_bytes("GET /.caputchin/captcha.js", b""))
    assert (script.status, script.headers["content-type"].partition(";")[0]) == (200, "text/javascript")


def test_without_a_token_it_refuses(server: Server) -> None:
    refused = post(server, "/contact", "message=hello")
    assert (refused.status, json.loads(refused.body)["error-codes"]) == (403, ["missing-input-response"])


def test_with_a_token_it_gets_the_form_and_each_token_counts_once(server: Server) -> None:
    body = f"message=hello&caputchin-token={solved(server)}"
    admitted = post(server, "/contact", body)
    assert (admitted.status, json.loads(admitted.body)["sent"]) == (200, "hello")
    assert json.loads(admitted.body).get("reason") in ("verified", None)
    again = post(server, "/contact", body)
    assert (again.status, json.loads(again.body)["error-codes"]) == (403, ["timeout-or-duplicate"])


def test_the_form_may_come_with_a_file(server: Server) -> None:
    body = part("caputchin-token", solved(server)) + part("message", "hello") + file(bytes(100_000)) + END
    admitted = post(server, "/contact", body, MULTIPART)
    assert (admitted.status, json.loads(admitted.body)["sent"]) == (200, "hello")


@pytest.mark.parametrize("server", [SHOWN[4]], ids=["aiohttp"], indirect=True)
def test_a_handler_that_verifies_by_hand_does_the_same(server: Server) -> None:
    assert post(server, "/subscribe", "email=ann@shop.example").status == 403
    body = f"email=ann@shop.example&caputchin-token={solved(server)}"
    assert [post(server, "/subscribe", body).status for _ in range(2)] == [200, 403]
