"""The sites that challenges are issued for: whose pages may ask, and how often one client did."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from caputchin_gate.client_address import TrustedProxies, client_of, network_of
from caputchin_gate.clock import Clock
from caputchin_gate.effects import StoreDown
from caputchin_gate.endpoints.files import File
from caputchin_gate.engines import Engine
from caputchin_gate.messages import RequestHead
from caputchin_gate.origins import host_of, host_of_origin
from caputchin_gate.quotas import Quota
from caputchin_gate.secret import Secret
from caputchin_gate.site_terms import Status
from caputchin_gate.traffic import Traffic

if TYPE_CHECKING:
    from caputchin_gate.engines.altcha.challenges import AltchaChallenges
    from caputchin_gate.engines.cap import CapChallenges
    from caputchin_gate.engines.caputchin import CaputchinSessions
    from caputchin_gate.engines.native import NativeChallenges

COUNT_WINDOW: Final = 60.0

# A widget tells its own clock from ours by Date, and when to come back by Retry-After.
_EXPOSED: Final = {"Access-Control-Expose-Headers": "Date, Retry-After"}


# Status and error code of each that is not served.
NOT_SERVED: Final[Mapping[Status, tuple[int, str]]] = {
    Status.SUSPENDED: (402, "account_suspended"),
    Status.DEACTIVATED: (403, "account_deactivated"),
    Status.INACTIVE: (403, "project_inactive"),
}


@dataclass(frozen=True, slots=True)
class Site:
    """A site that this gate issues challenges for. Without domains, pages of any origin may ask for one.

    The protocols beside our own are None where no provider needs them, and then have no paths either.

    dialects: those that siteverify answers in, None for all
    actions:  that its pages name; what a token was solved for is found by trying them
    score:    the constant that reCAPTCHA's version 3 is told, None for a site that isn't of that version
    """

    challenges: NativeChallenges
    secrets: tuple[Secret, ...] = ()
    domains: frozenset[str] = frozenset()
    cap: CapChallenges | None = None
    altcha: AltchaChallenges | None = None
    caputchin: CaputchinSessions | None = None
    status: Status = Status.ACTIVE
    quota: Quota | None = None
    dialects: frozenset[str] | None = None
    actions: tuple[str, ...] = ()
    score: float | None = None

    @property
    def key(self) -> str:
        return self.challenges.site_key

    @property
    def is_served(self) -> bool:
        return self.status is Status.ACTIVE

    @property
    def engines(self) -> tuple[Engine, ...]:
        """All that may know a token of this site; a token is told apart by its shape."""
        others: tuple[Engine | None, ...] = (self.cap, self.altcha, self.caputchin)
        return (self.challenges, *(engine for engine in others if engine is not None))

    def owns(self, presented: str) -> bool:
        """Whether this is a secret of the site. Each is compared, in constant time."""
        typed = presented.encode("utf-8", "surrogatepass")  # JSON can spell what UTF-8 can't
        matches = [hmac.compare_digest(typed, secret.reveal().encode()) for secret in self.secrets]
        return any(matches)

    def serves(self, head: RequestHead) -> bool:
        """Whether the page that asks is one of this site's."""
        return not self.domains or host_of_page(head) in self.domains


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the gate's own paths need to know.

    caputchin_files:          what is served below caputchin/, by name
    test_sites:               the gate's test keys and their challenges, where they are allowed
    verifications_per_minute: for one client network, over all dialects of siteverify
    wrong_secrets_per_minute: how many of those may be with a secret that is none
    log_key:                  the same token is the same word in the log
    """

    mount: str
    sites: Mapping[str, Site]
    clock: Clock
    trusted_proxies: TrustedProxies
    counting_key: bytes
    traffic: Traffic = field(default_factory=Traffic)
    caputchin_files: Mapping[str, File] = field(default_factory=dict)
    ipv6_prefix: int = 64
    test_sites: Mapping[str, Site] = field(default_factory=dict)
    verifications_per_minute: int = 600
    wrong_secrets_per_minute: int = 60
    log_key: bytes = b""

    def network_of(self, head: RequestHead) -> str | None:
        """What stands for the client that asks, where it is counted or bound."""
        client = client_of(head, self.trusted_proxies)
        return network_of(client, self.ipv6_prefix) if client is not None else None


async def why_not_served(site: Site, now: float) -> tuple[int, str] | None:
    """Status and error code for a site that gets no challenges at the moment, None for one that does."""
    if not site.is_served:
        return NOT_SERVED[site.status]
    match await site.quota.ends_challenges(now) if site.quota is not None else False:
        case StoreDown():
            return 503, "unavailable"
        case True:
            return 403, "free_tier_limit_reached"
        case False:
            return None


def count_key(own: Endpoints, site: Site, network: str | None) -> bytes:
    """Clients are counted under a keyed hash: the store never learns an address.

    One client is counted over all sites, else each further site would begin its curve anew. Who has no address is
    counted by site.
    """
    message = (network if network is not None else f"site {site.key}").encode()
    return hashlib.blake2b(message, key=own.counting_key, digest_size=16).digest()


def host_of_page(head: RequestHead) -> str:
    """The host of the page that asks, as its browser says; empty where it doesn't."""
    return host_of(head.header("origin") or head.header("referer"))


def cors(origin: str | None, site: Site) -> dict[str, str]:
    """Error answers need these too: without them a page sees a network error instead of the answer."""
    if not site.domains:
        return {"Access-Control-Allow-Origin": "*", **_EXPOSED}
    if origin is not None and host_of_origin(origin) in site.domains:
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **_EXPOSED}
    return {"Vary": "Origin"}
