"""Races over real servers with several worker processes: of any number of submissions of one token, one comes through.

Each token is posted on many connections at once, so that it reaches all workers at the same time (threats.md R8).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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


@dataclass
class Connection:
    """A connection that is kept, and so stays with one worker."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: str, body: str = "") -> tuple[int, str]:
        """The status of the answer, and the process that gave it."""
        head = f"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in answer.split("\r\n")[1:] if line)
        await self.reader.readexactly(int(fields["content-length"]))
        return int(answer.split()[1]), fields["x-process"]

    async def post(self, token: str) -> int:
        status, _ = await self.ask("POST /contact", f"caputchin-token={token}")
        return status


async def to_all_workers(port: int) -> list[Connection]:
    """The same number of connections to each worker: the first that is up would take them all."""
    connections: dict[str, list[Connection]] = {}
    while sum(map(len, connections.values())) < POSTS:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
        _, process = await connection.ask("GET /runs")
        own = connections.setdefault(process, [])
        if len(own) < POSTS // WORKERS:
            own.append(connection)
        else:
            connection.writer.close()
    return [connection for own in connections.values() for connection in own]


async def race(port: int, tokens: list[str]) -> list[Counter[int]]:
    """How often each status was answered, for each token."""
    async with asyncio.timeout(TIME_LIMIT):
        connections = await to_all_workers(port)
        statuses = [
            Counter(await asyncio.gather(*(connection.post(token) for connection in connections))) for token in tokens
        ]
        for connection in connections:
            connection.writer.close()
        return statuses


def race_of(stack: str, app: str, store: str, tokens: int) -> list[Counter[int]]:
    environment = {
        "WEB_CONCURRENCY": str(WORKERS),
        "GUNICORN_CMD_ARGS": "--keep-alive 60",
        "UVICORN_TIMEOUT_KEEP_ALIVE": "60",
        "GATE_STORE": store,
    }
    with serve(stack, app, environment=environment) as server:
        return asyncio.run(race(server.port, [fresh_token() for _ in range(tokens)]))


@pytest.mark.parametrize(
    ("stack", "app", "store", "tokens"),
    [
        ("gunicorn-gthread", "tests.worker_processes:wsgi", sqlite, 50),
        ("gunicorn-gthread", "tests.worker_processes:wsgi", redis, 50),
        ("uvicorn-httptools", "tests.worker_processes:asgi", sqlite, 10),
        ("uvicorn-httptools", "tests.worker_processes:asgi", redis, 10),
    ],
)
def test_of_200_posts_of_a_token_to_4_workers_one_comes_through(
    tmp_path: Path, opened: ExitStack, stack: str, app: str, store: StoreUrl, tokens: int
) -> None:
    statuses = race_of(stack, app, store(tmp_path, opened), tokens)
    assert statuses == [{200: 1, 403: POSTS - 1}] * tokens
