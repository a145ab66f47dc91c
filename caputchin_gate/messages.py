"""HTTP messages as the policy sees them, whatever server or framework they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TypeAlias

from caputchin_gate.values import value

Headers: TypeAlias = tuple[tuple[str, str], ...]


@value
class RequestHead:
    """A request without its body. All text is Latin-1 as HTTP has it, but for `path`.

    method:    as sent, not changed in case
    path:      as the server decoded it, mount prefix included where the server includes it
    raw_path:  the target as sent, without its query; None where the server does not tell
    root_path: the mount prefix (`root_path`, `SCRIPT_NAME`), empty at the top
    query:     the query string as sent, without the question mark
    headers:   values by lower-case name, in the order of arrival
    peer:      the address of the TCP peer, None behind a Unix socket
    scheme:    http or https, as the server says
    body_seen: whether the gate gets to see the body; a front proxy that asks keeps it to itself
    """

    method: str
    path: str
    raw_path: str | None = None
    root_path: str = ""
    query: str = ""
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    peer: str | None = None
    scheme: str = "http"
    body_seen: bool = True

    def header(self, name: str) -> str | None:
        """The first value of a header (name in lower case), None when it is absent."""
        values = self.headers.get(name)
        return values[0] if values else None


@value
class Response:
    """An answer that the gate gives itself."""

    status: int
    headers: Headers = ()
    body: bytes = b""


@value
class HttpRequest:
    """One call to a provider. Body, headers and query may hold a secret, so they stay out of `repr`.

    query: what is sent behind the URL, encoded, without the question mark
    """

    url: str
    body: bytes = field(repr=False)
    headers: Headers = field(default=(), repr=False)
    method: str = "POST"
    query: str = field(default="", repr=False)


@value
class HttpReply:
    """What a provider answered, complete and within the size limit; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
