"""The sites that challenges are issued for: whose pages may ask, and how often one client did."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.engines.cap import CapChallenges
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.messages import RequestHead
from caputchin_gate.origins import host_of, host_of_origin
from caputchin_gate.secret import Secret

if TYPE_CHECKING:
    from caputchin_gate.engines.altcha.challenges import AltchaChallenges

COUNT_WINDOW: Final = 60.0

# A widget tells its own clock from ours by Date, and when to come back by Retry-After.
_EXPOSED: Final = {"Access-Control-Expose-Headers": "Date, Retry-After"}


@dataclass(frozen=True, slots=True)
class Site:
    """A site that this gate issues challenges for. Without domains, pages of any origin may ask for one.

    The protocols beside our own are None where no provider needs them, and then have no paths either.
    """

    challenges: NativeChallenges
    secrets: tuple[Secret, ...] = ()
    domains: frozenset[str] = frozenset()
    cap: CapChallenges | None = None
    altcha: AltchaChallenges | None = None

    @property
    def key(self) -> str:
        return self.challenges.site_key

    def owns(self, presented: str) -> bool:
        """Whether this is a secret of the site. Each is compared, in constant time."""
        typed = presented.encode("utf-8", "surrogatepass")  # JSON can spell what UTF-8 can't
        matches = [hmac.compare_digest(typed, secret.reveal().encode()) for secret in self.secrets]
        return any(matches)

    def serves(self, head: RequestHead) -> bool:
        """Whether the page that asks is one of this site's."""
        origin = head.header("origin")
        return not self.domains or host_of(origin or head.header("referer")) in self.domains


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the gate's own paths need to know."""

    mount: str
    sites: Mapping[str, Site]
    clock: Clock
    trusted_proxies: TrustedProxies
    counting_key: bytes


def count_key(own: Endpoints, site: Site, network: str | None) -> bytes:
    """Clients are counted under a keyed hash: the store never learns an address.

    One client is counted over all sites, else each further site would begin its curve anew. Who has no address is
    counted by site.
    """
    message = (network if network is not None else f"site {site.key}").encode()
    return hashlib.blake2b(message, key=own.counting_key, digest_size=16).digest()


def cors(origin: str | None, site: Site) -> dict[str, str]:
    """Error answers need these too: without them a page sees a network error instead of the answer."""
    if not site.domains:
        return {"Access-Control-Allow-Origin": "*", **_EXPOSED}
    if origin is not None and host_of_origin(origin) in site.domains:
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **_EXPOSED}
    return {"Vary": "Origin"}
