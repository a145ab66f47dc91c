"""GET captcha.js: our widget, for pages that use the gate's own challenges."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from caputchin_gate.endpoints.files import JAVASCRIPT, File, serve
from caputchin_gate.messages import RequestHead, Response


@cache
def widget_script() -> File:
    """Our widget."""
    return File((Path(__file__).parent.parent / "captcha.js").read_bytes(), JAVASCRIPT)


def respond(head: RequestHead) -> Response:
    return serve(widget_script(), head)
