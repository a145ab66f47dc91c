"""pip install httpx pytest && pytest examples/uploads"""

import hashlib
from collections.abc import Iterator

import pytest
from app import app, gate
from starlette.testclient import TestClient

from caputchin_gate import Gate
from caputchin_gate.testing import Captcha

FILE = bytes(range(256)) * 20_000  # 5 MB, far beyond what the gate keeps


@pytest.fixture
def captcha_gate() -> Gate:
    return gate


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def test_a_large_file_arrives_whole_after_its_token(client: TestClient, captcha: Captcha) -> None:
    answer = client.post("/files", data=captcha.fields(), files={"file": ("a.bin", FILE)})
    assert answer.json() == {"name": "a.bin", "size": len(FILE), "sha256": hashlib.sha256(FILE).hexdigest()}


def test_a_file_without_a_token_is_not_waited_for(client: TestClient) -> None:
    assert client.post("/files", files={"file": ("a.bin", FILE)}).status_code == 413
    assert client.post("/files", files={"file": ("a.bin", b"small")}).status_code == 403


def test_a_token_behind_the_file_comes_too_late(client: TestClient, captcha: Captcha) -> None:
    parts = [("file", ("a.bin", FILE)), *((name, (None, value)) for name, value in captcha.fields().items())]
    assert client.post("/files", files=parts).status_code == 413
