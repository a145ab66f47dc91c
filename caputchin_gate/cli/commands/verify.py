"""Ask the configured provider about one token; the verdict comes as JSON. The token is spent by it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import Any

from caputchin_gate import Passed, Verdict, load_gate
from caputchin_gate.cli.parser import Group, add_file
from caputchin_gate.cli.terminal import DONE, FINDING, WrongUse

LONGEST_LINE = 65_536  # bytes; no token is as long

GROUP = Group.ASK
SUMMARY = "ask the configured provider about one token"
EXAMPLES = (
    "verify gate.toml TOKEN",
    "verify gate.toml - < token.txt",
)
EXITS = {0: "the token passed, and is spent", 1: "it did not; the verdict on stdout says why"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    # A token may begin with a hyphen, so everything after the file is taken as it is.
    parser.usage = "%(prog)s [-h] gate.toml TOKEN"
    parser.set_defaults(print_help=parser.print_help)
    parser.add_argument("token", metavar="TOKEN", nargs=argparse.REMAINDER, help='"-" reads it from stdin')


def run(typed: argparse.Namespace) -> int:
    match typed.token:
        case ["-h" | "--help"]:
            typed.print_help()
            return DONE
        case [token] | ["--", token]:
            pass
        case _:
            raise WrongUse("verify takes a file and one token")
    gate = load_gate(typed.file, must_guard=True)
    try:
        verdict = gate.verify(_from_stdin() if token == "-" else token)
    finally:
        gate.close()
    print(json.dumps(_as_json(verdict), default=str))
    return DONE if isinstance(verdict, Passed) else FINDING


def _from_stdin() -> str:
    """The first line. What is no ASCII is no token either, so it need not be text."""
    if sys.stdin is None:
        raise WrongUse("there is no stdin to read the token from")
    return sys.stdin.buffer.readline(LONGEST_LINE).decode("latin-1")


def _as_json(verdict: Verdict) -> dict[str, Any]:
    members = {field.name: getattr(verdict, field.name) for field in fields(verdict)}
    known = {name: value for name, value in members.items() if value not in (None, (), {})}
    return {"verdict": type(verdict).__name__.lower(), **known}
