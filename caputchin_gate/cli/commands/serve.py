"""The gate's own paths alone: challenges, the widget, siteverify and forward-auth, without an application behind. Or a
fake of a provider, to develop with.
"""

from __future__ import annotations

import argparse

from caputchin_gate.cli import faking, relaying
from caputchin_gate.cli.parser import Group
from caputchin_gate.cli.terminal import WrongUse

GROUP = Group.RUN
SUMMARY = "answer challenges, siteverify and forward-auth, no proxying"
EXAMPLES = (
    "serve gate.toml",
    "serve gate.toml --listen 127.0.0.1:0",
    "serve --fake turnstile",
)
EXITS = {0: "ended by a signal", 1: "the workers could not go on"}


def arguments(parser: argparse.ArgumentParser) -> None:
    relaying.arguments(parser, file_needed=False)
    faking.arguments(parser)


def run(typed: argparse.Namespace) -> int:
    if typed.fake is not None:
        return faking.run(typed)
    if typed.latency is not None:
        raise WrongUse("--latency is for --fake alone: the gate itself is as fast as it can be")
    if typed.file is None:
        raise WrongUse("the following arguments are required: gate.toml, or --fake KIND")
    return relaying.run(typed, {}, alone=True)
