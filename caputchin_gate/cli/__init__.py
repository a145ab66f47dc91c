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

from caputchin_gate.cli.parser import parser
from caputchin_gate.cli.terminal import DONE, WRONG_USE, WrongUse, complain, list_problems
from caputchin_gate.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    logging.getLogger("caputchin_gate").addHandler(logging.NullHandler())  # the commands say themselves what is wrong
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code


def _run(arguments: Sequence[str] | None) -> int:
    typed = argparse.Namespace()
    try:
        parser().parse_args(arguments, typed)
        code: int = typed.run(typed)
        return code
    except WrongUse as wrong:
        complain(str(wrong))
        return WRONG_USE
    except ConfigurationError as failure:
        list_problems(failure, typed.file)
        return WRONG_USE
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C changes nothing any more
        return DONE
    except SystemExit as end:  # the parser has printed its help, or what is wrong
        return end.code if isinstance(end.code, int) else DONE
