"""The gate's own paths alone: challenges, the widget, siteverify and forward-auth, without an application behind."""

from __future__ import annotations

import argparse

from caputchin_gate.cli import relaying

SUMMARY = "answer challenges, siteverify and forward-auth, without proxying"


def arguments(parser: argparse.ArgumentParser) -> None:
    relaying.arguments(parser)


def run(typed: argparse.Namespace) -> int:
    return relaying.run(typed, {}, alone=True)
