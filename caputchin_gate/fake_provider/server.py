"""A fake provider on this machine: its siteverify, tokens for whoever wants one, and a script that fills forms.

POST /... (or GET)          siteverify, where the provider has it
GET /token?outcome=...      a token, as text
GET /widget.js              fills the forms of a page with tokens; data-outcome, data-field
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Final

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from caputchin_gate.fake_provider import FakeProvider
from caputchin_gate.messages import RequestHead
from caputchin_gate.verdict import Reason

MOST_BODY: Final = 128 * 1024
_FOR_PAGES: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}


class _Quiet(WSGIRequestHandler):
    """A line for each request is not told: `on_answer` tells what counts."""

    def log(self, type: str, message: str, *arguments: object) -> None:
        pass


def server_of(fake: FakeProvider, listener: socket.socket) -> BaseWSGIServer:
    """A server on a listening socket, which may be closed then; `serve_forever` answers."""

    @Request.application
    def application(request: Request) -> Response:
        request.max_content_length = MOST_BODY
        match request.method, request.path:
            case fake.kind.method, fake.kind.path:
                return _siteverify(fake, request)
            case "GET", "/token":
                return _token(fake, request)
            case "GET", "/widget.js":
                script = files(__package__).joinpath("widget.js").read_text()
                written = script.replace("TOKEN_FIELD", fake.kind.token_field)
                return Response(written, mimetype="text/javascript", headers=_FOR_PAGES)
            case _:
                there = f"{fake.kind.method} {fake.kind.path}, GET /token, GET /widget.js\n"
                return Response(f"Here are: {there}", 404, mimetype="text/plain")

    host, port = listener.getsockname()[:2]
    descriptor = listener.fileno()
    return make_server(host, port, application, threaded=True, request_handler=_Quiet, fd=descriptor)


def url_of(server: BaseWSGIServer) -> str:
    host, port = server.socket.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def serving(fake: FakeProvider, port: int) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = server_of(fake, listener)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="fake-provider", daemon=True)
    thread.start()
    try:
        yield url_of(server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _siteverify(fake: FakeProvider, request: Request) -> Response:
    time.sleep(fake.latency)
    if fake.is_down:
        return Response("down\n", 502, mimetype="text/plain")
    headers = {name.lower(): tuple(request.headers.getlist(name)) for name in request.headers.keys()}  # noqa: SIM118
    query = request.query_string.decode("latin-1")
    answered = fake.answer(RequestHead("POST", request.path, query=query, headers=headers), request.get_data())
    return Response(answered.body, answered.status, list(answered.headers))


def _token(fake: FakeProvider, request: Request) -> Response:
    outcome, action = request.args.get("outcome", Reason.VERIFIED), request.args.get("action", "")
    try:
        return Response(fake.token(outcome, action=action), mimetype="text/plain", headers=_FOR_PAGES)
    except ValueError as unknown:
        return Response(f"{unknown}\n", 400, mimetype="text/plain", headers=_FOR_PAGES)
