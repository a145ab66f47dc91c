"""The applications of `tests/echo.py` as they stand behind the sidecar: without a gate, told by headers alone.

    asgi, wsgi      any path: answers 200 with a JSON description of the request, `headers` among it

`own_headers` are those of the gate's prefix that the sidecar does not write itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests import echo

WRITTEN = ("x-caputchin-verdict", "x-caputchin-reason", "x-caputchin-provider", "x-caputchin-signature")


def description(body: Iterable[bytes], decision: object, headers: list[tuple[str, str]]) -> bytes:
    told = json.loads(plain(body, None, [pair for pair in headers if pair[0] not in WRITTEN]))
    reasons = [value for name, value in headers if name == "x-caputchin-reason"]
    told["reason"] = None if reasons == ["unguarded"] else ",".join(reasons)
    told["headers"] = headers
    return json.dumps(told).encode()


plain = echo.description
echo.description = description


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    await echo.asgi_application(scope, receive, send)


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    return echo.wsgi_application(environ, start_response)
