"""Which rule guards a request and why, what it asks for, and what each outcome would be answered."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from caputchin_gate.cli.gate_file import gate_to_ask
from caputchin_gate.cli.parser import Group, add_file
from caputchin_gate.cli.terminal import DONE, FINDING, WrongUse, one_line
from caputchin_gate.explanation import Asked, Explanation, Outcome, explain
from caputchin_gate.messages import RequestHead

GROUP = Group.ASK
SUMMARY = "which rule guards a request, why, and what would happen"
EXAMPLES = (
    "explain gate.toml POST /signup",
    "explain gate.toml GET '/items/3?_method=put' --json",
    "explain gate.toml POST /signup -H 'Accept: application/json'",
)
EXITS = {
    0: "without a token, the gate does not let the request pass",
    1: "it does: no rule guards it, it is exempt, or only reported",
}

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # of a header field, and a method (RFC 9110 5.6.2)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser)
    parser.add_argument("method", metavar="METHOD", help="as sent, POST for example")
    parser.add_argument("target", metavar="TARGET", help="the path as sent, with its query")
    parser.add_argument(
        *("-H", "--header"), metavar="NAME:VALUE", action="append", default=[], help="a header field; may be repeated"
    )
    parser.add_argument("--mount", metavar="PATH", default="", help="where the server mounts the application")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(typed: argparse.Namespace) -> int:
    head = asked_head(typed.method, typed.target, typed.mount, typed.header)
    gate = gate_to_ask(typed.file)
    explanation = explain(head, gate.policy)
    gate.close()
    if typed.json:
        print(json.dumps(explanation.as_json(), indent=2))
    else:
        for line in _lines(explanation):
            print(line.rstrip())
    return FINDING if explanation.open else DONE


def asked_head(method: str, target: str, mount: str, fields: Sequence[str]) -> RequestHead:
    """The request as an ASGI server hands it over. A browser percent-encodes what is not ASCII. Raises WrongUse."""
    sent = "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in os.fsencode(target))
    raw_path, _, query = sent.partition("?")
    if not raw_path.startswith(("/", "http://", "https://")):
        raise WrongUse(f"{target[:40]!r} is no path: it begins with a slash, as in POST /contact")
    if not _NAME.fullmatch(method):
        raise WrongUse(f"{method[:40]!r} is no method: a word, as in POST /contact")
    if mount and not mount.startswith("/"):
        raise WrongUse(f"--mount {mount[:40]!r} is no path: it begins with a slash, as in /app")
    headers: dict[str, list[str]] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise WrongUse(f"{field[:40]!r} is no header field: write it like 'Content-Type: application/json'")
        headers.setdefault(name.lower(), []).append(value.strip())
    return RequestHead(method, unquote(raw_path), raw_path, mount.rstrip("/"), query, headers)


# For people


def _lines(told: Explanation) -> Iterator[str]:
    yield one_line(f"{told.method} {told.target}")
    yield from _finding(told)
    if told.mode == "report":
        yield '  mode = "report": nothing is refused'
    if told.asks is not None:
        yield ""
        yield "asks for"
        yield from _asks(told.asks)
    if told.outcomes:
        yield ""
        yield "answers"
        yield from map(_answer, told.outcomes)


def _finding(told: Explanation) -> Iterator[str]:
    rule = f" by {told.rule!r}" if told.rule is not None else ""
    yield "  " + one_line(f"{told.found}{rule}: {told.why}")
    for reading in told.readings:
        if len(reading.way) > 1 or len(told.readings) > 1:
            yield "  " + one_line(f"read as {' -> '.join(reading.way)}: {', '.join(reading.counts)}")
    if len(told.methods) > 1:
        yield "  " + one_line(f"counts as {', '.join(told.methods)}, because a header or _method may override it")


def _asks(asks: Asked) -> Iterator[str]:
    for provider in asks.providers:
        yield _row("provider", f"{provider['kind']}, {provider['verification']}")
        if "endpoint" in provider:
            yield _row("", str(provider["endpoint"]))
            attempts = f"{provider['attempts']} attempt{'s' if provider['attempts'] > 1 else ''}"
            yield _row("", f"{attempts} within {provider['timeout']:g} s, single use {provider['single_use']}")
    for place in asks.token_in:
        yield _row("token in", place)
    for name, value in asks.demands.items():
        yield _row(name, ", ".join(value) if isinstance(value, list) else str(value))
    yield _row("body", f"up to {_size(asks.max_body)} until the token is found, {_size(asks.max_memory)} in memory")
    yield _row("on_outage", asks.on_outage)
    yield _row("on_refuse", asks.on_refuse)
    if asks.receipt is not None:
        yield _row("receipt", f"for {asks.receipt['seconds']} s and {asks.receipt['uses']} more submissions")


def _answer(outcome: Outcome) -> str:
    told = outcome.becomes if outcome.status is None or outcome.becomes == "passed on" else str(outcome.status)
    more = f"to {outcome.location}" if outcome.location is not None else ", ".join(outcome.error_codes)
    return f"  {outcome.when:22} {told:8} {outcome.reason:16} {more}".rstrip()


def _row(name: str, value: str) -> str:
    return f"  {name:10} {one_line(value)}"


def _size(octets: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if octets >= size and octets % size == 0:
            return f"{octets // size} {unit}"
    return f"{octets} bytes"
