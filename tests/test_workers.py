"""Races over real servers with several worker processes: of any number of submissions of one token, one comes through.

Each token is posted on many connections at once, so that it reaches all workers at the same time (threats.md R8).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer
from tests.servers import serve
from tests.test_doors import fresh_token

WORKERS = 4
POSTS = 200  # of each token, at once
TIME_LIMIT = 60.0  # seconds; a test that runs into it has failed

StoreUrl = Callable[[Path, ExitStack], str]


def sqlite(folder: Path, opened: ExitStack) -> str:
    return f"sqlite:///{folder}/gate.db"


def redis(folder: Path, opened: ExitStack) -> str:
    return opened.enter_context(RedisServer(folder / "redis")).url


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> int:
    """The status of one submission on a connection that is kept."""
    body = f"caputchin-token={token}"
    head = "POST /contact HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(answer.partition("content-length: ")[2].split()[0]))
    return int(answer.split()[1])


async def race(port: int, tokens: list[str]) -> list[Counter[int]]:
    """How often each status was answered, for each token."""
    async with asyncio.timeout(TIME_LIMIT):
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(POSTS)]
        statuses = [
            Counter(await asyncio.gather(*(post(reader, writer, token) for reader, writer in connections)))
            for token in tokens
        ]
        for _, writer in connections:
            writer.close()
        return statuses


def race_of(stack: str, app: str, store: str, tokens: int) -> list[Counter[int]]:
    environment = {"WEB_CONCURRENCY": str(WORKERS), "GATE_STORE": store}
    with serve(stack, app, environment=environment) as server:
        return asyncio.run(race(server.port, [fresh_token() for _ in range(tokens)]))


@pytest.mark.parametrize(
    ("stack", "app", "store", "tokens"),
    [
        ("gunicorn-gthread", "tests.echo:wsgi", sqlite, 50),
        ("gunicorn-gthread", "tests.echo:wsgi", redis, 50),
        ("uvicorn-httptools", "tests.echo:asgi", sqlite, 10),
        ("uvicorn-httptools", "tests.echo:asgi", redis, 10),
    ],
)
def test_of_200_posts_of_a_token_to_4_workers_one_comes_through(
    tmp_path: Path, opened: ExitStack, stack: str, app: str, store: StoreUrl, tokens: int
) -> None:
    statuses = race_of(stack, app, store(tmp_path, opened), tokens)
    assert statuses == [{200: 1, 403: POSTS - 1}] * tokens
