"""A script that completes commands, options and files on Tab, for the shell that is named."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from caputchin_gate.cli.parser import FILE, PROGRAM, Group, whole_parser
from caputchin_gate.cli.terminal import DONE, needing

SHELLS = ("bash", "zsh", "fish")

GROUP = Group.PRINT
SUMMARY = "a script that completes what is typed, for bash, zsh or fish"
EXAMPLES = (
    "completion bash >> ~/.bash_completion",
    "completion zsh > ~/.zfunc/_caputchin-gate",
    "completion fish | source",
)
EXITS = {0: "the script is on stdout"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def run(typed: argparse.Namespace) -> int:
    with needing("completion", "completion"):
        import shtab
    described = whole_parser()
    for action in _all_actions(described):
        if action.metavar == FILE:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif isinstance(action, argparse._SubParsersAction):
            action.help = "what to do"  # it is left out of the help, which lists the commands itself
    print(shtab.complete(described, typed.shell, root_prefix=PROGRAM.replace("-", "_")))
    return DONE


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for own in action.choices.values():
                yield from _all_actions(own)
