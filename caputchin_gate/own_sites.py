"""Puts in-process verification together: the sites, the protocols that each speaks, and what the gate's own paths know.

Only a gate that verifies in process loads this, and with it the protocols.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.config import Configuration
from caputchin_gate.config.provider_tables import InProcessProvider
from caputchin_gate.endpoints.caputchin_files import files_of
from caputchin_gate.endpoints.files import File
from caputchin_gate.endpoints.sites import Endpoints, Site
from caputchin_gate.endpoints.siteverify.test_keys import SITE_KEYS as TEST_SITE_KEYS
from caputchin_gate.engines import Engine, purpose_key
from caputchin_gate.engines.cap import CapChallenges
from caputchin_gate.engines.caputchin import CaputchinSessions, EitherToken
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.rsw import TimeLock
from caputchin_gate.quotas import Quota
from caputchin_gate.traffic import Traffic
from caputchin_gate.verification import InProcess

if TYPE_CHECKING:
    from caputchin_gate.engines.altcha.challenges import AltchaChallenges


def own_endpoints(
    configuration: Configuration, keys: Sequence[bytes], clock: Clock, trusted: TrustedProxies, log_key: bytes
) -> Endpoints:
    """keys: the first signs, all verify"""
    own = configuration.in_process
    kinds = _kinds_in_process(configuration)
    time_lock = _time_lock(configuration, keys) if kinds & {"cap", "caputchin"} else None
    cap = _cap_challenges(configuration, keys, time_lock) if "cap" in kinds else {}
    caputchin = _caputchin_sessions(configuration, keys, time_lock) if "caputchin" in kinds else {}
    altcha = _altcha_challenges(configuration, keys) if "altcha" in kinds else {}
    sites = {
        site["site_key"]: Site(
            _native_challenges(configuration, keys, site["site_key"], site["domains"]),
            secrets=site["secret"],
            domains=frozenset(host.lower() for host in site["domains"]),
            cap=cap.get(site["site_key"]),
            altcha=altcha.get(site["site_key"]),
            caputchin=caputchin.get(site["site_key"]),
            status=site["status"],
            quota=_quota(site),
            dialects=site["dialects"],
            actions=site["actions"],
            score=site["score"] if site["v3"] else None,
        )
        for site in configuration.sites_served
    }
    counting_key = hmac.digest(keys[0], b"caputchin_gate counting clients", "sha256")
    watch = replace(own["hardening"]["watch"], most_in_all=own["challenges_per_minute_in_all"])
    test_keys = TEST_SITE_KEYS if configuration.top["allow_test_keys"] else ()
    return Endpoints(
        own["mount"],
        sites,
        clock,
        trusted,
        counting_key,
        Traffic(sites, counting_key, watch),
        caputchin_files=_caputchin_files(own) if "caputchin" in kinds else {},
        ipv6_prefix=own["ipv6_prefix"],
        test_sites={key: Site(_native_challenges(configuration, keys, key)) for key in test_keys},
        verifications_per_minute=own["verifications_per_minute"],
        wrong_secrets_per_minute=own["wrong_secrets_per_minute"],
        log_key=log_key,
    )


def _native_challenges(
    configuration: Configuration, keys: Sequence[bytes], site_key: str, domains: Sequence[str] = ()
) -> NativeChallenges:
    own = configuration.in_process
    return NativeChallenges(
        keys,
        site_key=site_key,
        lifetime=int(own["lifetime"]),
        binding=own["client_binding"],
        cap=own["challenges_per_minute"],
        multipliers=own["hardening"]["multipliers"],
        hosts=tuple(host.lower() for host in domains),
    )


def _quota(site: Mapping[str, Any]) -> Quota | None:
    if site["quota"] is None:
        return None
    return Quota(site["site_key"], site["quota"], refuses=site["over_quota"] == "refuse")


def _kinds_in_process(configuration: Configuration) -> set[str]:
    providers = configuration.providers.values()
    return {provider.kind for provider in providers if isinstance(provider, InProcessProvider)}


def _time_lock(configuration: Configuration, keys: Sequence[bytes]) -> TimeLock | None:
    """Making the primes of squarings takes a moment, and all sites share them."""
    squarings = configuration.in_process["cap"]["work"].squarings
    return TimeLock(purpose_key(keys[0], "cap squarings"), squarings) if squarings else None


def _cap_challenges(
    configuration: Configuration, keys: Sequence[bytes], time_lock: TimeLock | None
) -> dict[str, CapChallenges]:
    """Cap's side of each site."""
    own = configuration.in_process
    cap = own["cap"]
    return {
        site["site_key"]: CapChallenges(
            keys,
            site_key=site["site_key"],
            work=cap["work"],
            binding=own["client_binding"],
            challenge_lifetime=int(cap["lifetime"]),
            token_lifetime=int(cap["token_lifetime"]),
            time_lock=time_lock,
            multipliers=cap["multipliers"],
        )
        for site in configuration.sites_served
    }


def _caputchin_sessions(
    configuration: Configuration, keys: Sequence[bytes], time_lock: TimeLock | None
) -> dict[str, CaputchinSessions]:
    """Caputchin's side of each site: its work is Cap's."""
    own = configuration.in_process
    cap = own["cap"]
    return {
        site["site_key"]: CaputchinSessions(
            keys,
            site_key=site["site_key"],
            work=cap["work"],
            binding=own["client_binding"],
            challenge_lifetime=int(cap["lifetime"]),
            time_lock=time_lock,
            multipliers=cap["multipliers"],
        )
        for site in configuration.sites_served
    }


def _caputchin_files(own: Mapping[str, Any]) -> Mapping[str, File]:
    """Without a public origin the gate is on the origin of its pages, whatever that is: no client tells it."""
    origin = own["caputchin"]["public_origin"] or ""
    return files_of(own["caputchin"]["widget"] or {}, origin + own["mount"])


def _altcha_challenges(configuration: Configuration, keys: Sequence[bytes]) -> dict[str, AltchaChallenges]:
    from caputchin_gate.engines.altcha.challenges import AltchaChallenges  # only who has this kind pays for it

    own = configuration.in_process
    return {
        site["site_key"]: AltchaChallenges(
            keys,
            site_key=site["site_key"],
            algorithm=own["altcha"]["algorithm"],
            lifetime=int(own["lifetime"]),
            binding=own["client_binding"],
            cap=own["challenges_per_minute"],
            multipliers=own["hardening"]["multipliers"],
        )
        for site in configuration.sites_served
    }


def _engine(kind: str, site: Site) -> Engine:
    """What judges the tokens of a kind."""
    if kind == "cap" and site.cap is not None:
        return site.cap
    if kind == "altcha" and site.altcha is not None:
        return site.altcha
    if kind == "caputchin" and site.caputchin is not None:
        return EitherToken(site.caputchin, site.challenges)
    return site.challenges


def _foreign_engines(kind: str, configuration: Configuration) -> tuple[Engine, ...]:
    """What judges tokens of a kind that others have signed with a secret of ours."""
    secret = configuration.in_process["altcha"]["sentinel_secret"] if kind == "altcha" else None
    if secret is None:
        return ()
    from caputchin_gate.engines.altcha.server_signature import ServerSignatures

    return (ServerSignatures(secret),)


def verifier_of(provider: InProcessProvider, configuration: Configuration, endpoints: Endpoints) -> InProcess:
    """What judges the tokens that a provider's table names: the engines of all sites that are served."""
    kind = provider.kind
    sites = [site for site in endpoints.sites.values() if site.is_served]
    engines = (*_foreign_engines(kind, configuration), *(_engine(kind, site) for site in sites))
    quotas = {site.key: site.quota for site in sites if site.quota is not None}
    return InProcess(kind, provider.token_field, engines, quotas, configuration.in_process["ipv6_prefix"])
