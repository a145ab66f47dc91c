"""A gate to be asked about requests rather than to serve them."""

from __future__ import annotations

import os
from dataclasses import replace

from caputchin_gate import Gate
from caputchin_gate.config.sources import gather
from caputchin_gate.gate import gate_of


def gate_to_ask(file: str) -> Gate:
    """The gate of a file, with nothing behind it that could be changed by asking. Raises ConfigurationError."""
    typed = gather(file, os.environ)
    with typed.placing():
        configuration = typed.read()
        return gate_of(replace(configuration, top={**configuration.top, "store": "memory"}), typed.placed)
