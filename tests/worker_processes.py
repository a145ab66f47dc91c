"""The guarded applications of `tests.echo` for several worker processes: each answer names its process."""

from __future__ import annotations

import os
from typing import Any

from tests import echo

PROCESS = ("X-Process", str(os.getpid()))


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    async def named(message: Any) -> None:
        if message["type"] == "http.response.start":
            field = tuple(text.lower().encode() for text in PROCESS)
            message = {**message, "headers": [*message["headers"], field]}
        await send(message)

    await echo.asgi(scope, receive, named)


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    def named(status: str, headers: list[tuple[str, str]], *failure: Any) -> Any:
        return start_response(status, [*headers, PROCESS], *failure)

    return echo.wsgi(environ, named)
