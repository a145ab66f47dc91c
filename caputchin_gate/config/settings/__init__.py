"""Every setting, described once: its name, how its value is read, its default, and what it is for.

    reading.py   what a setting and a reader are
    plain.py     readers of texts, numbers, durations, sizes; secrets.py of secrets
    top.py       the keys at the top; every other table hangs from there, each in a file of its own

`tables.py` reads with them, whether the values come from gate.toml, a dict, keyword arguments or the environment; the
reference (`docs/settings.md`) and the JSON Schema are made from them.
"""

from caputchin_gate.config.settings.hardening import HARDENING
from caputchin_gate.config.settings.in_process import ALTCHA, CAP, CAPUTCHIN, IN_PROCESS, SITE
from caputchin_gate.config.settings.reading import Reader, Setting, TableOf, TablesOf, Wrong
from caputchin_gate.config.settings.route import ROUTE
from caputchin_gate.config.settings.sidecar import SIDECAR, SIDECAR_TIMEOUTS, SIDECAR_TLS, address
from caputchin_gate.config.settings.top import LIMITS, TOP

__all__ = [
    "ALTCHA",
    "CAP",
    "CAPUTCHIN",
    "HARDENING",
    "IN_PROCESS",
    "LIMITS",
    "ROUTE",
    "SIDECAR",
    "SIDECAR_TIMEOUTS",
    "SIDECAR_TLS",
    "SITE",
    "TOP",
    "Reader",
    "Setting",
    "TableOf",
    "TablesOf",
    "Wrong",
    "address",
]
