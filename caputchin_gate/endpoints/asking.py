"""May this client have a challenge now, and how hard shall it be? One answer for all protocols (captchaapi.md 7).

per client network and site    the step on the curve, and the rate cap
per site                       the state of hardening
in all                         the cap over all clients and sites (threats.md R31)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from caputchin_gate.client_address import client_of, network_of
from caputchin_gate.difficulty import Hardening
from caputchin_gate.effects import Count, Counted, StoreDown
from caputchin_gate.endpoints.sites import COUNT_WINDOW, Endpoints, Site, count_key
from caputchin_gate.messages import RequestHead
from caputchin_gate.traffic import Full


@dataclass(frozen=True, slots=True)
class Granted:
    """What the challenge is issued with. network: the client's, None where it is not known"""

    now: float
    network: str | None
    step: int
    state: Hardening


@dataclass(frozen=True, slots=True)
class Limited:
    """None yet: too many were asked for. `retry_after` in whole seconds."""

    retry_after: int


async def may_have(head: RequestHead, site: Site, own: Endpoints) -> Granted | Limited | StoreDown:
    client = client_of(head, own.trusted_proxies)
    network = network_of(client, own.ipv6_prefix) if client is not None else None
    now = own.clock.now()
    match await Count(count_key(own, site, network), COUNT_WINDOW, now):
        case StoreDown() as down:
            return down
        case Counted(count=count, ends_at=ends_at) if count >= site.challenges.curve.cap:
            return Limited(_seconds(ends_at - now))
        case Counted(count=step):
            pass
    match await own.traffic.asked(site.key, client, network, now):
        case Full(until=until):
            return Limited(_seconds(until - now))
        case Hardening() as state:
            return Granted(now, network, step, state)


def _seconds(until: float) -> int:
    return max(1, math.ceil(until))
