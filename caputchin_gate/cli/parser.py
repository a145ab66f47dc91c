"""What can be typed: the commands of `commands/`, each a file, and the kinds of arguments that several share."""

from __future__ import annotations

import argparse
import inspect
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final, NoReturn, Protocol

from caputchin_gate import __version__
from caputchin_gate.cli import commands
from caputchin_gate.cli.terminal import WRONG_USE, WrongUse, complain
from caputchin_gate.errors import nearest

PROGRAM: Final = "caputchin-gate"
FILE: Final = "gate.toml"
WIDTH: Final = 78
LEAST_WIDTH: Final = 30
_WRONG: Final = "wrong use: what was typed, or what it names, can't be used"
LONGEST_ECHO: Final = 40  # characters of an argument that a complaint repeats


class Group(Enum):
    """How the commands are listed."""

    RUN = "run"
    ASK = "ask"
    PRINT = "print for other programs"


class Command(Protocol):
    """What a file of `commands/` has. Libraries that only its run needs are imported there, not at its top.

    SUMMARY:  one line, for the list of all commands
    EXAMPLES: command lines without their first word, the most usual one first
    EXITS:    what exit codes mean; 2 is the same everywhere
    """

    GROUP: Group
    SUMMARY: str
    EXAMPLES: Sequence[str]
    EXITS: Mapping[int, str]
    arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[argparse.Namespace], int]


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it. It has no colours, whatever Python's are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)
        self.color = False  # heeded from Python 3.14 on

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, surplus = super().parse_known_args(args, namespace)
        for option in (one for one in surplus if one.startswith("-")):
            self.error(
                f"unrecognized arguments: {option[:LONGEST_ECHO]}; {nearest(option, self._option_string_actions)}"
            )
        return found, surplus

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            what = f"invalid choice: {str(value)[:LONGEST_ECHO]!r}; {nearest(str(value), map(str, action.choices))}"
            raise argparse.ArgumentError(action, what)

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (see {self.prog} --help)")
        sys.exit(WRONG_USE)


def whole_parser() -> argparse.ArgumentParser:
    loaded = {name: load(name) for name in names()}
    made = OneLineParser(
        prog=PROGRAM,
        usage="%(prog)s COMMAND ...",
        description=filled("Guards the POST routes of web applications with a captcha."),
        epilog=_listing(loaded),
    )
    made.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}", help="print the version")
    made.set_defaults(run=_without_command)
    listed = made.add_subparsers(metavar="COMMAND", prog=PROGRAM, help=argparse.SUPPRESS)
    for name, command in loaded.items():
        own = listed.add_parser(
            name, help=command.SUMMARY, description=filled(inspect.getdoc(command) or ""), epilog=_epilog(command)
        )
        command.arguments(own)
        own.set_defaults(run=command.run)
    return made


def _without_command(typed: argparse.Namespace) -> NoReturn:
    raise WrongUse(f"the following arguments are required: COMMAND (see {PROGRAM} --help)")


def _listing(loaded: Mapping[str, Command]) -> str:
    lines: list[str] = []
    for group in Group:
        own = {name: command for name, command in loaded.items() if command.GROUP is group}
        if own:
            rows = (filled(f"  {name:12}{command.SUMMARY}", indent=14) for name, command in own.items())
            lines += [f"{group.value}:", *rows, ""]
    return "\n".join([*lines, "A command's own --help has examples:", f"  {PROGRAM} explain --help"])


def _epilog(command: Command) -> str:
    examples = (f"  {PROGRAM} {example}" for example in command.EXAMPLES)
    exits = sorted({**command.EXITS, WRONG_USE: _WRONG}.items())
    rows = (filled(f"  {code}  {meaning}", indent=5) for code, meaning in exits)
    return "\n".join(["examples:", *examples, "", "exit code:", *rows])


def filled(text: str, indent: int = 0) -> str:
    """As wide as the terminal. indent: of all lines but the first."""
    columns = shutil.get_terminal_size().columns - 2
    return textwrap.fill(text, max(LEAST_WIDTH, min(columns, WIDTH)), subsequent_indent=" " * indent)


def names() -> list[str]:
    """All commands."""
    return sorted(module.name for module in iter_modules(commands.__path__))


def load(name: str) -> Command:
    module: Command = import_module(f"{commands.__name__}.{name}")
    return module


# Kinds of arguments


def add_file(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    parser.add_argument("file", metavar=FILE, type=file_name, nargs=None if needed else "?", help="the settings")


def file_name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("'' names no file")
    return text


def port(text: str) -> int:
    number = _digits(text)
    if number is None or number > 65535:
        raise argparse.ArgumentTypeError(f"{text[:LONGEST_ECHO]!r} is not a port: a number from 0 to 65535")
    return number


def whole(text: str) -> int:
    number = _digits(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text[:LONGEST_ECHO]!r} is not a whole number")
    return number


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None
