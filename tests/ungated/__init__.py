"""Applications without a gate, which tell what a middleware in front of them was given and whether a handler ran.

    wsgi.application    Flask, the same below a method-override middleware and below a mount, Bottle, Pyramid, Django
    asgi.application    Starlette, the same below a mount, FastAPI, Quart, and Django

Django's routes are there twice, the second time with patterns that ignore case. Every request is given to all
applications of its interface; the answer is JSON: {"head": ..., "ran": ["flask", ...]}.
"""

from __future__ import annotations

from contextvars import ContextVar

MOUNT = "/below"

ran: ContextVar[set[str]] = ContextVar("ran")
running: ContextVar[str] = ContextVar("running")


def note() -> None:
    """Called by each handler."""
    ran.get().add(running.get())
