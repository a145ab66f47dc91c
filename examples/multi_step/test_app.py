"""pip install pytest && pytest examples/multi_step"""

import pytest
from app import app, bookings, drafts, gate
from flask.testing import FlaskClient

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


@pytest.fixture
def client() -> FlaskClient:
    drafts.clear()
    bookings.clear()
    return app.test_client()


def test_one_token_in_the_first_step_makes_one_booking(client: FlaskClient, captcha: Captcha) -> None:
    assert client.post("/", data={"name": "Ann", **captcha.fields()}).location == "/date"
    assert client.post("/date", data={"date": "2030-05-01"}).location == "/confirm"
    session = client.get_cookie("session")
    assert session is not None
    assert "See you on 2030-05-01, Ann" in client.post("/confirm").text
    client.set_cookie("session", session.value)  # kept, and sent once more
    assert client.post("/confirm").status_code == 403
    assert bookings == [{"name": "Ann", "date": "2030-05-01"}]


@pytest.mark.parametrize("path", ["/", "/date", "/confirm"])
def test_nobody_begins_in_the_middle(client: FlaskClient, path: str) -> None:
    assert client.post(path, data={"name": "Bot", "date": "2030-05-01"}).status_code == 403
    assert bookings == []
