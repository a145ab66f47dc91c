"""Puts a checked configuration together: verifiers, the gate's own sites, the table of routes.

Pure construction: nothing here decides about a request. What only shows when settings meet is checked here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from caputchin_gate.addresses import Address
from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.clock import Clock
from caputchin_gate.config import Configuration
from caputchin_gate.endpoints import Endpoints, Site
from caputchin_gate.endpoints.caputchin_files import HOST, WIDGET, files_of
from caputchin_gate.endpoints.files import File
from caputchin_gate.endpoints.siteverify.test_keys import SITE_KEYS as TEST_SITE_KEYS
from caputchin_gate.engines import Engine, purpose_key
from caputchin_gate.engines.cap import CapChallenges
from caputchin_gate.engines.caputchin import CaputchinSessions, EitherToken
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.rsw import TimeLock
from caputchin_gate.errors import Problem
from caputchin_gate.policy import OwnPath, Terms
from caputchin_gate.provider_tables import InProcessProvider
from caputchin_gate.providers import Upstream
from caputchin_gate.quotas import Quota
from caputchin_gate.receipt import USES, Receipts
from caputchin_gate.route_tables import GuardedRoute
from caputchin_gate.routes import RouteTable, Rule
from caputchin_gate.secret import Secret
from caputchin_gate.settings import SITE
from caputchin_gate.stores import Store
from caputchin_gate.submissions import SubmissionLimit
from caputchin_gate.tokens import Places
from caputchin_gate.traffic import Traffic
from caputchin_gate.verification import Demands, InProcess, Verifier

if TYPE_CHECKING:
    from caputchin_gate.engines.altcha.challenges import AltchaChallenges

_DEFAULT_SITE: Final[Mapping[str, Any]] = {
    **{name: setting.default for name, setting in SITE.items()},
    "site_key": "default",
}


def own_endpoints(
    configuration: Configuration, store: Store, clock: Clock, trusted: TrustedProxies, log_key: bytes
) -> Endpoints:
    own = configuration.in_process
    keys = _signing_keys(own["signing_key"], store)
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
        for site in configuration.sites or (_DEFAULT_SITE,)
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


def submission_limit(configuration: Configuration, store: Store) -> SubmissionLimit | None:
    most = configuration.limits["submissions_per_minute"]
    if most is None:
        return None
    own = configuration.in_process
    keys = _signing_keys(own["signing_key"], store)
    counting_key = hmac.digest(keys[0], b"caputchin_gate counting submissions", "sha256")
    return SubmissionLimit(most, counting_key, own["ipv6_prefix"])


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
        for site in configuration.sites or (_DEFAULT_SITE,)
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
        for site in configuration.sites or (_DEFAULT_SITE,)
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
        for site in configuration.sites or (_DEFAULT_SITE,)
    }


def _signing_keys(configured: Sequence[Secret], store: Store) -> tuple[bytes, ...]:
    """The keys in use: the first signs, all verify. Without configured ones the store's own."""
    if not configured:
        return (store.signing_key(),)
    return tuple(hashlib.sha256(key.reveal().encode()).digest() for key in configured)


def verifiers_of(configuration: Configuration, endpoints: Endpoints | None) -> dict[str, Verifier]:
    verifiers: dict[str, Verifier] = {}
    for name, provider in configuration.providers.items():
        match provider:
            case InProcessProvider(kind=kind, token_field=token_field):
                sites = [site for site in endpoints.sites.values() if site.is_served] if endpoints else []
                engines = (*_foreign_engines(kind, configuration), *(_engine(kind, site) for site in sites))
                quotas = {site.key: site.quota for site in sites if site.quota is not None}
                prefix = configuration.in_process["ipv6_prefix"]
                verifiers[name] = InProcess(kind, token_field, engines, quotas, prefix)
            case Upstream():
                verifiers[name] = provider
    return verifiers


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


def route_table(
    configuration: Configuration, verifiers: Mapping[str, Verifier], endpoints: Endpoints | None, store: Store
) -> RouteTable[Terms | OwnPath]:
    rules: list[Rule[Terms | OwnPath]] = []
    front_proxy = configuration.top["forward_auth"]
    if endpoints is not None or front_proxy is not None:
        mount = configuration.in_process["mount"]
        rules.append(Rule(f"* {mount}/{{rest:path}}", OwnPath(mount, endpoints, front_proxy), own=True))
    keys = _signing_keys(configuration.in_process["signing_key"], store) if configuration.has_receipts else ()
    for route in configuration.routes:
        terms = _terms(route, configuration, verifiers, keys)
        rules.append(Rule(route.match, terms, route.table["method_override"], if_needed=route.if_needed))
    return RouteTable(rules, configuration.top["exempt"] if configuration.routes else ())


def _terms(
    route: GuardedRoute,
    configuration: Configuration,
    verifiers: Mapping[str, Verifier],
    receipt_keys: Sequence[bytes],
) -> Terms:
    table = route.table
    named = (verifiers[name] for name in table["provider"] or (configuration.default_provider,))
    # Our own tokens are told by their shape, so they are looked at first where two providers share a field.
    chosen = tuple(sorted(named, key=lambda verifier: isinstance(verifier, Upstream)))
    defaults = Terms(chosen, Places(()))

    def setting(name: str, default: Any) -> Any:
        typed = route.option(name, configuration.top)
        return typed if typed is not None else default

    demands = Demands(
        hostnames=frozenset(host.lower() for host in table["hostnames"]),
        action=table["action"],
        min_score=table["min_score"],
        max_score=table["max_score"],
        max_age=table["max_age"],
    )
    lifetime = int(setting("receipt", 0))
    return Terms(
        verifiers=chosen,
        places=Places(
            fields=tuple(dict.fromkeys(verifier.token_field for verifier in chosen)),
            sources=setting("token_from", defaults.places.sources),
            json_pointer=table["json_pointer"],
        ),
        demands=demands,
        admit_outages=setting("on_outage", "refuse") == "admit",
        max_body=setting("max_body", defaults.max_body),
        max_memory=setting("max_memory", defaults.max_memory),
        on_refuse=setting("on_refuse", "respond"),
        back=setting("back", None),
        receipts=Receipts(
            receipt_keys,
            match=route.match,
            asked=_asked(chosen, demands, configuration),
            lifetime=lifetime,
            uses=setting("receipt_uses", USES),
        )
        if lifetime
        else None,
    )


def _asked(verifiers: Sequence[Verifier], demands: Demands, configuration: Configuration) -> str:
    """What a token has to be good for to earn a receipt: gates that share a store share the key of their receipts."""
    sites = sorted(site["site_key"] for site in configuration.sites or (_DEFAULT_SITE,))
    accounts = [
        [verifier.kind, verifier.url, verifier.revealed_secret]
        if isinstance(verifier, Upstream)
        else [verifier.kind, *sites]
        for verifier in verifiers
    ]
    bounds = [demands.action, demands.min_score, demands.max_score, demands.max_age]
    return json.dumps([accounts, sorted(demands.hostnames), bounds])


def warnings_of(configuration: Configuration) -> Iterator[Problem]:
    """What is right but risky."""
    top = configuration.top
    if {"0.0.0.0/0", "::/0"} & set(top["trusted_proxies"]):
        yield Problem("trusted_proxies", "trusts everybody: every client chooses the address it is known by")
    if configuration.sidecar["upstream"] and not top["trusted_proxies"]:
        yield from _unknown_proxies(configuration.sidecar["listen"])
    for name, provider in configuration.providers.items():
        if isinstance(provider, Upstream):
            path = "provider" if name == configuration.default_provider else f"providers.{name}"
            yield from (Problem(path, warning) for warning in provider.warnings())
    if top["forward_auth"] is not None:
        for route in configuration.routes:
            if not {"query", "cookie"} & set(route.option("token_from", top) or ()):
                what = "a form's token is in the body, which forward-auth never sees"
                fix = 'with token_from = ["header", "cookie"] a page can carry it in a cookie'
                yield Problem(route.path, what, fix)
    own = any(isinstance(provider, InProcessProvider) for provider in configuration.providers.values())
    needs_store = own or configuration.has_receipts or configuration.limits["submissions_per_minute"] is not None
    if top["store"] == "memory" and needs_store:
        yield Problem("store", '"memory" knows one process only', 'with several workers use "sqlite"')
    admin = configuration.sidecar["admin"]
    if admin is not None and not admin.is_local:
        yield Problem("sidecar.admin", f"{admin}: everybody who reaches that address reads routes and numbers")
    bundle = configuration.in_process["caputchin"]["widget"]
    if bundle is not None and HOST not in bundle[WIDGET]:
        what = f"{HOST.decode()} does not stand in it, so it is served as it is"
        yield Problem("in_process.caputchin.widget", what)


def _unknown_proxies(listening: Sequence[Address]) -> Iterator[Problem]:
    """Where visitors do not reach the sidecar themselves, what connects is a proxy."""
    for address in listening:
        if address.is_local:
            what = f"is empty, and only a proxy reaches {address}: all its visitors are one client"
            fix = 'name it, as in trusted_proxies = ["unix"]' if address.path else "name its address"
            yield Problem("trusted_proxies", what, fix)
            return
