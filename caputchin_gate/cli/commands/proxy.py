"""The reverse proxy in front of an application. What is typed here counts more than the file."""

from __future__ import annotations

import argparse

from caputchin_gate.cli.parser import whole
from caputchin_gate.cli.terminal import DONE, FINDING, WrongUse, needing

SUMMARY = "serve as a reverse proxy in front of an application"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="gate.toml")
    parser.add_argument("--listen", metavar="ADDRESS", action="append", help="where clients connect; may be repeated")
    parser.add_argument("--upstream", metavar="URL", action="append", help="the application; may be repeated")
    parser.add_argument("--workers", metavar="N", type=whole, help="how many processes share the work")


def run(typed: argparse.Namespace) -> int:
    with needing("sidecar", "proxy"):
        from caputchin_gate.sidecar import command
        from caputchin_gate.sidecar.listening import CantListen
    given = {"listen": typed.listen, "upstream": typed.upstream, "workers": typed.workers}
    try:
        ended_well = command.serve(typed.file, {key: value for key, value in given.items() if value is not None})
    except CantListen as failure:
        raise WrongUse(f"{failure} (see --listen, and listen in [sidecar])") from None
    return DONE if ended_well else FINDING
