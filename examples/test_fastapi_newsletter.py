import pytest
from fastapi.testclient import TestClient
from fastapi_newsletter import app, gate, readers

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


def test_readers_subscribe_with_a_token_that_is_good_once(captcha: Captcha) -> None:
    client = TestClient(app)
    data = {"email": "ann@shop.example", **captcha.fields()}
    assert "Welcome, ann@shop.example" in client.post("/subscribe", data=data).text
    assert client.post("/subscribe", data={**data, "email": "bob@shop.example"}).status_code == 403
    assert readers == {"ann@shop.example"}
