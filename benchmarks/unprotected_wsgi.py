"""What a request that no rule guards pays for the gate in a WSGI application, without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.harness import NANO, Row, at_most, by_turns, cpu_seconds
from benchmarks.requests import environ_of
from benchmarks.unprotected_asgi import in_batches, never_seen, usual_paths
from caputchin_gate import Gate
from caputchin_gate.wsgi import GateMiddleware

Application = Callable[[Any, Any], Iterable[bytes]]


def application(environ: Any, start_response: Any) -> Iterable[bytes]:
    """Does nothing, so that what is left is the middleware."""
    return ()


class NoOperation:
    """The least that a WSGI middleware of the usual shape can do."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return self.app(environ, start_response)


def rows() -> Iterator[Row]:
    gate = Gate(provider="caputchin", verification="in-process", store="memory", protect=["POST /contact"])
    apps: dict[str, Application] = {
        "bare": application,
        "no-op": NoOperation(application),
        "gate": GateMiddleware(application, gate=gate),
    }
    usual = by_turns({name: partial(usual_cost, app) for name, app in apps.items()}, rounds=15)
    yield Row(
        "unprotected WSGI request adds",
        usual.added("gate", "bare") * NANO,
        "ns",
        (("no-op", usual.added("no-op", "bare") * NANO),),
        at_most(300),
    )
    fresh = by_turns({name: partial(fresh_cost, app) for name, app in apps.items()})
    yield Row(
        "unprotected WSGI request to a path never seen before adds",
        fresh.added("gate", "bare") * NANO,
        "ns",
        (("no-op", fresh.added("no-op", "bare") * NANO),),
    )


def usual_cost(app: Application) -> float:
    return cost(app, usual_paths(20_000))


def fresh_cost(app: Application) -> float:
    return cost(app, never_seen(1_000))


def cost(app: Application, paths: Sequence[str]) -> float:
    """CPU seconds of one request."""
    return in_batches(paths, lambda batch: timed(app, [environ_of(path) for path in batch]))


def timed(app: Application, environs: Sequence[Any]) -> float:
    def serve() -> None:
        for environ in environs:
            app(environ, None)

    return cpu_seconds(serve)
