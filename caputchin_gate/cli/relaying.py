"""What `proxy` and `serve` share: where they listen, with how many workers, and how they end."""

from __future__ import annotations

import argparse
from typing import Any

from caputchin_gate.cli.parser import add_file, whole
from caputchin_gate.cli.terminal import DONE, FINDING, WrongUse, needing


def arguments(parser: argparse.ArgumentParser, *, file_needed: bool = True) -> None:
    add_file(parser, needed=file_needed)
    parser.add_argument("--listen", metavar="ADDRESS", action="append", help="where clients connect; may be repeated")
    parser.add_argument("--admin", metavar="ADDRESS", help="where health, metrics and the dashboard are")
    parser.add_argument("--workers", metavar="N", type=whole, help="how many processes share the work")
    parser.add_argument(
        "--log-format", choices=("auto", "text", "json"), help="of the lines on stderr; auto is text on a terminal"
    )


def run(typed: argparse.Namespace, more: dict[str, Any], *, alone: bool) -> int:
    """Serve until told to end. more: what was typed for keys of [sidecar] beyond those of `arguments`."""
    shared = {key: getattr(typed, key) for key in ("listen", "admin", "workers", "log_format")}
    given = {**shared, **more}
    with needing("sidecar", "serve" if alone else "proxy"):
        from caputchin_gate.sidecar import command
        from caputchin_gate.sidecar.listening import CantListen
    try:
        ended_well = command.run(
            typed.file, {key: value for key, value in given.items() if value is not None}, alone=alone
        )
    except CantListen as failure:
        raise WrongUse(f"{failure} (see --listen and --admin, and their keys in [sidecar])") from None
    return DONE if ended_well else FINDING
