"""Every problem of a gate.toml, and every setting that is right but risky, a line each."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace

from caputchin_gate import ConfigurationError, Gate
from caputchin_gate.cli.parser import Group, add_file
from caputchin_gate.cli.terminal import DONE, FINDING, Colour, coloured, list_problems, one_line, warn
from caputchin_gate.config.sources import gather
from caputchin_gate.errors import Problem
from caputchin_gate.gate import gate_of
from caputchin_gate.sidecar.settings import relay_settings
from caputchin_gate.sidecar.tls import listening_context, upstream_context

GROUP = Group.ASK
SUMMARY = "name every problem of a gate.toml"
EXAMPLES = ("check gate.toml",)
EXITS = {0: "no problem; there may be warnings", 1: "a problem, each in a line on stderr"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)


def run(typed: argparse.Namespace) -> int:
    try:
        gate = _checked(typed.file)
    except ConfigurationError as failure:
        list_problems(failure, typed.file)
        return FINDING
    for warning in gate.warnings:
        warn(str(replace(warning, place=None)), warning.place or typed.file)
    gate.close()
    print(f"{one_line(typed.file)}: {coloured('no problems', Colour.GOOD, sys.stdout)}")
    return DONE


def _checked(file: str) -> Gate:
    """The gate of a file, and all that the sidecar would find wrong with it, too."""
    source = gather(file, os.environ)
    with source.placing():
        configuration = source.read(must_guard=True)
        settings = relay_settings(configuration, alone=not configuration.sidecar["upstream"])
        problems: list[Problem] = []
        for context in (listening_context, upstream_context):
            try:
                context(settings)
            except ConfigurationError as failure:
                problems += failure.problems
        if problems:
            raise ConfigurationError(problems)
        return gate_of(configuration, source.placed)
