"""[in_process.hardening]: what raises the state of a site, and what that does to its challenges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from caputchin_gate.config.settings.plain import duration, flag, list_of_three, number, text, three, whole
from caputchin_gate.config.settings.reading import Reader, Setting, Wrong, reads
from caputchin_gate.difficulty import GREATEST_MULTIPLIER, Multipliers
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.hardening import Rising, Thresholds
from caputchin_gate.traffic import Watch

_GREATEST_AS_NUMBER: Final = 2**32 - 1

_MULTIPLIER: Final = number(1, GREATEST_MULTIPLIER)
_WINDOW: Final = duration(1, 86400)
_AS_NUMBER: Final = whole(1, _GREATEST_AS_NUMBER)


@reads(three(_MULTIPLIER.schema))
def multipliers(value: object) -> Multipliers:
    found = [_MULTIPLIER(item) for item in list_of_three(value)]
    try:
        return Multipliers(*found)
    except ConfigurationError as failure:
        raise Wrong.like(failure) from None


def thresholds(high: float) -> Reader[Rising]:
    """Three numbers above 0 that rise. `false` switches a signal off: then they are infinite."""
    one = number(0, high)

    @reads({"anyOf": [{"const": False}, three(one.schema)]})
    def read(value: object) -> Rising:
        if value is False:
            return math.inf, math.inf, math.inf
        first, second, third = (one(item) for item in list_of_three(value))
        if not 0 < first <= second <= third:
            raise Wrong("do not rise from above 0", "or write false to switch it off")
        return first, second, third

    return read


@reads(three(_WINDOW.schema))
def windows(value: object) -> Rising:
    first, second, third = (_WINDOW(item) for item in list_of_three(value))
    return first, second, third


@reads({"type": "array", "items": _AS_NUMBER.schema})
def as_numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise Wrong("is not a list of AS numbers")
    return tuple(_AS_NUMBER(item) for item in value)


# Well-known networks of machines for rent: a beginning, not a list of all.
_DATACENTERS: Final = (
    *(14618, 16509),  # Amazon
    396982,  # Google Cloud
    8075,  # Microsoft
    31898,  # Oracle
    45102,  # Alibaba
    132203,  # Tencent
    14061,  # DigitalOcean
    16276,  # OVHcloud
    24940,  # Hetzner
    63949,  # Linode (Akamai)
    20473,  # Vultr
    12876,  # Scaleway
    51167,  # Contabo
    60781,  # Leaseweb
)

_SHARES: Final = thresholds(1)
_WATCH: Final = Watch()
_USUAL: Final = Thresholds()

HARDENING: Final[Mapping[str, Setting]] = {
    "enabled": Setting(flag, _WATCH.hardens, "Whether challenges get harder at all.", "false"),
    "multipliers": Setting(
        multipliers, Multipliers(), "How many times the work each state asks for, from 1 to 16.", "[1.5, 4, 16]"
    ),
    "sticky": Setting(windows, _USUAL.sticky, "How long each state holds on.", '["5m", "5m", "10m"]'),
    "spike": Setting(
        thresholds(1e6), _USUAL.spike, "How many times the usual number of challenges in a minute.", "[3, 8, 20]"
    ),
    "failed": Setting(_SHARES, _USUAL.failed, "The share of wrong tokens in a minute.", "[0.3, 0.6, 0.85]"),
    "datacenters": Setting(
        _SHARES, _USUAL.datacenters, "The share of challenges in a minute that go to datacenters.", "[0.5, 0.7, 0.9]"
    ),
    "reputation": Setting(
        _SHARES,
        _USUAL.reputation,
        "The share of challenges in a minute that go to networks of bad reputation.",
        "[0.5, 0.7, 0.9]",
    ),
    "least_challenges": Setting(
        whole(1, 10_000_000), _USUAL.least_challenges, "With fewer in a minute, challenges raise nothing.", "60"
    ),
    "least_verifications": Setting(
        whole(1, 10_000_000), _USUAL.least_verifications, "With fewer in a minute, wrong tokens raise nothing.", "50"
    ),
    "known_after": Setting(
        duration(60, 3600), _USUAL.known_after, "How long a site is watched before a number is usual.", '"5m"'
    ),
    "bad_after": Setting(
        whole(0, 1_000_000),
        _WATCH.bad_after,
        "How many wrong tokens give a network a bad reputation; 0 is never.",
        "20",
    ),
    "bad_for": Setting(
        duration(60, 86400), _WATCH.remembered, "For how long wrong tokens are counted together.", '"24h"'
    ),
    "asn_database": Setting(
        text, None, "Tells the AS number of an address: a file in MaxMind's format.", '"/var/lib/GeoLite2-ASN.mmdb"'
    ),
    "datacenter_asns": Setting(
        as_numbers, _DATACENTERS, "The AS numbers of datacenters, in place of the default ones.", "[16509, 24940]"
    ),
}
