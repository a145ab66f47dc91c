"""pip install pytest && pytest examples/flask_signup"""

import pytest
from app import comments, create_app
from flask import Flask
from flask.testing import FlaskClient

from caputchin_gate import Gate
from caputchin_gate.flask import InstalledGate
from caputchin_gate.testing import Captcha


@pytest.fixture
def app() -> Flask:
    comments.clear()
    provider = {"kind": "caputchin", "verification": "in-process"}
    return create_app({"CAPUTCHIN_GATE": {"provider": provider, "store": "memory"}})


@pytest.fixture
def captcha_gate(app: Flask) -> Gate:
    assert isinstance(app.wsgi_app, InstalledGate)
    return app.wsgi_app.gate


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_who_signs_up_is_welcome(client: FlaskClient, captcha: Captcha) -> None:
    captcha.passes()
    assert "Welcome, ann@shop.example" in client.post("/signup", data={"email": "ann@shop.example"}).text


@pytest.mark.parametrize("reason", ["token-missing", "token-expired", "token-used"])
def test_a_robot_sees_the_form_again(client: FlaskClient, captcha: Captcha, reason: str) -> None:
    captcha.fails(reason)
    answer = client.post("/signup", data={"email": "ann@shop.example"})
    assert answer.status_code == 403
    assert "We could not tell you from a robot" in answer.text


def test_a_mistake_is_corrected_with_the_receipt(client: FlaskClient, captcha: Captcha) -> None:
    mistyped = client.post("/signup", data={"email": "ann", **captcha.fields()})
    assert "An e-mail address has an @." in mistyped.text
    corrected = client.post("/signup", data={"email": "ann@shop.example"})
    assert "Welcome, ann@shop.example" in corrected.text


def test_a_comment_comes_with_a_header(client: FlaskClient, captcha: Captcha) -> None:
    headers = captcha.headers()
    assert client.post("/comments", json={"text": "Lovely"}, headers=headers).get_json() == {"comments": 1}
    again = client.post("/comments", json={"text": "Lovely"}, headers=headers)
    assert again.get_json()["error-codes"] == ["timeout-or-duplicate"]
    assert comments == ["Lovely"]


def test_without_htmx_there_is_none(client: FlaskClient) -> None:
    assert client.get("/static/htmx.min.js").status_code == 404
    assert client.get("/static/style.css").status_code == 200
