"""Which page a request comes from, as its browser says, and the host names that are compared with it."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv6Address
from typing import Final

_AUTHORITY: Final = r"https?://(?:([a-z0-9._-]{1,253})|\[([0-9a-f:.]{2,45})\])(?::[0-9]{1,5})?"
_ORIGIN: Final = re.compile(_AUTHORITY, re.IGNORECASE | re.ASCII)
_PAGE: Final = re.compile(rf"{_AUTHORITY}(?:[/?#].*)?", re.IGNORECASE | re.ASCII | re.DOTALL)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")

_AROUND: Final = re.compile(r"\A(?:[a-z]+://)?(?:\*?\.)?|\.?(?::[0-9]*)?(?:[/?#].*)?\Z", re.DOTALL)


def host_of(page: str | None) -> str:
    """The host of a page by its URL or its origin, in lower case; empty for what no browser sends."""
    return _host(_PAGE.fullmatch(page or ""))


def host_of_origin(origin: str | None) -> str:
    """The host of an origin, which has no path (RFC 6454 6.2)."""
    return _host(_ORIGIN.fullmatch(origin or ""))


def _host(found: re.Match[str] | None) -> str:
    return (found[1] or found[2]).lower() if found is not None else ""


def host_name(typed: str) -> str | None:
    """A host name as browsers send it, None for what is none: a scheme, a port, a path or a wildcard included."""
    host = typed.lower()
    if ":" in host:
        return _ipv6(host.removeprefix("[").removesuffix("]"))
    return host if _HOST.fullmatch(host) else None


def meant_by(typed: str) -> str | None:
    """The host name that somebody had in mind who typed something else, None when that can't be told."""
    host = _AROUND.sub("", typed.strip().lower())
    labels = unicodedata.normalize("NFKC", host).split(".")
    return host_name(".".join(map(_as_sent, labels)))


def _as_sent(label: str) -> str:
    """A label in the form that browsers send (RFC 3492)."""
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


def _ipv6(text: str) -> str | None:
    try:
        return str(IPv6Address(text))
    except ValueError:
        return None
