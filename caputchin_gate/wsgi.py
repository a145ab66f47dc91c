"""The door of any WSGI application: translates the environ, the input stream and answers, and decides nothing.

    application = GateMiddleware(application, gate=gate)

The decision about a guarded request is in `environ["caputchin_gate"]`. Put it outermost: what runs before it, it
can't guard. What the application returns is handed on as it is.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator
from http.client import responses
from itertools import chain
from typing import IO, Any, Final, TypeAlias, assert_never

from werkzeug.wsgi import get_content_length, get_input_stream

from caputchin_gate.doors import DECIDED_BY, DECISION, LINGER_BYTES, LINGER_SECONDS, note
from caputchin_gate.effects import BodyEnd, LastPiece
from caputchin_gate.events import tell_broken
from caputchin_gate.gate import Gate
from caputchin_gate.kept_body import KeptBody
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.policy import Admit, Answer, PassOn
from caputchin_gate.refusals import stand_in
from caputchin_gate.verdict import Decision

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Callable[[bytes], object]]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]
# What an application makes of a refusal: it gets the environ, with a body that came whole, and the gate's own answer.
Refuse: TypeAlias = Callable[[Environ, Decision, Response], Response]

OWN_HEADERS: Final = "HTTP_X_CAPUTCHIN_"
PIECE: Final = 64 * 1024


class GateMiddleware:
    """Wraps a WSGI application.

    Raises ConfigurationError when the gate protects no route, or has `forward_auth` on.

    app: the application
    gate: what guards it; closing it is up to you, and can be left to the end of the process
    refuse: answers refused requests in place of the gate; where it fails, the gate answers itself
    """

    def __init__(self, app: Application, *, gate: Gate, refuse: Refuse | None = None) -> None:
        gate.must_guard()
        gate.must_not_be_asked()
        self.app = app
        self.gate = gate
        self._refuse = refuse
        self._untouched = gate.untouched

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        target = target_of(environ)
        if self._untouched(environ.get("PATH_INFO", ""), target, environ.get("SCRIPT_NAME", "")):
            return self.app(environ, start_response)
        return self._guard(environ, start_response, target)

    def _guard(self, environ: Environ, start_response: StartResponse, raw_path: str | None) -> Iterable[bytes]:
        head = head_of(environ, raw_path)
        if DECISION in environ and self.gate.stands(environ[DECISION], environ.get(DECIDED_BY), head):
            return self.app(environ, start_response)
        body = IncomingBody(environ, KeptBody(self.gate.budget))
        match self.gate.handle(head, body.read):
            case PassOn():
                return self.app(environ, start_response)
            case Admit(decision=decision, set_cookie=cookie):
                admit(environ, body)
                note(environ, decision, self.gate, head)
                return self.app(environ, start_response if cookie is None else setting(cookie, start_response))
            case Answer(response=response, decision=decision):
                if self._refuse is not None and decision is not None and response.status == decision.status:
                    response = _refused(self._refuse, head, environ, body, decision, response)
                return _Answered(answer(response, start_response), body)
            case ruling:
                assert_never(ruling)


def _refused(
    refuse: Refuse, head: RequestHead, environ: Environ, body: IncomingBody, decision: Decision, own: Response
) -> Response:
    try:
        stream = body.replay() if body.is_whole() else io.BytesIO()
        answered = refuse({**environ, "wsgi.input": stream}, decision, own)
    except Exception as failure:
        tell_broken(failure, "a refusal could not be answered by the application")
        return own
    return stand_in(answered, own, head)


def target_of(environ: Environ) -> str | None:
    """The target as sent, without its query. Servers call it differently, some do not tell."""
    target: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    return target if target is None or "?" not in target else target[: target.index("?")]


def head_of(environ: Environ, raw_path: str | None) -> RequestHead:
    headers = {
        name[5:].lower().replace("_", "-"): (value,)
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.lower().replace("_", "-")] = (environ[name],)
    return RequestHead(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", ""),
        raw_path=raw_path,
        root_path=environ.get("SCRIPT_NAME", ""),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        peer=environ.get("REMOTE_ADDR") or None,
        scheme=environ.get("wsgi.url_scheme", "http"),
    )


class IncomingBody:
    """The body of one request: read piece by piece until the decision, then given to the application from its start."""

    def __init__(self, environ: Environ, kept: KeptBody) -> None:
        self._environ = environ
        self._kept = kept
        self._stream: IO[bytes] | None = None
        self._ended = False
        self._unkept = b""  # the piece for which there was no room; in report mode the application gets it all the same
        self._missing = get_content_length(environ)  # what is still to come of a declared length
        kept.expected = self._missing or 0

    def read(self, max_memory: int) -> bytes | LastPiece | BodyEnd:
        """The next piece, kept for the application, or why none will come."""
        if self._stream is None:
            self._stream = get_input_stream(self._environ)
        try:
            piece = self._stream.read(PIECE)
        except Exception:  # each server has its own exceptions for a body that breaks off
            self._ended = True
            return BodyEnd.CUT_SHORT
        if not piece:  # servers end a body that broke off like one that is complete
            self._ended = True
            return BodyEnd.CUT_SHORT if self._missing else BodyEnd.COMPLETE
        if self._missing is not None:
            self._missing -= len(piece)
        if not self._kept.keep(piece, max_memory):
            self._unkept = piece
            return BodyEnd.NO_ROOM
        return LastPiece(piece) if self._missing == 0 else piece

    def is_whole(self) -> bool:
        """Whether all of a declared length was read: an application that answers a refusal may then read it again."""
        return self._stream is not None and self._missing == 0

    def replay(self) -> IO[bytes] | None:
        """An input stream of what was read and what is still to come; None when nothing was read."""
        if self._stream is None:
            return None
        if self._missing == 0 and not self._unkept and not self._kept.spilled:  # most forms
            whole = self._kept.only_piece()
            return io.BytesIO(whole if whole is not None else b"".join(self._kept.pieces()))
        pieces = chain(self._kept.pieces(), (self._unkept,) if self._unkept else ())
        return io.BufferedReader(_Replay(pieces, self._environ["wsgi.input"], self._missing), PIECE)

    def linger(self) -> None:
        """After a refusal: read and drop a bounded rest, so that the client gets to read its answer."""
        dropped = 0
        ends = time.monotonic() + LINGER_SECONDS
        while self._stream is not None and not self._ended and dropped < LINGER_BYTES and time.monotonic() < ends:
            try:
                piece = self._stream.read(PIECE)
            except Exception:
                return
            dropped += len(piece)
            self._ended = not piece
        self._kept.close()


class _Replay(io.RawIOBase):
    """What was kept, then what the server has still to give: `missing` bytes, or until it says that it is the end."""

    def __init__(self, kept: Iterator[bytes], rest: IO[bytes], missing: int | None) -> None:
        self._kept = kept
        self._rest = rest
        self._missing = missing
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = memoryview(next(self._kept, b"") or self._from_the_server(len(buffer)))
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def _from_the_server(self, most: int) -> bytes:
        if self._missing is None:
            return self._rest.read(most)
        piece = self._rest.read(min(most, self._missing)) if self._missing else b""
        self._missing -= len(piece)
        return piece


class _Answered:
    """The body of a refusal. The server closes it after it was sent: only then the rest of the request is read."""

    def __init__(self, pieces: list[bytes], body: IncomingBody) -> None:
        self._pieces = pieces
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def close(self) -> None:
        self._body.linger()


def admit(environ: Environ, body: IncomingBody) -> None:
    """Make the environ what the application gets: the whole body, and no header of the gate's prefix (R12)."""
    remove_own_headers(environ)
    stream = body.replay()
    if stream is not None:
        environ["wsgi.input"] = stream


def remove_own_headers(environ: Environ) -> None:
    if "CAPUTCHIN" in "\n".join(environ).upper():  # rarely: then each is looked at closely
        for name in [name for name in environ if name.upper().replace("-", "_").startswith(OWN_HEADERS)]:
            del environ[name]


def setting(cookie: str, start_response: StartResponse) -> StartResponse:
    """A `start_response` that adds one Set-Cookie: the only touch of the application's response (threats.md R39)."""

    def start_with_cookie(status: str, headers: list[tuple[str, str]], *failure: Any) -> Callable[[bytes], object]:
        return start_response(status, [*headers, ("Set-Cookie", cookie)], *failure)

    return start_with_cookie


def answer(response: Response, start_response: StartResponse) -> list[bytes]:
    headers = list(response.headers)
    if "content-length" not in {name.lower() for name, _ in headers} and response.status not in (204, 304):
        headers.append(("Content-Length", str(len(response.body))))
    phrase = responses.get(response.status, "Refused")  # an application may answer with a status of its own
    start_response(f"{response.status} {phrase}", headers)
    return [response.body] if response.body else []


__all__ = ["GateMiddleware"]
