"""The command `caputchin-gate`: reads what was typed, runs one command, ends with its exit code.

A command is a file of `commands/`, named like it: what can be typed, and what it does. Nothing lists them. Every error
is one line on stderr, never a traceback.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from caputchin_gate.cli.parser import whole_parser
from caputchin_gate.cli.terminal import BROKEN_PIPE, DONE, INTERRUPTED, WRONG_USE, WrongUse, complain, list_problems
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.events import place_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    logging.getLogger("caputchin_gate").addHandler(logging.NullHandler())  # the commands say themselves what is wrong
    _open_streams()
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away, as in `... | head`
        _drop_output()
    except OSError as failure:
        complain(f"can't write the answer: {failure.strerror}")
        _drop_output()
        return WRONG_USE
    return code


def _run(arguments: Sequence[str] | None) -> int:
    typed = argparse.Namespace()
    try:
        whole_parser().parse_args(arguments, typed)
        code: int = typed.run(typed)
        return code
    except WrongUse as wrong:
        complain(str(wrong))
    except ConfigurationError as failure:
        list_problems(failure, typed.file)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C changes nothing any more
        return INTERRUPTED
    except SystemExit as end:  # the parser has printed its help, or what is wrong
        return end.code if isinstance(end.code, int) else DONE
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as failure:
        where = f"{failure.filename}: " if failure.filename else ""
        complain(f"{where}{failure.strerror or type(failure).__name__}")
    except Exception as failure:  # its text may hold a token
        complain(f"internal error: {place_of(failure)}; please report it")
    return WRONG_USE


def _open_streams() -> None:
    """A terminal may not know a letter, and a caller may have closed what is written to."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """What is still to be written has no reader, and Python would complain about that at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
