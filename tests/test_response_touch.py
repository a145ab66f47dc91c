"""The only touch of an application's response is one Set-Cookie at an admitted request's (threats.md R39)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from caputchin_gate import Gate, Route
from caputchin_gate.asgi import GateMiddleware as AsgiGate
from caputchin_gate.wsgi import GateMiddleware as WsgiGate
from tests.form_site import SIGNING_KEY
from tests.test_receipt_doors import fresh_token

GATE = Gate(
    provider="caputchin",
    verification="in-process",
    store="memory",
    protect=[Route("/signup", receipt="2m"), "/plain"],
    in_process={"signing_key": SIGNING_KEY},
)
Message = dict[str, Any]
Headers = list[tuple[str, str]]


def through_asgi(messages: list[Message], path: str = "/signup") -> list[Message]:
    """What the server is sent when the application sends `messages` in answer to a verified request."""
    sent: list[Message] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: Message) -> None:
        sent.append(message)

    token = (b"x-caputchin-token", fresh_token().encode())
    scope = {"type": "http", "method": "POST", "path": path, "headers": [token], "client": ("203.0.113.9", 1)}
    asyncio.run(AsgiGate(application, gate=GATE)(scope, asyncio.Event().wait, send))  # type: ignore[arg-type]
    return sent


def is_receipt(header: tuple[bytes, bytes]) -> bool:
    return header[0] == b"set-cookie" and header[1].startswith(b"caputchin-receipt-")


@pytest.mark.parametrize("headers", [None, [], [(b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")], ((b"x-y", b"z"),)])
def test_the_start_of_a_response_gets_one_header_more_and_everything_else_is_as_it_was(headers: Any) -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]}
    start = {"type": "http.response.start", "status": 422, "trailers": True}
    start |= {} if headers is None else {"headers": headers}
    pieces = [{"type": "http.response.body", "body": b"x", "more_body": more} for more in (True, True, False)]
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
    messages = [hint, start, *pieces, trailers]
    before = [dict(message) for message in messages]
    sent = through_asgi(messages)
    assert messages == before, "the application's own messages are not changed"
    assert sent[0] is hint
    assert [id(message) for message in sent[2:]] == [id(message) for message in messages[2:]]
    *own, added = sent[1]["headers"]
    assert own == list(headers or ())
    assert is_receipt(added)
    assert {**sent[1], "headers": None} == {**start, "headers": None}


def test_without_receipts_the_application_gets_the_very_send_of_the_server() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
    (sent,) = through_asgi([start], "/plain")
    assert sent is start


class Server:
    """A WSGI server's `start_response`, which remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []

    def start_response(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.written.append


def through_wsgi(application: Any, path: str = "/signup") -> tuple[Server, Any]:
    server = Server()
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "REMOTE_ADDR": "203.0.113.9", "wsgi.url_scheme": "https"}
    environ["HTTP_X_CAPUTCHIN_TOKEN"] = fresh_token()
    return server, WsgiGate(application, gate=GATE)(environ, server.start_response)


def receipts_in(headers: Headers) -> list[str]:
    return [value for name, value in headers if name == "Set-Cookie" and value.startswith("caputchin-receipt-")]


def test_a_wsgi_response_gets_one_header_more() -> None:
    own: Headers = [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")]

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("422 Unprocessable Entity", own)(b"written")
        return body

    body = [b"x"]
    server, answer = through_wsgi(application)
    ((status, headers),) = server.calls
    assert (status, headers[:-1], own) == (
        "422 Unprocessable Entity",
        own,
        [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")],
    )
    assert len(receipts_in(headers)) == 1
    assert headers[-1][1].endswith("; Secure")
    assert answer is body
    assert server.written == [b"written"]


def test_a_response_that_starts_with_its_body_gets_it_too() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"

    server, answer = through_wsgi(application)
    assert server.calls == []
    assert list(answer) == [b"x"]
    assert len(receipts_in(server.calls[0][1])) == 1


def test_a_response_that_is_started_again_after_an_error_has_it_once() -> None:
    failure = (RuntimeError, RuntimeError("late"), None)

    def application(environ: Any, start_response: Any) -> list[bytes]:
        headers: Headers = [("Content-Type", "text/plain")]
        start_response("200 OK", headers)
        start_response("500 Internal Server Error", headers, failure)
        return []

    server, _ = through_wsgi(application)
    first, second = server.calls
    assert (len(first), second[2]) == (2, failure)
    assert [len(receipts_in(call[1])) for call in (first, second)] == [1, 1]


def test_without_receipts_a_wsgi_application_gets_the_very_start_response_of_the_server() -> None:
    seen = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(start_response)
        return []

    server, _ = through_wsgi(application, "/plain")
    assert seen == [server.start_response]
