"""JSON Schema of gate.toml, for editors: save it beside the file, and begin that with "#:schema gate.schema.json"."""

from __future__ import annotations

import argparse
import json

from caputchin_gate.cli.parser import Group
from caputchin_gate.cli.terminal import DONE
from caputchin_gate.config.schema import json_schema

GROUP = Group.PRINT
SUMMARY = "the JSON Schema of gate.toml, for editors"
EXAMPLES = ("schema > gate.schema.json",)
EXITS = {0: "the schema is on stdout"}


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(typed: argparse.Namespace) -> int:
    print(json.dumps(json_schema(), indent=2))
    return DONE
