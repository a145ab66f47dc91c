"""The sidecar is a door like the others: the same table of requests, the same decisions, in front of every server."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests import test_bypasses
from tests.servers import STACKS, Server, serve, serve_all
from tests.sidecar.running import Running, sidecar
from tests.test_bypasses import KNOWN, KNOWN_BESIDES, ROUTES, Sent, random_target
from tests.test_doors import (
    FORM,
    fresh_token,
    test_a_client_that_goes_away_in_its_body_is_never_admitted,
    test_a_client_that_waits_for_100_continue_gets_it_and_is_admitted,
    test_a_refused_request_leaves_the_connection_in_step,
    test_a_refused_upload_can_read_its_answer_although_it_is_still_sending,
    test_a_token_before_a_file_is_verified_before_the_file_has_arrived,
    test_a_token_posted_many_times_at_once_is_admitted_once,
    test_every_chunking_of_an_upload_arrives_byte_for_byte,
    test_every_door_decides_alike,
    test_the_widget_and_a_challenge_are_served_below_the_mount,
    used_token,
)
from tests.ungated import MOUNT
from tests.wire import connect, exchange, request_bytes

__all__ = [  # these run here once more, with the `server` below
    "test_a_client_that_goes_away_in_its_body_is_never_admitted",
    "test_a_client_that_waits_for_100_continue_gets_it_and_is_admitted",
    "test_a_refused_request_leaves_the_connection_in_step",
    "test_a_refused_upload_can_read_its_answer_although_it_is_still_sending",
    "test_a_token_before_a_file_is_verified_before_the_file_has_arrived",
    "test_a_token_posted_many_times_at_once_is_admitted_once",
    "test_every_chunking_of_an_upload_arrives_byte_for_byte",
    "test_every_door_decides_alike",
    "test_the_widget_and_a_challenge_are_served_below_the_mount",
    "used_token",
]


@dataclass(frozen=True)
class Behind:
    """A server behind the sidecar; `stack` and `app` are the server's, `port` the sidecar's."""

    stack: str
    app: str
    port: int
    in_front: str = "sidecar"


BEHIND = tuple(stack for stack in STACKS if stack not in ("werkzeug", "gunicorn-gthread", "granian-wsgi"))
TOKEN = re.compile(r"[A-Za-z0-9_-]{32}\.[0-9]+")


@pytest.fixture(scope="module", params=BEHIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    stack = request.param
    app = f"tests.sidecar.behind:{STACKS[stack].interface}"
    with serve(stack, app) as upstream, sidecar(tmp_path_factory.mktemp("gate"), url_of(upstream)) as running:
        yield Behind(stack, app, running.port)
        output = running.output()
    assert "decision verified" in output
    assert not TOKEN.search(output), "a token is in the log"
    assert "Traceback" not in output
    assert "internal error" not in output


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def test_an_exemption_counts_in_its_plain_spelling_only(server: Behind) -> None:
    plain = exchange(server.port, request_bytes(f"POST /hooks/stripe\n{FORM}", b"x=y"))
    assert json.loads(plain.body)["reason"] == "exempt"
    assert exchange(server.port, request_bytes(f"POST /hooks/%73tripe\n{FORM}", b"x=y")).status == 403


# Odd targets: no handler runs without a token, on any server and framework


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    protect = [f"POST {prefix}{path}" for prefix in ("", MOUNT) for path in ROUTES]
    servers = [Server(stack, f"tests.ungated.{STACKS[stack].interface}:application") for stack in BEHIND]
    with serve_all(servers):
        started: dict[str, Any] = {}
        try:
            for server in servers:
                front = sidecar(tmp_path_factory.mktemp("gate"), url_of(server), protect=protect, route=[], exempt=[])
                started[server.stack] = front, front.__enter__()
            yield {stack: running for stack, (_, running) in started.items()}
        finally:
            for front, _ in started.values():
                front.__exit__(None, None, None)


def send_all(port: int, requests: list[Sent]) -> Iterator[tuple[Sent, int, list[str]]]:
    """Each request, the status of its answer, and the applications whose handler ran."""
    for request in requests:
        with connect(port) as connection, closing(HTTPResponse(connection)) as answer:
            connection.sendall(bytes(request))
            try:
                answer.begin()
                body = answer.read()
            except (HTTPException, ConnectionError):
                yield request, 0, []
                continue
            ran = json.loads(body)["ran"] if answer.status == 200 else []
            yield request, answer.status, ran


@pytest.mark.parametrize("stack", BEHIND)
def test_no_handler_runs_for_an_odd_target_without_a_token(behind: dict[str, Running], stack: str) -> None:
    chance = random.Random(f"sidecar {stack}")
    requests = [*map(Sent, KNOWN), *KNOWN_BESIDES]
    requests += [Sent(random_target(chance, "")) for _ in range(test_bypasses.RANDOM_TARGETS)]
    outcomes = list(send_all(behind[stack].port, requests))
    assert [(sent.target, ran) for sent, _, ran in outcomes if ran] == []
    seen = {status for _, status, _ in outcomes}
    assert {200, 400, 403} <= seen, "too little happened for this to mean anything"


def test_the_control_without_a_sidecar_many_of_them_run() -> None:
    with serve("uvicorn-httptools", "tests.ungated.asgi:application") as server:
        ran = [sent.target for sent, _, ran in send_all(server.port, list(map(Sent, KNOWN))) if ran]
    assert len(ran) > 25


def test_thousand_posts_of_one_token_to_four_workers_are_admitted_once(tmp_path: Path) -> None:
    with (
        serve("uvicorn-httptools", "tests.sidecar.behind:asgi") as upstream,
        sidecar(tmp_path, url_of(upstream), sidecar={"workers": 4}) as running,
    ):
        raw = request_bytes(f"POST /contact\n{FORM}", f"caputchin-token={fresh_token()}".encode())
        with ThreadPoolExecutor(32) as pool:
            statuses = [answer.status for answer in pool.map(lambda _: exchange(running.port, raw), range(1000))]
    assert statuses.count(200) == 1
    assert statuses.count(403) == 999
