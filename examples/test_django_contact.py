import pytest
from django_contact import application, gate
from werkzeug.test import Client

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


def test_a_message_is_sent_with_a_token_that_is_good_once(captcha: Captcha) -> None:
    client = Client(application)
    client.get("/")
    cookie = client.get_cookie("csrftoken")
    assert cookie is not None
    data = {"message": "hello", "csrfmiddlewaretoken": cookie.value, **captcha.fields()}
    assert "<p>hello</p>" in client.post("/contact/", data=data).text
    assert client.post("/contact/", data=data).status_code == 403
