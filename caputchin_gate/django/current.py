"""Decisions about requests, and the request that is being answered: forms and widgets are handed none.

A decision stands where no client can write: in the environ of WSGI, in the scope of ASGI, as with every other door.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.core.handlers.wsgi import get_path_info
from django.http import HttpRequest

from caputchin_gate import asgi, wsgi
from caputchin_gate.doors import decision_at, decision_in
from caputchin_gate.messages import RequestHead
from caputchin_gate.verdict import Decision

Record: TypeAlias = Any  # an environ of WSGI or a scope of ASGI: a dictionary


@dataclass(frozen=True, slots=True)
class Current:
    """request: None where `wrap` is the door, which stands outside of Django"""

    record: Record
    request: HttpRequest | None = None


_current: ContextVar[Current | None] = ContextVar("caputchin_gate_request", default=None)


def current() -> Current | None:
    return _current.get()


@contextmanager
def answering(record: Record, request: HttpRequest | None = None) -> Iterator[None]:
    before = _current.set(Current(record, request))
    try:
        yield
    finally:
        _current.reset(before)


def record_of(request: HttpRequest) -> Record:
    """request: also one of Django REST framework"""
    scope: Record | None = getattr(request, "scope", None)
    return scope if scope is not None else request.META


def decision_of(request: HttpRequest) -> Decision | None:
    """What the gate decided about a request; None where no rule guards it."""
    return decision_in(record_of(request))


def decision_at_view(request: HttpRequest) -> Decision | None:
    """The same for the view that Django has chosen; None also where something behind the gate has changed the path."""
    record = record_of(request)
    is_wsgi = "wsgi.input" in record
    sent = get_path_info(record) or "/" if is_wsgi else record["path"].removeprefix(request.script_name)
    return decision_on_path(record) if request.path_info == sent else None


def decision_on_path(record: Record) -> Decision | None:
    """The same where Django's own request is not known."""
    if "wsgi.input" in record:
        return decision_at(record, record["SCRIPT_NAME"], record["PATH_INFO"])
    return decision_at(record, record.get("root_path", ""), record["path"])


def head_in(record: Record) -> RequestHead:
    return asgi.head_of(record) if "wsgi.input" not in record else wsgi.head_of(record, wsgi.target_of(record))
