"""pip install pytest && pytest examples/behind_a_proxy"""

import pytest
from app import app, gate, votes
from flask.testing import FlaskClient

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha

ANN, BOB, PROXY, STRANGER = "203.0.113.1", "198.51.100.2", "127.0.0.1", "192.0.2.3"


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


@pytest.fixture
def client() -> FlaskClient:
    votes.update(tea=-votes["tea"], coffee=-votes["coffee"])
    return app.test_client()


def vote(client: FlaskClient, fields: dict[str, str], peer: str, claimed: str) -> int:
    environ = {"REMOTE_ADDR": peer}
    data = {"drink": "tea", **fields}
    return client.post("/votes", data=data, headers={"X-Forwarded-For": claimed}, environ_base=environ).status_code


def test_visitors_of_one_proxy_are_told_apart(client: FlaskClient, captcha: Captcha) -> None:
    assert vote(client, captcha.fields(remote_ip=ANN), PROXY, ANN) == 200
    assert vote(client, captcha.fields(remote_ip=ANN), PROXY, BOB) == 403
    assert votes["tea"] == 1


def test_what_a_stranger_says_about_its_address_is_not_believed(client: FlaskClient, captcha: Captcha) -> None:
    assert vote(client, captcha.fields(remote_ip=ANN), STRANGER, ANN) == 403
    assert vote(client, captcha.fields(remote_ip=STRANGER), STRANGER, ANN) == 200
