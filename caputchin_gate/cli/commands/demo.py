"""A small site with a guarded form, verified in process: open it, submit it, see the decision."""

from __future__ import annotations

import argparse
from contextlib import suppress

from caputchin_gate.cli.listening import listen
from caputchin_gate.cli.parser import Group, port
from caputchin_gate.cli.terminal import DONE, needing

GROUP = Group.RUN
SUMMARY = "serve a small site with a guarded form"
EXAMPLES = (
    "demo",
    "demo --port 0 --open",
)
EXITS = {0: "ended by Ctrl-C"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8000, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(typed: argparse.Namespace) -> int:
    with needing("demo", "the demo"):
        from caputchin_gate.demo import server
    listener = listen(typed.host, typed.port, "--host and --port")
    with suppress(KeyboardInterrupt):  # the way to end it
        server.serve(listener, open_browser=typed.open)
    return DONE
