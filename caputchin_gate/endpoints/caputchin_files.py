"""The files of pages with Caputchin's own widget, which asks a host that is written into it (caputchin.md 6.1, 6.2).

caputchin/widget.js             the operator's copy, with our place instead of that host
caputchin/cap_wasm_bg.wasm      what the widget looks for beside itself, if the operator has it there;
caputchin/pako_inflate.min.js   without them it solves in JavaScript
caputchin/shim.js               for pages with the widget from elsewhere: sends its calls to us
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from caputchin_gate.endpoints.files import JAVASCRIPT, WASM, File, serve
from caputchin_gate.messages import Headers, RequestHead, Response

HOST: Final = b"https://verify.caputchin.com"
WIDGET: Final = "widget.js"
BESIDE: Final = ("cap_wasm_bg.wasm", "pako_inflate.min.js")

_ANY_ORIGIN: Final[Headers] = (("Access-Control-Allow-Origin", "*"),)  # the WASM is read with fetch


def files_of(bundle: Mapping[str, bytes], place: str) -> Mapping[str, File]:
    """What is served, by name.

    bundle: the operator's files by name, none or WIDGET and some of BESIDE
    place:  where the mount is as pages see it, without a slash at the end
    """
    files = {"shim.js": _shim()}
    for name, content in bundle.items():
        if name == WIDGET:
            content = content.replace(HOST, place.encode())
        files[name] = File(content, WASM if name.endswith(".wasm") else JAVASCRIPT)
    return files


@cache
def _shim() -> File:
    return File((Path(__file__).parent.parent / "caputchin_shim.js").read_bytes(), JAVASCRIPT)


def respond(file: File, head: RequestHead) -> Response:
    return serve(file, head, _ANY_ORIGIN)
