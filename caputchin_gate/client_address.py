"""Whose request is it? The peer's address, or what a trusted proxy says about it (threats.md R25).

A forwarding header counts only from configured networks, one kind of header for a deployment, and of its hops the
rightmost that is not trusted itself. Whatever can't be read leaves the peer: a client that garbles the header is
counted as its proxy, and never as somebody it chose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, TypeAlias, assert_never

from caputchin_gate.errors import ConfigurationError, Problem, nearest
from caputchin_gate.messages import RequestHead

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Element: TypeAlias = Mapping[str, str] | None  # of a Forwarded header
ForwardingHeader: TypeAlias = Literal["x-forwarded-for", "forwarded", "x-real-ip"]

UNIX: Final = "unix"  # in trusted_proxies: peers without an address, which came over a Unix socket
_HEADERS: Final[tuple[ForwardingHeader, ...]] = ("x-forwarded-for", "forwarded", "x-real-ip")
_FORWARDING: Final = frozenset(_HEADERS)
_MAPPED_BITS: Final = 96  # ::ffff:0:0/96 holds the IPv4-mapped addresses (RFC 4291 2.5.5.2)


class TrustedProxies:
    """The peers whose forwarding header is believed, and which header that is. Parsed once; nobody by default."""

    __slots__ = ("_networks", "_unix", "header")

    def __init__(self, entries: Iterable[str] = (), header: ForwardingHeader = "x-forwarded-for") -> None:
        entries = tuple(entries)
        networks: list[Network] = []
        problems: list[Problem] = []
        for entry in entries:
            if entry == UNIX:
                continue
            try:
                networks.append(_unmapped_network(ip_network(entry)))
            except ValueError as wrong:
                problems.append(Problem("trusted_proxies", str(wrong), 'write it like "10.0.0.0/8", or "unix"'))
        if header not in _HEADERS:
            problems.append(Problem("forwarded_header", f"{header!r} is not known", nearest(header, _HEADERS)))
        if problems:
            raise ConfigurationError(problems)
        self.header = header
        self._networks = tuple(networks)
        self._unix = UNIX in entries

    def trusts(self, address: Address | None) -> bool:
        """Whether a hop is one of ours. None is a peer without an address."""
        if address is None:
            return self._unix
        return any(address in network for network in self._networks)

    def trusts_peer(self, peer: str | None) -> bool:
        """Whether the peer of a connection is one of ours. A peer that is no address is nobody's."""
        if not peer:
            return self._unix
        if not self._networks:
            return False
        address = _parse(peer)
        return address is not None and self.trusts(address)


def client_of(head: RequestHead, trusted: TrustedProxies) -> str | None:
    """The canonical address of the client, None where nobody can tell (a Unix socket, a peer that is no address)."""
    if trusted.trusts_peer(head.peer):
        values = head.headers.get(trusted.header)
        forwarded = _forwarded_client(values, trusted) if values else None
        if forwarded is not None:
            return str(forwarded)
    return _canonical(head.peer) if head.peer and len(head.peer) <= _LONGEST else None


@dataclass(frozen=True, slots=True)
class Origin:
    """What the client typed, as far as a trusted proxy says so; host with its port, where it has one."""

    scheme: str | None = None
    host: str | None = None
    port: str | None = None


NOTHING_SAID: Final = Origin()


def origin_of(head: RequestHead, trusted: TrustedProxies) -> Origin:
    """What a trusted proxy says about the client's side of it: scheme, host and port. Nothing from anybody else."""
    if not trusted.trusts_peer(head.peer):
        return NOTHING_SAID
    if trusted.header != "forwarded":
        scheme, host, port = (_only(head, f"x-forwarded-{name}") for name in ("proto", "host", "port"))
    else:
        element = _client_element(head.headers.get("forwarded", ()), trusted)
        scheme, host, port = element.get("proto"), element.get("host"), None
    return Origin(
        scheme.lower() if scheme is not None and scheme.lower() in ("http", "https") else None,
        host if host is not None and _HOST.fullmatch(host) else None,
        port if port is not None and _PORT.fullmatch(port) else None,
    )


_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PORT: Final = re.compile(r"[0-9]{1,5}")


def _only(head: RequestHead, name: str) -> str | None:
    values = head.headers.get(name, ())
    return values[0] if len(values) == 1 else None


def looks_proxied(head: RequestHead) -> bool:
    """Whether a peer on this machine or network forwards for others: it is probably a proxy."""
    if _FORWARDING.isdisjoint(head.headers):
        return False
    peer = _parse(head.peer) if head.peer else None
    return peer is None or peer.is_private


def network_of(address: str, ipv6_prefix: int = 64) -> str | None:
    """What stands for a client where it is counted or bound: its IPv4 address, or the network of its IPv6 address.

    None for text that is no address.
    """
    return _network(address, ipv6_prefix) if len(address) <= _LONGEST else None


# Hops

MOST_HOPS: Final = 64
LONGEST_FORWARDED: Final = 8192  # characters; it is read from its beginning, which is the client's


def _forwarded_client(values: Sequence[str], trusted: TrustedProxies) -> Address | None:
    """The rightmost hop that is not trusted, the leftmost of all if each is; None when a hop can't be read."""
    hops: Iterable[str | None]
    match trusted.header:
        case "x-forwarded-for":
            hops = reversed(",".join(values).rsplit(",", MOST_HOPS))  # what is left over is no address
        case "forwarded" if sum(map(len, values)) > LONGEST_FORWARDED:
            hops = (None,)
        case "forwarded":
            hops = (_for(element) for value in reversed(values) for element in reversed(_elements(value)))
        case "x-real-ip":
            hops = values if len(values) == 1 else (None,)
        case _:
            assert_never(trusted.header)
    address = None
    for hop in hops:
        address = _parse_hop(hop.strip(" \t")) if hop is not None else None
        if address is None or not trusted.trusts(address):
            return address
    return address


_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_BARE: Final = r"[][:!#$%&'*+.^_`|~0-9A-Za-z-]+"  # many proxies leave the quotes of a port or an IPv6 address away
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
# One forwarded-pair and what follows it (RFC 7239 4).
_PAIR: Final = re.compile(rf"[ \t]*({_TOKEN})=({_BARE}|{_QUOTED})[ \t]*(;|,|\Z)", re.DOTALL)


def _client_element(values: Sequence[str], trusted: TrustedProxies) -> Mapping[str, str]:
    """What the proxy said that had the client before it; empty when a hop can't be read."""
    element: Element = {}
    if sum(map(len, values)) > LONGEST_FORWARDED:
        return {}
    for value in reversed(values):
        for element in reversed(_elements(value)):
            hop = _for(element)
            address = _parse_hop(hop.strip(" \t")) if hop is not None else None
            if address is None:
                return {}
            if not trusted.trusts(address):
                return element or {}
    return element or {}


def _for(element: Element) -> str | None:
    return element.get("for") if element is not None else None


def _elements(value: str) -> list[Element]:
    """The elements of one Forwarded header, names in lower case; None for one that names something twice.

    One header is read as a whole and from the left: a quote that a client left open swallows the hop that the proxy
    appended, so nothing of such a header is believed.
    """
    elements: list[Element] = []
    named: list[tuple[str, str]] = []
    position, separator = 0, ","
    while separator:
        pair = _PAIR.match(value, position)
        if pair is None:
            return [None]
        name, text, separator = pair.groups()
        named.append((name.lower(), re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if text[0] == '"' else text))
        if separator != ";":
            element = dict(named)
            elements.append(element if len(element) == len(named) else None)
            named = []
        position = pair.end()
    return elements


# Addresses

_WITH_PORT: Final = re.compile(r"(?:\[([^\]]*)\]|([0-9.]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")


def _parse_hop(text: str) -> Address | None:
    """An address as proxies write it: bare, or in brackets, or with a port (RFC 7239 6)."""
    match = _WITH_PORT.fullmatch(text)
    if match is None:
        return _parse(text)
    bracketed, bare = match.groups()
    if bracketed is None:
        return _parse(bare)
    return _parse(bracketed) if ":" in bracketed else None


_LONGEST: Final = 64  # an IPv6 address with a zone; what is longer would only fill the memory of what is cached


def _parse(text: str) -> Address | None:
    """An address without its zone, IPv4-mapped ones as IPv4; None for anything else."""
    return _parsed(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)  # the same proxies and visitors come again, and `ipaddress` takes microseconds
def _parsed(text: str) -> Address | None:
    if ":" in text:
        text = text.partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


# These are cached by text: an `ipaddress` object takes longer to hash than to look up.


@lru_cache(maxsize=1024)
def _canonical(text: str) -> str | None:
    address = _parsed(text)
    return str(address) if address is not None else None


@lru_cache(maxsize=1024)
def _network(text: str, ipv6_prefix: int) -> str | None:
    address = _parsed(text)
    if not isinstance(address, IPv6Address):
        return str(address) if address is not None else None
    host_bits = 128 - ipv6_prefix
    return f"{IPv6Address(int(address) >> host_bits << host_bits)}/{ipv6_prefix}"


def _unmapped_network(network: Network) -> Network:
    """A network of IPv4-mapped addresses as the IPv4 network that its members are compared as."""
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network
