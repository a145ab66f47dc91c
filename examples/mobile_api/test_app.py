"""pip install httpx pytest && pytest examples/mobile_api"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from app import accounts, app, gate
from client import create_account
from fastapi.testclient import TestClient

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


@pytest.fixture
def client() -> Iterator[TestClient]:
    accounts.clear()
    with TestClient(app) as client:
        yield client


def test_the_client_gets_its_token_by_itself(client: TestClient) -> None:
    def post(path: str, body: Any, headers: Mapping[str, str]) -> Any:
        return client.post(path, json=body, headers=headers).json()

    assert create_account(post, "Ann") == {"id": 1}
    assert client.get("/api/accounts/1").json() == {"name": "Ann"}


def test_a_refusal_is_a_problem_document_that_says_what_to_do(client: TestClient, captcha: Captcha) -> None:
    answer = client.post("/api/accounts", json={"name": "Bot"})
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["error-codes"] == ["missing-input-response"]


def test_a_token_is_good_for_the_action_it_was_asked_for(client: TestClient, captcha: Captcha) -> None:
    for action, status in (("account", 201), ("newsletter", 403)):
        headers = captcha.headers(action=action)
        assert client.post("/api/accounts", json={"name": "Ann"}, headers=headers).status_code == status
