"""The application's own POST, PUT, PATCH and DELETE routes that no rule protects: none of a gate.toml, or none of the
gate that stands in front of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import TextIO

from caputchin_gate.audit import Audit, Row, Standing, audit
from caputchin_gate.audit.applications import CantLoad, endpoints_of, load
from caputchin_gate.audit.own_gates import gate_around
from caputchin_gate.audit.paths import AppPath
from caputchin_gate.cli.gate_file import gate_to_ask
from caputchin_gate.cli.parser import Group, add_file
from caputchin_gate.cli.terminal import DONE, FINDING, Colour, WrongUse, coloured, one_line, warn

GROUP = Group.ASK
SUMMARY = "list an application's routes that no rule protects"
EXAMPLES = (
    "audit gate.toml shop.main:app",
    "audit shop.main:app",
    "audit gate.toml 'shop:create_app()' --json",
    "audit gate.toml shop.settings --ignore '/admin/{rest:path}'",
)
EXITS = {0: "every route that writes is protected, exempt or ignored", 1: "some are not"}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser, needed=False)
    parser.add_argument("app", metavar="APP", help="module:app, module:factory(), or a module of Django settings")
    parser.add_argument(
        "--ignore", metavar="PATTERN", action="append", default=[], help="a route that needs no rule; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--traceback", action="store_true", help="where importing the application failed")


def run(typed: argparse.Namespace) -> int:
    if typed.file is None and typed.app.endswith(".toml"):
        raise WrongUse("the following arguments are required: APP")
    named = gate_to_ask(typed.file) if typed.file is not None else None
    report = _own_stdout()
    try:
        app = load(typed.app)
        gate = named if named is not None else gate_around(app)
        found = audit(endpoints_of(app, AppPath()), gate.policy, typed.ignore)
    except CantLoad as failure:
        if typed.traceback and failure.__cause__ is not None:
            traceback.print_exception(failure.__cause__)
        raise WrongUse(str(failure)) from None
    gate.close()
    with suppress(BrokenPipeError), report:  # the reader may go away, and the finding stays one
        if typed.json:
            print(json.dumps(_as_json(found), indent=2), file=report)
        else:
            for line in _lines(found):
                print(line, file=report)
            print(_sum(found, report), file=report)
    for warning in () if typed.json else found.warnings:
        warn(warning)
    return FINDING if found.standing(Standing.UNPROTECTED) else DONE


def _own_stdout() -> TextIO:
    """Where the report goes. Whatever the application prints, now or at its end, goes to stderr."""
    sys.stdout.flush()
    report = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="backslashreplace")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return report


def _as_json(found: Audit) -> dict[str, object]:
    rows = {str(standing): [asdict(row) for row in found.standing(standing)] for standing in Standing}
    return {**rows, "warnings": list(found.warnings)}


def _lines(found: Audit) -> Iterator[str]:
    for standing in (Standing.UNPROTECTED, Standing.EXEMPT, Standing.IGNORED):
        rows = found.standing(standing)
        if rows:
            yield f"{standing}:"
            yield from map(_line, rows)


def _sum(found: Audit, report: TextIO) -> str:
    unprotected, all_of_them = len(found.standing(Standing.UNPROTECTED)), len(found.rows)
    if unprotected:
        sentence = f"{unprotected} of {all_of_them} routes that write are not protected"
        return coloured(sentence, Colour.ERROR, report)
    if all_of_them:
        return coloured(f"no route that writes is unprotected ({all_of_them} looked at)", Colour.GOOD, report)
    return "the application has no route that writes"


def _line(row: Row) -> str:
    why = f": {row.why}" if row.why else ""
    return "  " + one_line(f"{','.join(row.methods)} {row.path} ({row.view}){why}")
