"""The reverse proxy in front of an application. What is typed here counts more than the file."""

from __future__ import annotations

import argparse

from caputchin_gate.cli import relaying
from caputchin_gate.cli.parser import Group

GROUP = Group.RUN
SUMMARY = "serve as a reverse proxy in front of an application"
EXAMPLES = (
    "proxy gate.toml",
    "proxy gate.toml --listen 0.0.0.0:80 --workers 2",
)
EXITS = {0: "ended by a signal", 1: "the workers could not go on"}


def arguments(parser: argparse.ArgumentParser) -> None:
    relaying.arguments(parser)
    parser.add_argument("--upstream", metavar="URL", action="append", help="the application; may be repeated")


def run(typed: argparse.Namespace) -> int:
    return relaying.run(typed, {"upstream": typed.upstream}, alone=False)
