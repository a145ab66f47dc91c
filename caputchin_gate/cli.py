"""The command `caputchin-gate`: reads what was typed, runs one command, ends with its exit code.

    0  done
    1  a finding: a problem in gate.toml, a token that did not pass
    2  wrong use

Every error is one line on stderr, never a traceback. A command is one function; `_parser` names them all.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, Final, NoReturn

from caputchin_gate import ConfigurationError, Passed, Verdict, __version__, load_gate
from caputchin_gate.settings import Wrong, address

DONE: Final = 0
FINDING: Final = 1
WRONG_USE: Final = 2


class WrongUse(Exception):
    """What was typed can't be done: the text says why, and what to do."""


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
    try:
        typed = _parser().parse_args(arguments)
        code: int = typed.command(typed)
        return code
    except WrongUse as wrong:
        complain(str(wrong))
        return WRONG_USE
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C changes nothing any more
        return DONE
    except SystemExit as end:  # the parser has printed its help, or what is wrong
        return end.code if isinstance(end.code, int) else DONE


def complain(sentence: str) -> None:
    """One line on stderr."""
    print("caputchin-gate:", one_line(sentence), file=sys.stderr)


def one_line(text: str) -> str:
    """What was typed may hold anything, also bytes that are no text."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


# The commands


def demo(typed: argparse.Namespace) -> int:
    with needing("demo", "the demo"):
        from caputchin_gate.demo import server
    server.serve(listen(typed.host, typed.port, "--host and --port"), open_browser=typed.open)
    return DONE


def serve(typed: argparse.Namespace) -> int:
    with needing("sidecar", "serve"):
        from caputchin_gate import serve as server
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("caputchin_gate").setLevel(logging.INFO)
    try:
        gate = load_gate(typed.file)
    except ConfigurationError as failure:
        _list_problems(failure, typed.file)
        return WRONG_USE
    if not gate.serves_own_paths:
        raise WrongUse(f"{typed.file} has nothing to serve: set forward_auth, or verify in process")
    if typed.listen is None and gate.listen.path is not None:
        raise WrongUse(f"serve listens on a host and port, not on {gate.listen} (see --listen)")
    host, port = typed.listen or (gate.listen.host, gate.listen.port)
    server.serve(gate, listen(host, port, "--listen"))
    return DONE


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Where the libraries of an extra are imported: says what to install if one is missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        library = (missing.name or "").partition(".")[0]
        if library not in ("starlette", "uvicorn", "uvloop"):
            raise
        raise WrongUse(f"{what} needs {library}: pip install 'caputchin-gate[{extra}]'") from None


def listen(host: str, port: int, options: str) -> socket.socket:
    """A listening socket; port 0 is any free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except (OSError, UnicodeError) as failure:
        why = getattr(failure, "strerror", None) or "not a host name"
        raise WrongUse(f"can't listen on {host} port {port}: {why} (see {options})") from None


def proxy(typed: argparse.Namespace) -> int:
    with needing("sidecar", "proxy"):
        from caputchin_gate.sidecar import command
        from caputchin_gate.sidecar.listening import CantListen
    given = {"listen": typed.listen, "upstream": typed.upstream, "workers": typed.workers}
    try:
        ended_well = command.serve(typed.file, {key: value for key, value in given.items() if value is not None})
    except ConfigurationError as failure:
        _list_problems(failure, typed.file)
        return WRONG_USE
    except CantListen as failure:
        raise WrongUse(f"{failure} (see --listen, and listen in [sidecar])") from None
    return DONE if ended_well else FINDING


def check(typed: argparse.Namespace) -> int:
    try:
        gate = load_gate(typed.file)
    except ConfigurationError as failure:
        _list_problems(failure, typed.file)
        return FINDING
    for warning in gate.warnings:
        place = warning.place or typed.file
        complain(f"{place}: warning: {replace(warning, place=None)}")
    gate.close()
    print(one_line(f"{typed.file}: no problems"))
    return DONE


def verify(typed: argparse.Namespace) -> int:
    match typed.token:
        case [token] | ["--", token]:
            pass
        case _:
            raise WrongUse("verify takes a file and one token")
    try:
        gate = load_gate(typed.file)
    except ConfigurationError as failure:
        _list_problems(failure, typed.file)
        return WRONG_USE
    try:
        verdict = gate.verify(sys.stdin.readline() if token == "-" else token)
    finally:
        gate.close()
    print(json.dumps(_as_json(verdict), default=str))
    return DONE if isinstance(verdict, Passed) else FINDING


def _list_problems(failure: ConfigurationError, file: str) -> None:
    for problem in failure.problems:
        complain(str(problem) if problem.place is not None else f"{file}: {problem}")


def _as_json(verdict: Verdict) -> dict[str, Any]:
    members = {field.name: getattr(verdict, field.name) for field in fields(verdict)}
    known = {name: value for name, value in members.items() if value not in (None, (), {})}
    return {"verdict": type(verdict).__name__.lower(), **known}


# What can be typed


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (see {self.prog} --help)")
        sys.exit(WRONG_USE)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="caputchin-gate", description="Guards the POST routes of web applications with a captcha."
    )
    parser.add_argument("--version", action="version", version=f"caputchin-gate {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("demo", help="serve a small site with a guarded form")
    command.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    command.add_argument("--port", type=_port, default=8000, help="0 picks a free one (default: %(default)s)")
    command.add_argument("--open", action="store_true", help="open the page in a browser")
    command.set_defaults(command=demo)

    command = commands.add_parser("proxy", help="serve as a reverse proxy in front of an application")
    command.add_argument("file", metavar="gate.toml")
    command.add_argument("--listen", metavar="ADDRESS", action="append", help="where clients connect; may be repeated")
    command.add_argument("--upstream", metavar="URL", action="append", help="the application; may be repeated")
    command.add_argument("--workers", metavar="N", type=_whole, help="how many processes share the work")
    command.set_defaults(command=proxy)
    command = commands.add_parser("serve", help="answer challenges, siteverify and forward-auth, without proxying")
    command.add_argument("file", metavar="gate.toml")
    command.add_argument("--listen", type=_address, metavar="HOST:PORT", help="port 0 picks a free one")
    command.set_defaults(command=serve)

    command = commands.add_parser("check", help="name every problem of a gate.toml; exit 1 if there is any")
    command.add_argument("file", metavar="gate.toml")
    command.set_defaults(command=check)

    command = commands.add_parser("verify", help="ask the configured provider about one token; exit 1 unless it passed")
    command.add_argument("file", metavar="gate.toml")
    # A token may begin with a hyphen, so everything after the file is taken as it is.
    command.add_argument("token", metavar="TOKEN", nargs=argparse.REMAINDER, help='"-" reads it from stdin')
    command.set_defaults(command=verify)
    return parser


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number")
    return int(text)


def _address(text: str) -> tuple[str, int]:
    try:
        return address(text)
    except Wrong as wrong:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} {wrong.what}: {wrong.fix}") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a port: a number from 0 to 65535")
    return int(text)
