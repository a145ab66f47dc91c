import pytest
from flask_guestbook import app, entries, gate

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


def test_guests_sign_with_a_token_that_is_good_once(captcha: Captcha) -> None:
    client = app.test_client()
    data = {"text": "A fine place", **captcha.fields()}
    assert client.post("/entries", data=data).status_code == 303
    assert client.post("/entries", data=data).status_code == 403
    assert entries == ["A fine place"]
    assert "A fine place" in client.get("/").text
