"""The first example of a framework's page is a whole application: started as the page says, it refuses and admits."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from caputchin_gate.engines.solver import solve
from tests.servers import ROOT, Server, serve
from tests.wire import exchange, request_bytes

FORM = "Content-Type: application/x-www-form-urlencoded\nAccept: application/json"


def solved(server: Server) -> str:
    raw = request_bytes("POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json", b"{}")
    challenge = json.loads(exchange(server.port, raw).body)
    return f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"


@pytest.mark.parametrize(("page", "stack"), [("fastapi", "uvicorn-h11"), ("flask", "werkzeug")])
def test_the_application_of_a_page_is_protected(page: str, stack: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    found = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / "the_page_s_app.py").write_text(found[1])
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    environment = {"PYTHONPATH": path, "XDG_STATE_HOME": str(tmp_path)}
    with serve(stack, "the_page_s_app:app", environment=environment) as server:
        shown = exchange(server.port, request_bytes("GET /", b""))
        assert b'<script src="/.caputchin/captcha.js" defer></script>' in shown.body
        refused = exchange(server.port, request_bytes(f"POST /contact\n{FORM}", b"message=hello"))
        assert (refused.status, json.loads(refused.body)["error-codes"]) == (403, ["missing-input-response"])
        body = f"message=hello&caputchin-token={solved(server)}".encode()
        admitted = exchange(server.port, request_bytes(f"POST /contact\n{FORM}", body))
        assert (admitted.status, json.loads(admitted.body)) == (200, {"sent": "hello"})
