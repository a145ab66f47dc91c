"""The gate's own paths alone: challenges, the widget, siteverify and forward-auth, without an application behind."""

from __future__ import annotations

import argparse
import logging

from caputchin_gate import load_gate
from caputchin_gate.cli.listening import listen
from caputchin_gate.cli.parser import host_and_port
from caputchin_gate.cli.terminal import DONE, WrongUse, needing

SUMMARY = "answer challenges, siteverify and forward-auth, without proxying"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="gate.toml")
    parser.add_argument("--listen", type=host_and_port, metavar="HOST:PORT", help="port 0 picks a free one")


def run(typed: argparse.Namespace) -> int:
    with needing("sidecar", "serve"):
        from caputchin_gate import serve as server
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("caputchin_gate").setLevel(logging.INFO)
    gate = load_gate(typed.file)
    if not gate.serves_own_paths:
        raise WrongUse(f"{typed.file} has nothing to serve: set forward_auth, or verify in process")
    if typed.listen is None and gate.listen.path is not None:
        raise WrongUse(f"serve listens on a host and port, not on {gate.listen} (see --listen)")
    host, port = typed.listen or (gate.listen.host, gate.listen.port)
    server.serve(gate, listen(host, port, "--listen"))
    return DONE
