"""The reverse proxy in front of an application. What is typed here counts more than the file."""

from __future__ import annotations

import argparse

from caputchin_gate.cli import relaying

SUMMARY = "serve as a reverse proxy in front of an application"


def arguments(parser: argparse.ArgumentParser) -> None:
    relaying.arguments(parser)
    parser.add_argument("--upstream", metavar="URL", action="append", help="the application; may be repeated")


def run(typed: argparse.Namespace) -> int:
    return relaying.run(typed, {"upstream": typed.upstream}, alone=False)
