"""Every problem of a gate.toml, and every setting that is right but risky, a line each."""

from __future__ import annotations

import argparse

from caputchin_gate import ConfigurationError, load_gate
from caputchin_gate.cli.parser import Group, add_file
from caputchin_gate.cli.terminal import DONE, FINDING, complain, list_problems, one_line

GROUP = Group.ASK
SUMMARY = "name every problem of a gate.toml"
EXAMPLES = ("check gate.toml",)
EXITS = {0: "no problem; there may be warnings", 1: "a problem, each in a line on stderr"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)


def run(typed: argparse.Namespace) -> int:
    try:
        gate = load_gate(typed.file)
    except ConfigurationError as failure:
        list_problems(failure, typed.file)
        return FINDING
    for warning in gate.warnings:
        complain(f"{typed.file}: warning: {warning}")
    gate.close()
    print(one_line(f"{typed.file}: no problems"))
    return DONE
