"""One request, one reply, one deadline, over the connection pool of httpx2.

The pool (`httpcore2`) and not the client on top of it: a pool follows no redirect, keeps no cookie, reads no proxy
from the environment, decompresses nothing and logs no URL (threats.md R29, R35).

A POST that may have arrived is never sent twice. The pool looks at a kept connection before it uses it again, so one
that the server closed while it was idle is replaced unnoticed; one that closes in the very moment we send ends the
call as `NoReply(CONNECTION, sent=True)`.
"""

# ruff: noqa: ASYNC109 - the pool's interface to the network has these parameters

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, suppress
from ssl import SSLContext, SSLError
from typing import Any, Final

import httpcore2

from caputchin_gate.effects import Call, NoReply
from caputchin_gate.events import tell_broken
from caputchin_gate.http_client.names import addresses_of
from caputchin_gate.messages import HttpReply, HttpRequest
from caputchin_gate.verdict import Cause

MAX_BODY: Final = 64 * 1024  # threats.md R9
KEPT_CONNECTIONS: Final = 100
ONE_OF_SEVERAL: Final = 1.0  # seconds for an address while there are others: some networks swallow all of IPv6
IDLE_SECONDS: Final = 5.0  # short: the longer a connection idles, the likelier is a close in the moment of its use


def system_authorities() -> SSLContext:
    """The certificate authorities of the machine, whatever the environment says."""
    from httpx2 import create_ssl_context

    return create_ssl_context(trust_env=False)


def connection_pool(context: SSLContext, connections: int) -> httpcore2.AsyncConnectionPool:
    """As many connections as calls may be under way: a call that had to queue here would look like an outage."""
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        max_connections=connections,
        max_keepalive_connections=min(connections, KEPT_CONNECTIONS),
        keepalive_expiry=IDLE_SECONDS,
        network_backend=_Network(),
    )


async def exchange(pool: httpcore2.AsyncConnectionPool, call: Call) -> HttpReply | NoReply:
    """The complete reply, or how the attempt ended."""
    sending = _Sending(call.request)
    try:
        async with asyncio.timeout(call.timeout):
            return await _converse(pool, sending.request())
    except TimeoutError:
        return NoReply(Cause.TIMEOUT, sent=sending.begun)
    except httpcore2.ConnectError as error:
        return NoReply(Cause.TLS if _is_about_tls(error) else Cause.CONNECTION, sent=False)
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError):
        return NoReply(Cause.CONNECTION, sent=sending.begun)
    except Exception as error:  # threats.md R5: whatever happens here is no verdict; its text may hold a secret
        tell_broken(error, "a call to a provider failed")
        return NoReply(Cause.CONNECTION, sent=sending.begun)


async def _converse(pool: httpcore2.AsyncConnectionPool, request: httpcore2.Request) -> HttpReply | NoReply:
    response = await pool.handle_async_request(request)
    try:
        if not response.extensions["network_stream"].answered:
            return NoReply(Cause.CONNECTION)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        body = await _read(response) if headers.get("content-encoding", "identity") == "identity" else None
    except (httpcore2.NetworkError, httpcore2.ProtocolError):
        body = None
    finally:
        await response.aclose()
    return NoReply(Cause.UNREADABLE) if body is None else HttpReply(response.status, headers, body)


async def _read(response: httpcore2.Response) -> bytes | None:
    """The whole body, None when it is too large."""
    body = bytearray()
    async with aclosing(response.aiter_stream()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > MAX_BODY:
                return None
    return bytes(body)


class _Sending:
    """A request on its way out, and whether any of its body left us."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self.begun = not request.body  # without a body the head alone may be enough to act on

    def request(self) -> httpcore2.Request:
        url, host = _address(self._request.url, self._request.query)
        headers = [
            ("Host", host),
            *self._request.headers,
            ("Accept-Encoding", "identity"),
            *(() if self._request.method == "GET" else (("Content-Length", str(len(self._request.body))),)),
        ]
        return httpcore2.Request(self._request.method, url, headers=headers, content=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        yield self._request.body


def _address(url: str, query: str) -> tuple[httpcore2.URL, str]:
    parsed = httpcore2.URL(f"{url}?{query}" if query else url)
    host = parsed.host.decode("ascii")
    name = f"[{host}]" if ":" in host else host
    return parsed, name if parsed.port is None else f"{name}:{parsed.port}"


def _is_about_tls(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


class _Network(httpcore2.AnyIOBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        *others, last = await _found(host, timeout)
        for address in others:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._connect(address, port, ONE_OF_SEVERAL, local_address, socket_options)
        return await self._connect(last, port, timeout, local_address, socket_options)

    async def _connect(self, address: str, *more: Any) -> httpcore2.AsyncNetworkStream:
        return _Connection(await super().connect_tcp(address, *more))


async def _found(host: str, timeout: float | None) -> list[str]:
    try:
        return await asyncio.wait_for(addresses_of(host), timeout)
    except TimeoutError:
        raise httpcore2.ConnectTimeout(f"{host} is still looked up") from None
    except (OSError, UnicodeError) as failure:
        raise httpcore2.ConnectError(str(failure)) from None


class _Connection(httpcore2.AsyncNetworkStream):
    """Knows whether anything was read since the last request was written.

    A reply without a byte read for it came before its request: it is what a provider sent too much last time, and
    would be taken for the answer about another token (threats.md R26).
    """

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self.answered = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        self.answered = True
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.answered = False
        await self._stream.write(buffer, timeout)

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return _Connection(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
