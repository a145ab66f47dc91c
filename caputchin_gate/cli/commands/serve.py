"""The gate's own paths alone: challenges, the widget, siteverify and forward-auth, without an application behind."""

from __future__ import annotations

import argparse

from caputchin_gate.cli import relaying
from caputchin_gate.cli.parser import Group

GROUP = Group.RUN
SUMMARY = "answer challenges, siteverify and forward-auth, no proxying"
EXAMPLES = (
    "serve gate.toml",
    "serve gate.toml --listen 127.0.0.1:0",
)
EXITS = {0: "ended by a signal", 1: "the workers could not go on"}


def arguments(parser: argparse.ArgumentParser) -> None:
    relaying.arguments(parser)


def run(typed: argparse.Namespace) -> int:
    return relaying.run(typed, {}, alone=True)
