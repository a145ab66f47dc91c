"""pip install httpx pytest && pytest examples/content_security_policy"""

import re

import pytest
from app import app, gate
from fastapi.testclient import TestClient

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


def test_script_and_style_have_the_nonce_of_the_policy_and_no_two_pages_the_same() -> None:
    nonces = set()
    for _ in range(2):
        answer = TestClient(app).get("/")
        (nonce,) = set(re.findall(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"]))
        assert re.findall(r'<(?:script|style)[^>]* nonce="([^"]+)"', answer.text) == [nonce, nonce]
        nonces.add(nonce)
    assert len(nonces) == 2


def test_feedback_is_taken_from_people(captcha: Captcha) -> None:
    client = TestClient(app)
    assert "You said: Lovely" in client.post("/feedback", data={"text": "Lovely", **captcha.fields()}).text
    assert client.post("/feedback", data={"text": "Lovely"}).status_code == 403
