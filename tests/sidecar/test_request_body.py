"""A body that is read before the decision: never more of it than somebody takes."""

from __future__ import annotations

import asyncio
from typing import cast

from caputchin_gate.sidecar.client import ClientConnection
from caputchin_gate.sidecar.request_body import RequestBody
from caputchin_gate.sidecar.wire import Request, read_request


class Reading:
    """The part of a client's connection that a body talks to."""

    on = False
    body: RequestBody

    def update_reading(self) -> None:
        self.on = self.body.wanted


def test_one_read_is_enough_however_long_its_taker_is_waited_for() -> None:
    async def upload() -> None:
        client = Reading()
        request = read_request(b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3000\r\n\r\n")
        assert isinstance(request, Request)
        body = client.body = RequestBody(cast(ClientConnection, client), request)
        taking = asyncio.create_task(body.next())
        await asyncio.sleep(0)
        assert client.on
        body.feed(b"x" * 1000)
        client.update_reading()
        assert not client.on, "the loop would read on until the taker has its turn"
        assert await taking == b"x" * 1000
        assert not client.on

    asyncio.run(upload())
