"""Which addresses belong to machines in datacenters: by the autonomous systems that a MaxMind-format database names.

GeoLite2-ASN, GeoIP2-ISP and DB-IP's ASN database are of this form. The file is mapped into memory, not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Final

from caputchin_gate.errors import ConfigurationError, Problem

SETTING: Final = "in_process.hardening.asn_database"

_MEMBER: Final = "autonomous_system_number"
_WITH_NUMBERS: Final = re.compile("ASN|ISP|Enterprise")


def open_datacenters(path: str, numbers: Iterable[int]) -> Callable[[str], bool]:
    """Whether an address is in one of the autonomous systems. Raises ConfigurationError for an unusable database."""
    if find_spec("maxminddb") is None:
        what, fix = "needs the package maxminddb, which is not installed", "pip install 'caputchin-gate[asn]'"
        raise ConfigurationError([Problem(SETTING, what, fix)])
    import maxminddb

    try:
        database = maxminddb.open_database(path)
    except OSError as failure:
        what, fix = f"{path} can't be read ({failure.strerror or type(failure).__name__})", "name a readable .mmdb file"
        raise ConfigurationError([Problem(SETTING, what, fix)]) from None
    except (maxminddb.InvalidDatabaseError, ValueError):
        what, fix = f"{path} is no database in MaxMind's format", "download GeoLite2-ASN.mmdb again, and unpack it"
        raise ConfigurationError([Problem(SETTING, what, fix)]) from None
    kind = database.metadata().database_type
    if not _WITH_NUMBERS.search(kind):
        what, fix = f"{path} is of the kind {kind!r}, which has no AS numbers", "use GeoLite2-ASN.mmdb, or one like it"
        raise ConfigurationError([Problem(SETTING, what, fix)])
    datacenters = frozenset(numbers)

    def is_datacenter(address: str) -> bool:
        try:
            found = database.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):  # IPv6 in a database of IPv4, or a damaged part
            return False
        return isinstance(found, dict) and found.get(_MEMBER) in datacenters

    return is_datacenter
