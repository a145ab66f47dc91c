"""`python -m caputchin_gate` is the command `caputchin-gate`."""

from __future__ import annotations

import sys

from caputchin_gate.cli import main

if __name__ == "__main__":
    sys.exit(main())
