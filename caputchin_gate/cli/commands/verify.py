"""Ask the configured provider about one token; the verdict comes as JSON. The token is spent by it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from typing import Any

from caputchin_gate import Passed, Verdict, load_gate
from caputchin_gate.cli.terminal import DONE, FINDING, WrongUse

SUMMARY = "ask the configured provider about one token; exit 1 unless it passed"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="gate.toml")
    # A token may begin with a hyphen, so everything after the file is taken as it is.
    parser.add_argument("token", metavar="TOKEN", nargs=argparse.REMAINDER, help='"-" reads it from stdin')


def run(typed: argparse.Namespace) -> int:
    match typed.token:
        case [token] | ["--", token]:
            pass
        case _:
            raise WrongUse("verify takes a file and one token")
    gate = load_gate(typed.file, must_guard=True)
    try:
        verdict = gate.verify(sys.stdin.readline() if token == "-" else token)
    finally:
        gate.close()
    print(json.dumps(_as_json(verdict), default=str))
    return DONE if isinstance(verdict, Passed) else FINDING


def _as_json(verdict: Verdict) -> dict[str, Any]:
    members = {field.name: getattr(verdict, field.name) for field in fields(verdict)}
    known = {name: value for name, value in members.items() if value not in (None, (), {})}
    return {"verdict": type(verdict).__name__.lower(), **known}
