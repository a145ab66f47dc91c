"""Applications that pages of the documentation show: made a module, started, and sent forms."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from caputchin_gate.testing import solve
from tests.servers import ROOT, Server, serve
from tests.wire import Answer, exchange, request_bytes

FORM = "Content-Type: application/x-www-form-urlencoded"


def examples(page: str, section: str = "") -> list[str]:
    """The Python of a page, from the section on."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    after = text.partition(f"# {section}\n")[2] if section else text
    return re.findall(r"^```python\n(.*?)^```$", after, re.MULTILINE | re.DOTALL)


@contextmanager
def served(
    code: str, stack: str, app: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The application `app` of some code, on a server of its own; its files are kept in the folder."""
    (folder / "the_page_s_app.py").write_text(code)
    path = os.pathsep.join((str(folder), str(ROOT)))
    own = {"PYTHONPATH": path, "XDG_STATE_HOME": str(folder), **(environment or {})}
    with serve(stack, f"the_page_s_app:{app}", environment=own) as server:
        yield server


def solved(server: Server) -> str:
    return solve(f"http://127.0.0.1:{server.port}")


def post(server: Server, path: str, body: str | bytes, head: str = FORM) -> Answer:
    encoded = body.encode() if isinstance(body, str) else body
    return exchange(server.port, request_bytes(f"POST {path}\n{head}\nAccept: application/json", encoded))
