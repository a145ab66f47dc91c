"""One form between two connections, in one process: what is decided at once, and what breaks on the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import pytest

from caputchin_gate import Gate
from caputchin_gate.addresses import Address
from caputchin_gate.sidecar.client import ClientConnection
from caputchin_gate.sidecar.relay import Relay
from caputchin_gate.sidecar.settings import RelaySettings
from tests.sidecar.scripted import Scripted
from tests.test_fail_closed import TOKEN, Failure, FaultyWorld, fresh_token, in_process
from tests.wire import request_bytes

PATIENCE = 10.0
OPEN = request_bytes("POST /open", b"a=b", close=False)


def form(token: str) -> bytes:
    head = "POST /contact\nContent-Type: application/x-www-form-urlencoded"
    return request_bytes(head, f"caputchin-token={token}".encode(), close=False)


class Client:
    """One connection to a relay."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> int:
        """The status of the answer to a request that comes in so many pieces."""
        for piece in pieces:
            self._writer.write(piece)
            await asyncio.sleep(0.02 if len(pieces) > 1 else 0)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return int(head.split()[1])

    def close(self) -> None:
        self._writer.close()


@dataclass
class Told:
    """What became of requests: their statuses, the forms that the application got, how many tasks the relay began."""

    statuses: list[int]
    forms: list[bytes]
    tasks: int


def sent(gate: Gate, *requests: tuple[bytes, ...]) -> Told:
    """Send these over one connection, where one to the application is kept already."""

    async def all_sent() -> tuple[list[int], int]:
        loop = asyncio.get_running_loop()
        relay = Relay(gate, RelaySettings((Address("127.0.0.1", application.port),)), loop)
        server = await loop.create_server(lambda: ClientConnection(relay, tls=False), "127.0.0.1", 0)
        client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        assert await client.send(OPEN) == 200
        tasks: list[asyncio.Task[Any]] = []

        def begun(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
            tasks.append(asyncio.Task(work, loop=loop, **more))
            return tasks[-1]

        loop.set_task_factory(cast(Any, begun))
        async with asyncio.timeout(PATIENCE):
            statuses = [await client.send(*pieces) for pieces in requests]
        loop.set_task_factory(None)
        client.close()
        server.close()
        relay.cut_off()
        return statuses, len(tasks)

    with Scripted() as application:
        statuses, tasks = asyncio.run(all_sent())
        forms = [one.partition(b"\r\n\r\n")[2] for one in application.requests if one.startswith(b"POST /contact ")]
        return Told(statuses, forms, tasks)


def test_a_whole_form_is_decided_and_passed_on_without_a_task() -> None:
    token = fresh_token()
    told = sent(in_process(), (form(token),), (form(token),), (form("forged"),), (OPEN,))
    assert told.statuses == [200, 403, 403, 200]
    assert told.forms == [b"caputchin-token=" + token.encode()]
    assert told.tasks == 0


def test_a_form_in_pieces_is_waited_for_in_a_task_and_decided_alike() -> None:
    token = fresh_token()
    whole = form(token)
    head_end = whole.index(b"\r\n\r\n") + 4
    told = sent(in_process(), (whole[:head_end], whole[head_end:-9], whole[-9:]), (form(token),))
    assert told.statuses == [200, 403]
    assert told.forms == [whole[head_end:]]
    assert told.tasks == 1


@pytest.mark.parametrize("step", range(2))
def test_a_step_that_fails_is_a_refusal_and_the_connection_goes_on(step: int) -> None:
    gate = in_process()
    gate._world = FaultyWorld(gate._world.client, gate._world.store)
    FaultyWorld.breaks_at = step  # the claim, and telling others what was counted
    told = sent(gate, (form(fresh_token()),), (OPEN,))
    assert told.statuses == [503, 200]
    assert (told.forms, told.tasks) == ([], 0)


def broken(*_: object) -> Any:
    raise Failure(TOKEN)


def a_broken_gate(gate: Gate, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(gate, "handle_at_once", broken)


def a_broken_decision(gate: Gate, patched: pytest.MonkeyPatch) -> None:
    patched.setattr("caputchin_gate.gate.log_decision", broken)


@pytest.mark.parametrize("breaks", [a_broken_gate, a_broken_decision])
def test_whatever_breaks_around_the_decision_is_a_502_and_the_application_is_not_asked(
    breaks: Callable[[Gate, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    gate = in_process()
    breaks(gate, monkeypatch)
    told = sent(gate, (form(fresh_token()),), (form(fresh_token()),), (OPEN,))
    assert told.statuses == [502, 502, 200]
    assert (told.forms, told.tasks) == ([], 0)
    assert "Failure at test_exchange.py" in caplog.text
    assert TOKEN not in caplog.text
