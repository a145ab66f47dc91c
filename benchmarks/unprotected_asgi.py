"""What a request that no rule guards pays for the gate in an ASGI application, without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

from benchmarks.harness import NANO, Row, at_most_times, by_turns, cpu_seconds
from benchmarks.requests import scope_of
from caputchin_gate import Gate
from caputchin_gate.asgi import GateMiddleware

Application = Callable[[Any, Any, Any], Awaitable[None]]

BATCH = 50
USUAL_PATHS = [f"/articles/{number}/how-to-bake-bread" for number in range(50)]
NEVER_SEEN = (f"/articles/x{number}/how-to-bake-bread" for number in count())


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Does nothing, so that what is left is the middleware."""


class NoOperation:
    """The least that a pure ASGI middleware can do."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class OneLookup(NoOperation):
    """The same with one look into a dict."""

    held: dict[str, str] = {}  # noqa: RUF012

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in self.held:
            await self.app(scope, receive, send)


def rows() -> Iterator[Row]:
    gate = Gate(provider="caputchin", verification="in-process", store="memory", protect=["POST /contact"])
    apps: dict[str, Application] = {
        "bare": application,
        "no-op": NoOperation(application),
        "one lookup": OneLookup(application),
        "gate": GateMiddleware(application, gate=gate),
    }
    usual = by_turns({name: partial(usual_cost, app) for name, app in apps.items()}, rounds=15)
    yield Row(
        "unprotected ASGI request adds",
        usual.added("gate", "bare") * NANO,
        "ns",
        tuple((name, usual.added(name, "bare") * NANO) for name in ("no-op", "one lookup")),
        at_most_times(3.5),
        note="Usual paths are fifty that come again and again, with strings of their own as a server makes them.",
    )
    fresh = by_turns({name: partial(fresh_cost, app) for name, app in apps.items()})
    yield Row(
        "unprotected ASGI request to a path never seen before adds",
        fresh.added("gate", "bare") * NANO,
        "ns",
        (("no-op", fresh.added("no-op", "bare") * NANO),),
        note="A path is analysed once and remembered within bounds: only a scan of ever new paths pays this.",
    )


def usual_cost(app: Application) -> float:
    return cost(app, usual_paths(20_000))


def fresh_cost(app: Application) -> float:
    return cost(app, never_seen(1_000))


def usual_paths(requests: int) -> list[str]:
    return [USUAL_PATHS[number % len(USUAL_PATHS)] for number in range(requests)]


def never_seen(requests: int) -> list[str]:
    return [next(NEVER_SEEN) for _ in range(requests)]


def cost(app: Application, paths: Sequence[str]) -> float:
    """CPU seconds of one request."""
    return in_batches(paths, lambda batch: timed(app, [scope_of(path) for path in batch]))


def in_batches(paths: Sequence[str], seconds_of: Callable[[Sequence[str]], float]) -> float:
    """A few requests at a time: what a server hands over was made a moment ago, so it is still in the cache."""
    return sum(seconds_of(paths[start : start + BATCH]) for start in range(0, len(paths), BATCH)) / len(paths)


def timed(app: Application, scopes: Sequence[Any]) -> float:
    async def serve() -> None:
        for scope in scopes:
            await app(scope, None, None)

    serving = serve()

    def drive() -> None:
        """Nothing here waits, so no event loop is needed."""
        try:
            serving.send(None)
        except StopIteration:
            return
        raise RuntimeError("an unprotected request waited for something")

    return cpu_seconds(drive)
