"""HTTP/1.1 heads, read strictly: what two parsers might read differently is refused (threats.md R6).

A head is checked as a whole by one expression that knows no optional parts: CRLF is the only line end, a name is a
token, a value has no control character, nothing is folded. What passes has one reading, and framing is decided from it
here, once (RFC 9112 6.3). Pure: bytes in, values out. Bodies are in `bodies.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from caputchin_gate.sidecar.bodies import NO_BODY, Chunked, FixedLength, Reader, UntilClose
from caputchin_gate.sidecar.fields import ROLES, Role

Field: TypeAlias = tuple[bytes, bytes]  # a name as it was sent, a value without blanks around it

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_FIELDS: Final = rb"((?:" + TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+)"
# Asking the Enum for its member would cost more than all else that is done for a field.
PASSED: Final = Role.PASSED
HOST: Final = Role.HOST
CONTENT_LENGTH: Final = Role.CONTENT_LENGTH
TRANSFER_ENCODING: Final = Role.TRANSFER_ENCODING
CONNECTION: Final = Role.CONNECTION
UPGRADE: Final = Role.UPGRADE
EXPECT: Final = Role.EXPECT
HOP_BY_HOP: Final = Role.HOP_BY_HOP
FOLDED: Final = Role.FOLDED

_REQUEST: Final = re.compile(rb"([A-Z][A-Z0-9_-]{0,31}) ([!-\"$-~]++) HTTP/1\.([01])\r\n" + _FIELDS + rb"\r\n")
_RESPONSE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n" + _FIELDS + rb"\r\n"
)
_FIELD: Final = re.compile(rb"([^:]+):([^\r]*)\r\n")  # for what one of the two has checked
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")

_LONGEST_LENGTH: Final = 18  # digits
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)(.*)")

END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a head may hold: bytes in all, fields, bytes of the target (threats.md R30)."""

    head: int = 32 * 1024
    fields: int = 100
    target: int = 8 * 1024


RESPONSE_LIMITS: Final = Limits(head=64 * 1024, fields=200)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that is not taken: the status a client is told, and why, for the log. Nothing of the message in it."""

    status: int
    why: str


@dataclass(slots=True)
class Request:
    """One request head.

    target:     in origin form, or `*`; of an absolute form what follows its host (threats.md D8)
    pairs:      all its fields, as they were sent
    lines:      those that the application gets, as they are written, unless `nominated` by Connection
    body:       the reader of what follows
    expects:    the client waits for a 100 before it sends its body
    closes:     the client wants no further request on this connection
    upgrade:    the protocol it would like to change to, in lower case
    """

    method: bytes
    target: bytes
    http_1_0: bool
    host: bytes | None
    pairs: list[Field]
    lines: list[bytes]
    nominated: frozenset[bytes]
    body: Reader
    expects: bool
    closes: bool
    upgrade: bytes | None

    @property
    def fields(self) -> list[Field]:
        """All fields in the order of arrival, but for names with an underscore, which servers fold."""
        return [(name, value.strip(b" \t")) for name, value in self.pairs if ROLES[name] is not FOLDED]


@dataclass(slots=True)
class Response:
    """One response head. `reusable`: the connection may carry another exchange once this one is complete."""

    status: int
    reason: bytes
    lines: list[bytes]
    nominated: frozenset[bytes]
    length: bytes | None  # the value of Content-Length, which HEAD and 304 have without a body
    body: Reader
    reusable: bool
    upgrade: bytes | None

    @property
    def informational(self) -> bool:
        return self.status < 200


def head_end(received: bytes | bytearray, seen: int, limit: int) -> int | Unreadable | None:
    """Where a head ends (its empty line included), None when that has not arrived yet.

    seen: how much was looked at before. A line end that is no CRLF is noticed as soon as it is there: it would
    otherwise be waited for.
    """
    end = received.find(END, max(0, seen - 3))
    if end >= 0:
        return end + 4 if end + 4 <= limit else _TOO_LARGE
    if _BARE_LF.search(received, seen):
        return Unreadable(400, "a line end that is no CRLF")
    return _TOO_LARGE if len(received) >= limit else None


_TOO_LARGE: Final = Unreadable(431, "a head over the limit")


# Requests


def read_request(head: bytes, limits: Limits = Limits()) -> Request | Unreadable:
    """The request whose head this is, as far as its empty line."""
    found = _REQUEST.fullmatch(head)
    if found is None:
        return _what_is_wrong_with(head, limits)
    method, target, minor, block = found.groups()
    if len(target) > limits.target:
        return Unreadable(414, "a target over the limit")
    pairs = _FIELD.findall(block)
    if len(pairs) > limits.fields:
        return Unreadable(431, "too many fields")
    lines: list[bytes] = []
    host = length = coding = upgrade = expect = None
    connection: list[bytes] = []
    for name, value in pairs:
        value = value.strip(b" \t")
        role = ROLES[name]
        if role is PASSED:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif role is HOST:
            if host is not None or not _HOST.fullmatch(value):
                return Unreadable(400, "not one well-formed Host")
            host = value
        elif role is CONTENT_LENGTH:
            if length is not None or not value.isdigit() or len(value) > _LONGEST_LENGTH:
                return Unreadable(400, "not one well-formed Content-Length")
            length = value
        elif role is TRANSFER_ENCODING:
            if coding is not None:
                return Unreadable(400, "two Transfer-Encoding")
            coding = value.lower()
        elif role is CONNECTION:
            connection.append(value.lower())
        elif role is UPGRADE:
            upgrade = value.lower() if upgrade is None else b""
        elif role is EXPECT:
            if expect is not None or value.lower() != b"100-continue":
                return Unreadable(417, "an unknown expectation")
            expect = value
        # else it is written anew, or not at all
    http_1_0 = minor == b"0"
    if host is None and not http_1_0:
        return Unreadable(400, "no Host")
    where = _origin_form(method, target, host)
    if isinstance(where, Unreadable):
        return where
    body = _request_body(length, coding, http_1_0)
    if isinstance(body, Unreadable):
        return body
    options = _options(connection)
    expects = expect is not None and not http_1_0 and not body.done
    closes = http_1_0 or b"close" in options
    wanted = upgrade if b"upgrade" in options and not http_1_0 else None
    return Request(method, where, http_1_0, host, pairs, lines, options, body, expects, closes, wanted)


def _what_is_wrong_with(head: bytes, limits: Limits) -> Unreadable:
    """The status for a head that is no request as we take it."""
    line = head[: head.index(b"\r\n")]
    if len(line) > limits.target + 64:
        return Unreadable(414, "a target over the limit")
    if re.fullmatch(rb"\S+ \S+ HTTP/[0-9](?:\.[0-9])?", line) and not re.search(rb" HTTP/1\.[01]\Z", line):
        return Unreadable(505, "another version than HTTP/1.0 and 1.1")
    return Unreadable(400, "a malformed request line or field")


def _origin_form(method: bytes, target: bytes, host: bytes | None) -> bytes | Unreadable:
    """The target as it is passed on (RFC 9112 3.2)."""
    if method == b"CONNECT":
        return Unreadable(405, "CONNECT")
    if target[:1] == b"/":
        return target
    if target == b"*" and method == b"OPTIONS":
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or host is None or absolute[1].lower() != host.lower():
        return Unreadable(400, "a target that is no path of this host")
    rest: bytes = absolute[2]
    return rest if rest[:1] == b"/" else b"/" + rest


def _request_body(length: bytes | None, coding: bytes | None, http_1_0: bool) -> Reader | Unreadable:
    if coding is None:
        return FixedLength(int(length)) if length else NO_BODY
    if length is not None or http_1_0:
        return Unreadable(400, "Transfer-Encoding where a Content-Length or HTTP/1.0 contradicts it")
    if coding != b"chunked":
        return Unreadable(501, "another Transfer-Encoding than chunked")
    return Chunked()


_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
_USUAL_OPTIONS: Final = {option: frozenset({option}) for option in (b"keep-alive", b"close", b"upgrade")}


def _options(connection: list[bytes]) -> frozenset[bytes]:
    """The options that Connection lists: names of fields for this hop alone, `close`, `keep-alive`."""
    if not connection:
        return _NO_OPTIONS
    if len(connection) == 1 and (known := _USUAL_OPTIONS.get(connection[0])) is not None:
        return known
    return frozenset(option.strip(b" \t") for option in b",".join(connection).split(b","))


# Responses


def read_response(head: bytes, method: bytes) -> Response | Unreadable:
    """The response whose head this is, to a request of this method. Its `Unreadable` always means 502."""
    found = _RESPONSE.fullmatch(head)
    if found is None:
        return Unreadable(502, "a malformed status line or field")
    minor, code, reason, block = found.groups()
    status = int(code)
    lines: list[bytes] = []
    length = coding = upgrade = None
    connection: list[bytes] = []
    pairs = _FIELD.findall(block)
    if len(pairs) > RESPONSE_LIMITS.fields:
        return Unreadable(502, "too many fields")
    for name, value in pairs:
        value = value.strip(b" \t")
        role = ROLES[name]
        if role is PASSED:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif role is CONTENT_LENGTH:
            if length is not None or not value.isdigit() or len(value) > _LONGEST_LENGTH:
                return Unreadable(502, "not one well-formed Content-Length")
            length = value
        elif role is TRANSFER_ENCODING:
            if coding is not None or minor == b"0" or value.lower() != b"chunked":
                return Unreadable(502, "a Transfer-Encoding that is not one chunked")
            coding = value
        elif role is CONNECTION:
            connection.append(value.lower())
        elif role is UPGRADE:
            upgrade = value.lower()
        elif role is not HOP_BY_HOP:
            lines.append(b"%b: %b\r\n" % (name, value))
    if coding is not None and length is not None:
        return Unreadable(502, "both Transfer-Encoding and Content-Length")
    options = _options(connection)
    bodiless = method == b"HEAD" or status in (204, 304) or status < 200
    body: Reader
    if bodiless:
        body = NO_BODY
    elif coding is not None:
        body = Chunked()
    elif length is not None:
        body = FixedLength(int(length))
    else:
        body = UntilClose()
    # Some servers (daphne) send a body that must not be there, and it would be read as the next answer.
    reusable = minor == b"1" and b"close" not in options and not bodiless and not isinstance(body, UntilClose)
    return Response(status, reason or b"", lines, options, length, body, reusable, upgrade)
