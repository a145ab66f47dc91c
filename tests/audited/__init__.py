"""Sites of different shapes, for the audit of their routes. What is protected stands in `GATE_TOML`.

Each site is served twice at once: guarded, and, for a request with the header `X-Unguarded`, as it is. So a test can
ask whether what the audit says about a target is what happens to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from caputchin_gate import load_gate

GATE_TOML: Final = Path(__file__).with_name("gate.toml")


def asgi_sometimes_guarded(app: Any) -> Any:
    from caputchin_gate.asgi import GateMiddleware

    guarded = GateMiddleware(app, gate=load_gate(GATE_TOML))

    async def chosen(scope: Any, receive: Any, send: Any) -> None:
        is_unguarded = b"x-unguarded" in dict(scope.get("headers", ()))
        await (app if is_unguarded else guarded)(scope, receive, send)

    return chosen


def wsgi_sometimes_guarded(app: Any) -> Any:
    from caputchin_gate.wsgi import GateMiddleware

    guarded = GateMiddleware(app, gate=load_gate(GATE_TOML))
    return lambda environ, start: (app if "HTTP_X_UNGUARDED" in environ else guarded)(environ, start)
