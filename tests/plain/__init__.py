"""Applications of frameworks that the gate has no door of their own for, behind the plain middleware.

Each answers as `tests.echo` does, with the body and the decision as the framework gives them.
"""

from __future__ import annotations

from typing import Final

METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
