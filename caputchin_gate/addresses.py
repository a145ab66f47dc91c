"""Addresses as people type them: where to listen, and where an application answers. Read, not resolved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine sees what goes there."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def takes(self, other: Address) -> bool:
        """Whether who listens here gets what is sent there, as far as spellings tell."""
        if self.path is not None or other.path is not None:
            return self.path == other.path
        everywhere = self.host in ("", "0.0.0.0", "::")  # noqa: S104
        return self.port == other.port and (self.host == other.host or (everywhere and other.is_local))


def upstream(text: str) -> Address | None:
    """`http://127.0.0.1:8000`, `https://app.internal`, `unix:/run/app.sock`. No path, user or query."""
    path = socket_path(text)
    if path is not None:
        return Address(path=path)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    known = parts.scheme in ("http", "https") and parts.path in ("", "/") and not (parts.query or parts.fragment)
    host = parts.hostname or ""
    if not known or "@" in parts.netloc or not re.fullmatch(r"[A-Za-z0-9._:-]+", host) or port == 0:
        return None
    return Address(host=host, port=port or {"http": 80, "https": 443}[parts.scheme], tls=parts.scheme == "https")


def socket_path(text: str) -> str | None:
    """The path in `unix:/run/gate.sock` or `unix:///run/gate.sock`."""
    found = re.fullmatch(r"unix:(?://)?(/[^\0]+)", text)
    return found[1] if found is not None else None
