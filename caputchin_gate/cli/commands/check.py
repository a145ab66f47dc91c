"""Every problem of a gate.toml, and every setting that is right but risky, a line each."""

from __future__ import annotations

import argparse

from caputchin_gate import ConfigurationError, load_gate
from caputchin_gate.cli.terminal import DONE, FINDING, complain, list_problems, one_line

SUMMARY = "name every problem of a gate.toml; exit 1 if there is any"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="gate.toml")


def run(typed: argparse.Namespace) -> int:
    try:
        gate = load_gate(typed.file, must_guard=True)
    except ConfigurationError as failure:
        list_problems(failure, typed.file)
        return FINDING
    for warning in gate.warnings:
        complain(f"{typed.file}: warning: {warning}")
    gate.close()
    print(one_line(f"{typed.file}: no problems"))
    return DONE
