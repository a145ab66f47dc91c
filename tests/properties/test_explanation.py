"""Whatever is asked, `explain` foretells what the door does with a request that has no token."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate import Gate, Route
from caputchin_gate.asgi import GateMiddleware
from caputchin_gate.cli.commands.explain import asked_head
from caputchin_gate.explanation import Explanation, explain
from tests.properties.test_routes import TARGETS

PATHS = st.sampled_from(
    [
        "/login",
        "/any",
        "/items/open",
        "/items/x",
        "/own",
        "/away",
        "/.caputchin/captcha.js",
        "/.caputchin/nothing",
        "/x",
    ]
)
METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "post", "PURGE"])
QUERIES = st.sampled_from(["", "", "?_method=put", "?a=%2Flogin", "?_Method=GET&_method=purge"])
HEADERS = st.sampled_from(
    [{}, {}, {"X-HTTP-Method-Override": "PUT"}, {"Accept": "application/json"}, {"Sec-Fetch-Site": "cross-site"}]
)
MOUNTS = st.sampled_from(["", "", "/app", "/app/"])

GATES = {
    mode: Gate(
        provider="caputchin",
        verification="in-process",
        store="memory",
        mode=mode,
        protect=[
            "POST /login",
            "/any",
            "PUT /items/{item}",
            Route("POST /own", on_refuse="pass"),
            Route("POST /away", on_refuse="redirect:/x"),
            "* /t/{rest:path}",
        ],
        exempt=["PUT /items/open"],
    )
    for mode in ("enforce", "report")
}


def what_happens(gate: Gate, method: str, target: str, mount: str, headers: dict[str, str]) -> tuple[bool, int | None]:
    """Whether the application is called, and the status if it is not."""
    called: list[bool] = []
    answered: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(True)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answered.extend([message["status"]] if message["type"] == "http.response.start" else [])

    raw_path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "root_path": mount.rstrip("/"),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("203.0.113.9", 1),
    }
    asyncio.run(GateMiddleware(app, gate=gate)(scope, receive, send))
    return bool(called), answered[0] if answered else None


def foretold(told: Explanation) -> tuple[bool, int | None]:
    outcome = next((one for one in told.outcomes if one.when in ("no token", "always")), None)
    if outcome is None or outcome.becomes in ("admitted", "passed on"):
        return told.found != "own path", None
    return False, outcome.status


@pytest.mark.parametrize("mode", GATES)
@given(
    st.one_of(st.tuples(PATHS, QUERIES).map("".join), TARGETS.map(lambda target: "/" + target)),
    METHODS,
    MOUNTS,
    HEADERS,
)
def test_what_is_foretold_happens(mode: str, target: str, method: str, mount: str, headers: dict[str, str]) -> None:
    head = asked_head(method, target, mount, [f"{name}: {value}" for name, value in headers.items()])
    told = explain(head, GATES[mode].policy)
    sent = (head.raw_path or "") + (f"?{head.query}" if head.query else "")
    called, status = what_happens(GATES[mode], method, sent, mount, headers)
    if told.found == "own path":
        assert not called
    else:
        assert (called, status) == foretold(told)
    assert called or not told.open
