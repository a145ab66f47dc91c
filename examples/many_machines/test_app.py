"""pip install pytest && pytest examples/many_machines"""

import os

import pytest
from werkzeug.test import Client

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha

os.environ |= {"CAPUTCHIN_GATE_STORE": "memory", "GATE_SIGNING_KEY": "of-the-tests-" * 3}  # tests need no Redis
from app import application, gate


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


def test_a_wish_is_noted_once_for_each_token(captcha: Captcha) -> None:
    client = Client(application)
    assert "captcha.js" in client.get("/").text
    cookie = client.get_cookie("csrftoken")
    assert cookie is not None
    data = {"wish": "Rain", "csrfmiddlewaretoken": cookie.value, **captcha.fields()}
    assert "“Rain” is noted." in client.post("/wishes", data=data).text
    assert client.post("/wishes", data=data).status_code == 403
