"""A store on a Redis server or cluster, shared by many machines: connections, time limits, troubles.

What is said to the server is `redis_claims.py`. Code without an event loop has one client for each process, code on
an event loop one for each loop. Nothing is sent twice by itself: a claim whose reply was lost may have been won, and
is answered as an outage; should the token come again, it is lost.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.stores.redis_address import Address, Node
from caputchin_gate.stores.redis_claims import (
    NO_SCRIPT,
    Conversation,
    OutOfStep,
    Unfit,
    asking,
    claiming,
    counting,
    memory_of,
    sharing_signing_key,
    swapping,
)
from caputchin_gate.stores.redis_nodes import Elsewhere, Lost, Nodes, Sending, directed
from caputchin_gate.stores.trouble_log import TroubleLog

T = TypeVar("T")

# The client raises more than its own exceptions: RuntimeError where uvloop's transport is closed, ValueError where
# something else than Redis answers, AttributeError where another thread closes the connection that is being read.
_TROUBLE: Final = (RedisError, OutOfStep, Unfit, Lost, OSError, EOFError, RuntimeError, ValueError, AttributeError)
_DIRECTION: Final = re.compile(r"(?P<word>MOVED|ASK) \d+ (?P<host>.*):(?P<port>\d+)")
_DOWN: Final = StoreDown()
_CONNECTIONS: Final = 32  # of one event loop; threads have one each

_inherited: Final[list[object]] = []  # clients of a parent process; they are its to close


@dataclass(slots=True)
class _OnLoop:
    """What one event loop has open."""

    clients: dict[Node, Any] = field(default_factory=dict)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONNECTIONS))


@dataclass(slots=True)
class _Process:
    """What one process has open."""

    pid: int = field(default_factory=os.getpid)
    clients: dict[Node, Any] = field(default_factory=dict)
    loops: dict[asyncio.AbstractEventLoop, _OnLoop] = field(default_factory=dict)


class RedisStore:
    """patience: seconds to wait for a connection, and again for a reply."""

    def __init__(self, address: Address, *, patience: float = 1.0) -> None:
        self._address = address
        self._patience = patience
        self._memory = memory_of(cluster=address.cluster)
        self._nodes = Nodes(address.nodes)
        self._process = _Process()
        self._log = TroubleLog(f"Redis at {address}")

    # The contract, blocking

    def claim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult:
        if until <= now:
            return ClaimResult.LOST
        return _as_claim(self._talk(claiming(self._memory, key, until, now, born)))

    def claimed(self, key: bytes, now: float, born: float = 0.0) -> bool | StoreDown:
        return self._talk(asking(self._memory, key, now, born))

    def count(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown:
        return self._talk(counting(self._memory, key, window, now, times))

    def swap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        return self._talk(swapping(self._memory, key, old, new, until, now))

    def claim_now(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult | None:
        return ClaimResult.LOST if until <= now else None

    def count_now(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown | None:
        return None

    def swap_now(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown | None:
        return None

    def signing_key(self) -> bytes:
        if self._memory.signing_key is not None:
            return self._memory.signing_key
        try:
            self._carry(asking(self._memory, b"", time.time()))  # finds out whether the server is fit
            return self._carry(sharing_signing_key(self._memory, os.urandom(32)))
        except _TROUBLE as trouble:
            what = f"Redis at {self._address} can't be used ({_told(trouble)})"
            fix = "start it, correct the address, or use another store" if _is_silence(trouble) else ""
            raise ConfigurationError([Problem("store", what, fix)]) from None
        finally:
            self.close()  # a server often forks after this; connections are better not inherited

    def close(self) -> None:
        process = self._own_process()
        clients, process.clients = process.clients, {}
        for client in clients.values():
            client.close()

    # The contract, awaited

    async def aclaim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult:
        if until <= now:
            return ClaimResult.LOST
        return _as_claim(await self._atalk(claiming(self._memory, key, until, now, born)))

    async def aclaimed(self, key: bytes, now: float, born: float = 0.0) -> bool | StoreDown:
        return await self._atalk(asking(self._memory, key, now, born))

    async def acount(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown:
        return await self._atalk(counting(self._memory, key, window, now, times))

    async def aswap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        return await self._atalk(swapping(self._memory, key, old, new, until, now))

    async def aclose(self) -> None:
        """Close what the running event loop has open, and what threads have."""
        self.close()
        await self._leave(asyncio.get_running_loop())

    # How a conversation is held

    def _talk(self, conversation: Conversation[T]) -> T | StoreDown:
        try:
            answer = self._carry(conversation)
        except _TROUBLE as trouble:
            if isinstance(trouble, OutOfStep):
                self.close()
            return self._fail(trouble)
        if self._log.in_trouble:
            self._log.up()
        return answer

    def _carry(self, conversation: Conversation[T]) -> T:
        process = self._own_process()
        sendings, reply = directed(conversation, self._nodes), None
        while True:
            try:
                sending = sendings.send(reply)
            except StopIteration as done:
                answer: T = done.value
                return answer
            client = process.clients.get(sending.node) or self._open(process.clients, sending.node, redis, Retry)
            try:
                if sending.asking:
                    reply = _after_asking(client, sending).execute()[-1]
                else:
                    reply = client.execute_command(*sending.words)
            except _TROUBLE as trouble:
                reply = self._reply_in(trouble, sending)

    async def _atalk(self, conversation: Conversation[T]) -> T | StoreDown:
        own = self._on_loop()
        try:
            # All of it within one time limit, waiting for a turn included.
            async with asyncio.timeout(2 * self._patience), own.turns:
                answer = await self._acarry(conversation, own.clients)
        except _TROUBLE as trouble:
            if isinstance(trouble, OutOfStep):
                await self._leave(asyncio.get_running_loop())
            return self._fail(trouble)
        if self._log.in_trouble:
            self._log.up()
        return answer

    async def _acarry(self, conversation: Conversation[T], clients: dict[Node, Any]) -> T:
        sendings, reply = directed(conversation, self._nodes), None
        while True:
            try:
                sending = sendings.send(reply)
            except StopIteration as done:
                answer: T = done.value
                return answer
            client = clients.get(sending.node) or self._open(clients, sending.node, redis.asyncio, AsyncRetry)
            try:
                if sending.asking:
                    reply = (await _after_asking(client, sending).execute())[-1]
                else:
                    reply = await client.execute_command(*sending.words)
            except _TROUBLE as trouble:
                reply = self._reply_in(trouble, sending)

    def _reply_in(self, trouble: Exception, sending: Sending) -> object:
        """The reply that the client gives as an exception; any other exception is raised again."""
        match trouble:
            case NoScriptError():
                return NO_SCRIPT
            case AskError(host=host, port=port):
                return Elsewhere((host or sending.node[0], port), once=not isinstance(trouble, MovedError))
            case ResponseError() if match := _DIRECTION.fullmatch(str(trouble)):  # the same in version 5
                return Elsewhere((match["host"] or sending.node[0], int(match["port"])), once=match["word"] == "ASK")
            case _:
                self._nodes.doubt(sending.node)
                raise trouble

    def _fail(self, trouble: Exception) -> StoreDown:
        self._log.down(_told(trouble))
        return _DOWN

    # Clients

    def _own_process(self) -> _Process:
        if self._process.pid != os.getpid():
            _inherited.append(self._process)
            self._process = _Process()
        return self._process

    def _on_loop(self) -> _OnLoop:
        loops, loop = self._own_process().loops, asyncio.get_running_loop()
        own = loops.get(loop)
        if own is None:
            for ended in [other for other in list(loops) if other.is_closed()]:
                loops.pop(ended, None)
            own = loops[loop] = _OnLoop()
        return own

    async def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        own = self._own_process().loops.pop(loop, None)
        for client in own.clients.values() if own is not None else ():
            await client.aclose()

    def _open(self, clients: dict[Node, Any], node: Node, library: Any, retry: Callable[..., Any]) -> Any:
        """A client of `redis` or `redis.asyncio`, whose names are the same. It connects when it is used."""
        host, port = node
        address = self._address
        options: dict[str, Any] = {"host": host, "port": port} if port else {"unix_socket_path": host}
        if address.tls:
            options |= {"ssl": True, **address.tls_files}
        client = library.Redis(
            **options,
            db=address.database,
            username=address.user,
            password=address.password.reveal() if address.password is not None else None,
            protocol=2,
            socket_timeout=self._patience,
            socket_connect_timeout=self._patience,
            socket_keepalive=True,
            retry=retry(NoBackoff(), 0),
        )
        return clients.setdefault(node, client)


def _after_asking(client: Any, sending: Sending) -> Any:
    return client.pipeline(transaction=False).execute_command("ASKING").execute_command(*sending.words)


def _as_claim(answer: ClaimResult | StoreDown) -> ClaimResult:
    match answer:
        case StoreDown():
            return ClaimResult.STORE_DOWN
        case ClaimResult():
            return answer


def _told(trouble: Exception) -> str:
    """The trouble in words. What the server said is not repeated."""
    match trouble:
        case Unfit():
            return str(trouble)
        case AuthenticationError():
            return "it refuses the user or the password"
        case NoPermissionError():
            return "the user may not run the gate's scripts"
        case BusyLoadingError():
            return "it is loading its data"
        case OutOfMemoryError():
            return "it is full"
        case _ if _is_silence(trouble):
            return f"it does not answer: {type(trouble).__name__}"
        case _:
            return type(trouble).__name__


def _is_silence(trouble: Exception) -> bool:
    own = redis.ConnectionError, redis.TimeoutError, OSError
    return isinstance(trouble, own) and not isinstance(trouble, AuthenticationError | BusyLoadingError)
