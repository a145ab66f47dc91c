"""pip install pytest && pytest examples/migration"""

import os

import pytest

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha

os.environ.setdefault("PROSOPO_SECRET", "0xa-secret-that-no-test-sends-anywhere")
from app import app, gate


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


@pytest.mark.parametrize("path", ["/signup", "/contact"])
@pytest.mark.parametrize("provider", ["caputchin", "old"])
def test_both_forms_take_the_tokens_of_both_providers(captcha: Captcha, path: str, provider: str) -> None:
    client = app.test_client()
    assert client.post(path, data={"text": "ann", **captcha.fields(provider=provider)}).status_code == 200
    rejected = captcha.fields("token-rejected", provider=provider)
    assert client.post(path, data={"text": "ann", **rejected}).status_code == 403
    assert client.post(path, data={"text": "ann"}).status_code == 403


def test_each_page_shows_one_widget() -> None:
    client = app.test_client()
    assert "captcha.js" in client.get("/").text
    assert 'class="procaptcha"' not in client.get("/").text
    assert 'class="procaptcha"' in client.get("/contact").text
