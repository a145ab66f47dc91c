"""pip install httpx pytest && pytest examples/fastapi_signup"""

from collections.abc import Iterator

import pytest
from app import app, comments, gate
from fastapi.testclient import TestClient

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


@pytest.fixture
def client() -> Iterator[TestClient]:
    comments.clear()
    with TestClient(app) as client:
        yield client


def test_who_signs_up_is_welcome(client: TestClient, captcha: Captcha) -> None:
    captcha.passes()
    assert "Welcome, ann@shop.example" in client.post("/signup", data={"email": "ann@shop.example"}).text


def test_a_robot_sees_the_form_again(client: TestClient, captcha: Captcha) -> None:
    captcha.fails()
    answer = client.post("/signup", data={"email": "ann@shop.example"})
    assert answer.status_code == 403
    assert "We could not tell you from a robot" in answer.text


def test_a_mistake_is_corrected_with_the_receipt(client: TestClient, captcha: Captcha) -> None:
    mistyped = client.post("/signup", data={"email": "ann", **captcha.fields()})
    assert "An e-mail address has an @." in mistyped.text
    corrected = client.post("/signup", data={"email": "ann@shop.example"})
    assert "Welcome, ann@shop.example" in corrected.text


def test_a_comment_comes_with_a_header(client: TestClient, captcha: Captcha) -> None:
    headers = captcha.headers()
    assert client.post("/comments", json={"text": "Lovely"}, headers=headers).json() == {"comments": 1}
    again = client.post("/comments", json={"text": "Lovely"}, headers=headers)
    assert again.json()["error-codes"] == ["timeout-or-duplicate"]
    assert comments == ["Lovely"]


def test_without_htmx_there_is_none(client: TestClient) -> None:
    assert client.get("/static/htmx.min.js").status_code == 404
    assert client.get("/static/style.css").status_code == 200
