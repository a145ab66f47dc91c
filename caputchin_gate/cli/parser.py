"""What can be typed: the commands of `commands/`, each a file, and the kinds of arguments that several share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Final, NoReturn, Protocol

from caputchin_gate import __version__
from caputchin_gate.cli import commands
from caputchin_gate.cli.terminal import WRONG_USE, complain

LONGEST_ECHO: Final = 40  # characters of an argument that a complaint repeats


class Command(Protocol):
    """What a file of `commands/` has. Libraries that only its run needs are imported there, not at its top."""

    SUMMARY: str  # one line, for the list of all commands
    arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[argparse.Namespace], int]


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (see {self.prog} --help)")
        sys.exit(WRONG_USE)


def parser() -> argparse.ArgumentParser:
    made = OneLineParser(
        prog="caputchin-gate", description="Guards the POST routes of web applications with a captcha."
    )
    made.add_argument("--version", action="version", version=f"caputchin-gate {__version__}")
    listed = made.add_subparsers(metavar="COMMAND", required=True)
    for name in names():
        command = load(name)
        own = listed.add_parser(name, help=command.SUMMARY, description=command.__doc__)
        command.arguments(own)
        own.set_defaults(run=command.run)
    return made


def names() -> list[str]:
    """All commands."""
    return sorted(module.name for module in iter_modules(commands.__path__))


def load(name: str) -> Command:
    module: Command = import_module(f"{commands.__name__}.{name}")
    return module


# Kinds of arguments


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
