"""What the application is told about the client: who it is, and what it typed (threats.md R25).

`X-Forwarded-For`, `X-Real-IP` and `Forwarded` name one client, the one that the gate counts and binds by; whatever a
client wrote into such fields is dropped. What a trusted proxy says about scheme, host and port is believed.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from caputchin_gate.client_address import NOTHING_SAID, Origin, TrustedProxies, client_of, origin_of
from caputchin_gate.messages import RequestHead
from caputchin_gate.sidecar.wire import Request

_MOST_HOSTS: Final = 8  # of one connection; a browser names one or two


def paths_of(target: bytes) -> tuple[str, bytes]:
    """The path of a target as servers decode it, and as it was sent."""
    raw_path = target.partition(b"?")[0] if b"?" in target else target
    path = raw_path.decode("ascii")
    return unquote(path) if b"%" in raw_path else path, raw_path


def head_of(request: Request, peer: str | None, scheme: str) -> RequestHead:
    """The request as the policy reads it: what decides is what the application gets."""
    headers: dict[str, list[str]] = {}
    for name, value in request.fields:
        headers.setdefault(name.decode("ascii").lower(), []).append(value.decode("latin-1"))
    path, raw_path = paths_of(request.target)
    return RequestHead(
        method=request.method.decode("ascii"),
        path=path,
        raw_path=raw_path.decode("ascii"),
        query=request.target[len(raw_path) + 1 :].decode("ascii"),
        headers=headers,
        peer=peer,
        scheme=scheme,
    )


class Forwarding:
    """The forwarding fields for the requests of one connection."""

    __slots__ = ("_by_host", "_peer", "_scheme", "_trusted", "_trusted_peer")

    def __init__(self, peer: str | None, scheme: str, trusted: TrustedProxies) -> None:
        self._peer = peer
        self._scheme = scheme
        self._trusted = trusted
        self._trusted_peer = trusted.trusts_peer(peer)
        self._by_host: dict[bytes | None, bytes] = {}

    def scheme_of(self, request: Request) -> str:
        """http or https, as the client typed it."""
        if not self._trusted_peer:
            return self._scheme
        return origin_of(head_of(request, self._peer, self._scheme), self._trusted).scheme or self._scheme

    def lines(self, request: Request) -> bytes:
        """Host and the forwarding fields, as they are written."""
        if self._trusted_peer:
            head = head_of(request, self._peer, self._scheme)
            client, origin = client_of(head, self._trusted), origin_of(head, self._trusted)
            return _host_line(request.host) + forwarding_lines(client, self._scheme, request.host, origin)
        known = self._by_host.get(request.host)
        if known is None:
            client = client_of(RequestHead("", "", peer=self._peer), self._trusted)
            known = _host_line(request.host) + forwarding_lines(client, self._scheme, request.host)
            if len(self._by_host) < _MOST_HOSTS:
                self._by_host[request.host] = known
        return known


def _host_line(host: bytes | None) -> bytes:
    return b"Host: %b\r\n" % host if host is not None else b""


def forwarding_lines(client: str | None, scheme: str, host: bytes | None, said: Origin = NOTHING_SAID) -> bytes:
    """The fields for one client; None is one whose address nobody knows.

    scheme, host: of the request itself; `said` by a trusted proxy counts more.
    """
    scheme = said.scheme or scheme
    named = said.host or (host.decode("ascii") if host is not None else None)
    lines = [f"X-Forwarded-Proto: {scheme}"]
    if client is not None:
        lines += (f"X-Forwarded-For: {client}", f"X-Real-IP: {client}")
    if named is not None:
        lines += (f"X-Forwarded-Host: {named}", f"X-Forwarded-Port: {said.port or _port(named, scheme)}")
    lines.append(f"Forwarded: {_forwarded(client, scheme, named)}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _port(host: str, scheme: str) -> str:
    """The port that the client typed, or left to the scheme."""
    _, colon, port = host.rpartition(":")
    return port if colon and not port.endswith("]") else {"http": "80", "https": "443"}[scheme]


def _forwarded(client: str | None, scheme: str, host: str | None) -> str:
    """RFC 7239 4; an IPv6 address stands in brackets and quotes."""
    node = "unknown" if client is None else f'"[{client}]"' if ":" in client else client
    return f"for={node};proto={scheme}" + (f';host="{host}"' if host is not None else "")
