"""What becomes of each header field: one table of names (threats.md R12, R25, R28).

Everything that is no end-to-end field of the client's own is written by the relay anew, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Final


class Role(Enum):
    PASSED = auto()  # end to end: the application gets it as it was sent
    HOST = auto()
    CONTENT_LENGTH = auto()
    TRANSFER_ENCODING = auto()
    CONNECTION = auto()
    UPGRADE = auto()
    EXPECT = auto()  # answered here (R27)
    HOP_BY_HOP = auto()  # for one hop alone
    FORWARDING = auto()  # about the client: written anew from what is known
    OWN = auto()  # the gate's prefix: no client can write there (R12)
    FOLDED = auto()  # servers take it for the name with hyphens, so nobody gets it (R12, R13)


_NAMED: Final[Mapping[bytes, Role]] = {
    b"host": Role.HOST,
    b"content-length": Role.CONTENT_LENGTH,
    b"transfer-encoding": Role.TRANSFER_ENCODING,
    b"connection": Role.CONNECTION,
    b"upgrade": Role.UPGRADE,
    b"expect": Role.EXPECT,
    b"keep-alive": Role.HOP_BY_HOP,
    b"te": Role.HOP_BY_HOP,
    b"trailer": Role.HOP_BY_HOP,
    b"http2-settings": Role.HOP_BY_HOP,
    b"proxy": Role.HOP_BY_HOP,  # becomes the environment variable HTTP_PROXY (R29)
    b"forwarded": Role.FORWARDING,
    b"x-real-ip": Role.FORWARDING,
}
_PREFIXES: Final = (
    (b"x-caputchin-", Role.OWN),
    (b"x-forwarded-", Role.FORWARDING),
    (b"proxy-", Role.HOP_BY_HOP),
)

# What a Connection header can't take away: else a client could hide from the application what it has to see (R28).
_ESSENTIAL: Final = frozenset({b"host", b"authorization", b"cookie", b"origin", b"referer"})
_ESSENTIAL_PREFIXES: Final = (b"content-", b"sec-", b"x-caputchin-", b"x-forwarded-")

_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 64


class Roles(dict[bytes, Role]):
    """The roles of field names as they were sent, remembered within bounds: clients choose the names."""

    def __missing__(self, name: bytes) -> Role:
        role = _role_of(name.lower())
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[name] = role
        return role


ROLES: Final = Roles()


def _role_of(name: bytes) -> Role:
    if b"_" in name:
        return Role.FOLDED
    return _NAMED.get(name) or next((role for prefix, role in _PREFIXES if name.startswith(prefix)), Role.PASSED)


def is_essential(name: bytes) -> bool:
    """Whether a field passes although Connection names it."""
    return name in _ESSENTIAL or name.startswith(_ESSENTIAL_PREFIXES)


_PLAIN_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade"})


def without(nominated: frozenset[bytes], lines: Iterable[bytes]) -> bytes:
    """Lines of fields without those that Connection names."""
    if not nominated or nominated <= _PLAIN_OPTIONS:
        return b"".join(lines)
    dropped = {name for name in nominated if not is_essential(name)}
    return b"".join([line for line in lines if line.partition(b":")[0].lower() not in dropped])
