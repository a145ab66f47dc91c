"""The gate as a middleware of Django, for sync and async sites: translates requests and answers, and decides nothing.

    MIDDLEWARE = ["caputchin_gate.django.GateMiddleware", ...]

The body is read as Django holds it then: from the server's stream through WSGI, from Django's own file through ASGI,
because Django has received all of it before it runs any middleware. The view gets it from its start (threats.md R18).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import IO, Any, Protocol, assert_never

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers.wsgi import LimitedStream, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from caputchin_gate import asgi, wsgi
from caputchin_gate.django.current import answering, decision_of, record_of
from caputchin_gate.django.gates import site_gate
from caputchin_gate.django.marked import http_response
from caputchin_gate.doors import DECIDED_BY, note
from caputchin_gate.effects import BodyEnd, LastPiece
from caputchin_gate.events import tell
from caputchin_gate.gate import Gate
from caputchin_gate.kept_body import KeptBody
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Admit, Answer, PassOn, Ruling
from caputchin_gate.wsgi import PIECE


class GateMiddleware:
    """Stands first in MIDDLEWARE: what runs before it, it can't guard."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._gate = site_gate()
        self._gate.must_guard()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        else:
            self._gate.must_not_be_asked()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer(request)
        with answering(record_of(request), request):
            seen = self._see(request)
            if seen is None:
                return self._passed(request)
            ruling = self._gate.handle(seen.head, seen.body.read)
            refusal = seen.follow(ruling)
            return refusal if refusal is not None else with_cookie(self._passed(request), ruling)

    def _passed(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self._get_response(request)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with answering(record_of(request), request):
            seen = self._see(request)
            if seen is None:
                passed: HttpResponseBase = await self._get_response(request)
                return passed
            ruling = await self._gate.ahandle(seen.head, seen.aread)
            refusal = seen.follow(ruling)
            return refusal if refusal is not None else with_cookie(await self._get_response(request), ruling)

    def _see(self, request: HttpRequest) -> Seen | None:
        """What the gate has to look at, if anything: what `wrap` has decided stands."""
        if (scope := getattr(request, "scope", None)) is not None:
            query = scope["query_string"]  # a text with Django's test client
            query = query if isinstance(query, bytes) else query.encode("latin-1")
            scope = {**scope, "root_path": request.script_name, "query_string": query}  # the prefix that Django cut off
            target, root_path = scope.get("raw_path"), scope["root_path"]
        else:
            target, root_path = wsgi.target_of(request.META), request.META["SCRIPT_NAME"]
        path = scope["path"] if scope is not None else request.META["PATH_INFO"]
        if self._gate.untouched(path, target, root_path):
            return None
        head = asgi.head_of(scope) if scope is not None else wsgi.head_of(request.META, target)
        earlier = decision_of(request)
        if earlier is not None and self._gate.stands(earlier, record_of(request).get(DECIDED_BY), head):
            return None
        return Seen(request, head, self._gate)


class Seen:
    """A request that the gate looks at."""

    def __init__(self, request: HttpRequest, head: RequestHead, gate: Gate) -> None:
        self.request = request
        self.head = head
        self._gate = gate
        self.body = body_of(request, gate)

    async def aread(self, max_memory: int) -> bytes | LastPiece | BodyEnd:
        """Without a thread: Django itself reads this file where it stands, and it has written it just now."""
        return self.body.read(max_memory)

    def follow(self, ruling: Ruling) -> HttpResponse | None:
        """Do what was ruled; the gate's own answer, if it gives one."""
        match ruling:
            case PassOn():
                return None
            case Admit(decision=decision):
                remove_own_headers(self.request)
                note(record_of(self.request), decision, self._gate, self.head)
                self.body.hand_over()
                return None
            case Answer(response=response):
                answer = http_response(response)
                answer._resource_closers.append(self.body.linger)
                return answer
            case _:
                assert_never(ruling)


def with_cookie(response: HttpResponseBase, ruling: Ruling) -> HttpResponseBase:
    if isinstance(ruling, Admit) and ruling.set_cookie is not None:
        response.cookies.load(ruling.set_cookie)
    return response


def remove_own_headers(request: HttpRequest) -> None:
    """No header of the gate's prefix gets to the view (threats.md R12)."""
    wsgi.remove_own_headers(request.META)
    if (scope := getattr(request, "scope", None)) is not None:
        scope["headers"] = asgi.without_own_headers(scope["headers"])
    request.__dict__.pop("headers", None)  # a middleware before the gate may have looked at them


# The body


class Body(Protocol):
    """What the middleware needs of a body."""

    def read(self, max_memory: int) -> bytes | LastPiece | BodyEnd: ...

    def hand_over(self) -> None:
        """Let the view read it from its start."""

    def linger(self) -> None:
        """After a refusal: whatever has to be done about what the client still sends."""


def body_of(request: HttpRequest, gate: Gate) -> Body:
    if hasattr(request, "_body"):  # Django keeps what `request.body` has read, and the view gets this
        return BodyThere(BytesIO(request._body), len(request._body))
    if request._read_started:
        return BodyGone()
    if isinstance(request, WSGIRequest):
        return BodyComing(request, gate)
    if not request._stream.seekable():  # that of Django's own test client
        request._stream = BytesIO(request._stream.read())
    declared = request.META.get("CONTENT_LENGTH") or ""
    return BodyThere(request._stream, int(declared) if declared.isdecimal() else None)


class BodyComing:
    """A body of WSGI, of which the server still has what was not read."""

    def __init__(self, request: WSGIRequest, gate: Gate) -> None:
        self._request = request
        self._body = wsgi.IncomingBody(request.META, KeptBody(gate.budget))
        self.read = self._body.read
        self.linger = self._body.linger

    def hand_over(self) -> None:
        stream = self._body.replay()
        if stream is not None:
            declared = self._request.META.get("CONTENT_LENGTH") or ""
            self._request.META["wsgi.input"] = stream
            self._request._stream = LimitedStream(stream, int(declared) if declared.isdecimal() else 0)


class BodyThere:
    """A body that has been received, and can be read again."""

    def __init__(self, stream: IO[bytes], declared: int | None) -> None:
        self._stream = stream
        self._declared = declared
        self._read = 0

    def read(self, max_memory: int) -> bytes | LastPiece | BodyEnd:
        piece = self._stream.read(PIECE)
        self._read += len(piece)
        if piece:
            return piece
        return BodyEnd.COMPLETE if self._declared in (None, self._read) else BodyEnd.CUT_SHORT

    def hand_over(self) -> None:
        self._stream.seek(0)

    def linger(self) -> None:
        pass


class BodyGone:
    """A body that somebody has read and not kept: nobody can tell what the view will make of it, so it is refused."""

    def read(self, max_memory: int) -> bytes | LastPiece | BodyEnd:
        why = "another middleware has read the body before the gate, which has to stand before it in MIDDLEWARE"
        tell(logging.ERROR, "body-gone", why)
        raise RuntimeError(why)

    def hand_over(self) -> None:
        pass

    def linger(self) -> None:
        pass
