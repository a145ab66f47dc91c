"""Puts a checked configuration together: verifiers and the table of routes.

Pure construction: nothing here decides about a request. What only shows when settings meet is checked here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caputchin_gate.addresses import Address
from caputchin_gate.config import Configuration
from caputchin_gate.config.provider_tables import InProcessProvider
from caputchin_gate.config.route_tables import GuardedRoute
from caputchin_gate.endpoints.caputchin_files import HOST, WIDGET
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.policy import OwnPath, Terms
from caputchin_gate.providers import Upstream
from caputchin_gate.receipt import USES, Receipts
from caputchin_gate.routes import RouteTable, Rule
from caputchin_gate.secret import Secret
from caputchin_gate.stores import AwaitedStore, Store
from caputchin_gate.submissions import SubmissionLimit
from caputchin_gate.tokens import Places
from caputchin_gate.verification import Demands, Verifier

if TYPE_CHECKING:
    from caputchin_gate.endpoints.sites import Endpoints


def submission_limit(configuration: Configuration, store: Store) -> SubmissionLimit | None:
    most = configuration.limits["submissions_per_minute"]
    if most is None:
        return None
    own = configuration.in_process
    keys = signing_keys(own["signing_key"], store)
    counting_key = hmac.digest(keys[0], b"caputchin_gate counting submissions", "sha256")
    return SubmissionLimit(most, counting_key, own["ipv6_prefix"])


def signing_keys(configured: Sequence[Secret], store: Store) -> tuple[bytes, ...]:
    """The keys in use: the first signs, all verify. Without configured ones the store's own.

    The store is looked at in any case: a process that has seen it notices when it is another one later. One on another
    machine may be away at the moment, if nothing of it is needed now.
    """
    try:
        own = store.signing_key()
    except ConfigurationError:
        if not (configured and isinstance(store, AwaitedStore)):
            raise
    if not configured:
        return (own,)
    return tuple(hashlib.sha256(key.reveal().encode()).digest() for key in configured)


def verifiers_of(configuration: Configuration, endpoints: Endpoints | None) -> dict[str, Verifier]:
    verifiers: dict[str, Verifier] = {}
    for name, provider in configuration.providers.items():
        match provider:
            case InProcessProvider() if endpoints is not None:
                from caputchin_gate.own_sites import verifier_of  # only who verifies in process pays for it

                verifiers[name] = verifier_of(provider, configuration, endpoints)
            case InProcessProvider():
                raise LookupError("in-process verification without endpoints")
            case Upstream():
                verifiers[name] = provider
    return verifiers


def route_table(
    configuration: Configuration, verifiers: Mapping[str, Verifier], endpoints: Endpoints | None, store: Store
) -> RouteTable[Terms | OwnPath]:
    rules: list[Rule[Terms | OwnPath]] = []
    front_proxy = configuration.top["forward_auth"]
    if endpoints is not None or front_proxy is not None:
        mount = configuration.in_process["mount"]
        rules.append(Rule(f"* {mount}/{{rest:path}}", OwnPath(mount, endpoints, front_proxy), own=True))
    keys = signing_keys(configuration.in_process["signing_key"], store) if configuration.has_receipts else ()
    for route in configuration.routes:
        terms = _terms(route, configuration, verifiers, keys)
        overrides = route.table["method_override"]
        rules.append(Rule(route.match, terms, overrides, if_needed=route.if_needed, marked=route.marked))
    return RouteTable(rules, configuration.top["exempt"] if configuration.routes else (), _tempered)


def _tempered(marked: Terms | OwnPath, other: Terms | OwnPath) -> Terms | OwnPath:
    """A refusal that a marked view takes might reach its neighbour, if the same path leads there: it goes on only where
    the neighbour's rule lets it.
    """
    match marked, other:
        case Terms(on_refuse="pass"), Terms(on_refuse="pass"):
            return marked
        case Terms(on_refuse="pass"), _:
            return replace(marked, on_refuse="respond")
        case _:
            return marked


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
    sites = sorted(site["site_key"] for site in configuration.sites_served)
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
    if top["mode"] == "report":
        yield Problem(
            "mode", "is report: whatever is decided, no request is refused", 'end the trial with mode = "enforce"'
        )
    if {"0.0.0.0/0", "::/0"} & set(top["trusted_proxies"]):
        yield Problem("trusted_proxies", "trusts everybody: every client chooses the address it is known by")
    if configuration.sidecar["upstream"] and not top["trusted_proxies"]:
        yield from _unknown_proxies(configuration.sidecar["listen"])
    for name, provider in configuration.providers.items():
        if isinstance(provider, Upstream):
            path = "provider" if name == configuration.default_provider else f"providers.{name}"
            yield from (Problem(path, warning) for warning in provider.warnings())
            if provider.allow_test_keys:
                setting = "allow_test_keys" if top["allow_test_keys"] else f"{path}.allow_test_keys"
                yield Problem(setting, f"is on: the public test keys of {name} let everybody in")
    if top["forward_auth"] is not None:
        for route in configuration.routes:
            if not {"query", "cookie"} & set(route.option("token_from", top) or ()):
                what = "a form's token is in the body, which forward-auth never sees"
                fix = 'with token_from = ["header", "cookie"] a page can carry it in a cookie'
                yield Problem(route.path, what, fix)
    if configuration.verifies_in_process and top["allow_test_keys"]:
        yield Problem("allow_test_keys", "is on: siteverify says yes to secrets that everybody knows")
    if top["store"] == "memory" and configuration.uses_store:
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
