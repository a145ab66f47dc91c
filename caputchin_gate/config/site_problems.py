"""What can be wrong with the sites of in-process verification, together and with the providers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from caputchin_gate.config.provider_tables import InProcessProvider, Provider
from caputchin_gate.config.tables import Table
from caputchin_gate.engines import LONGEST_SITE_KEY, SITE_KEY_IN_PATHS
from caputchin_gate.errors import Problem


def site_problems(sites: Sequence[Table], provided: Iterable[Provider]) -> Iterator[Problem]:
    if sites:
        yield from _each_told_apart(sites)
        yield from _site_key_problems(provided, sites)


def _each_told_apart(sites: Sequence[Table]) -> Iterator[Problem]:
    """A site is told by its key in pages and paths, and by its secret where other back ends verify."""
    # Only who has sites pays for the endpoints that other back ends ask.
    from caputchin_gate.endpoints.siteverify.paths import RESERVED_SITE_KEYS
    from caputchin_gate.endpoints.siteverify.test_keys import SITE_KEYS as TEST_SITE_KEYS
    from caputchin_gate.endpoints.siteverify.test_keys import is_public

    for index, site in enumerate(sites):
        key, earlier = site["site_key"], sites[:index]
        where = f"in_process.sites[{index}]"
        if key is None:  # which is a problem already
            pass
        elif key in {one["site_key"] for one in earlier}:
            yield Problem(f"{where}.site_key", "stands there twice")
        elif key in RESERVED_SITE_KEYS:
            yield Problem(f"{where}.site_key", f"{key!r} is a path of the gate's own", "choose another one")
        elif key in TEST_SITE_KEYS:
            yield Problem(f"{where}.site_key", "is one of the public test keys", "choose another one")
        if any(is_public(secret.reveal()) for secret in site["secret"]):
            yield Problem(f"{where}.secret", "is one of the public test keys", "make one of your own")
        if not set(site["secret"]).isdisjoint(secret for one in earlier for secret in one["secret"]):
            yield Problem(f"{where}.secret", "is another site's too", "a secret has to tell whose tokens it verifies")


def _site_key_problems(provided: Iterable[Provider], sites: Sequence[Table]) -> Iterator[Problem]:
    """The widgets of some kinds name their site in the path, and Caputchin's tokens name it."""
    kinds = {provider.kind for provider in provided if isinstance(provider, InProcessProvider)}
    for index, site in enumerate(sites):
        where, key = f"in_process.sites[{index}].site_key", site["site_key"]
        if key is not None and kinds & {"cap", "altcha"} and not SITE_KEY_IN_PATHS.fullmatch(key):
            yield Problem(where, "can't stand in a path", "use up to 64 letters, digits, '-' and '_'")
        elif key is not None and "caputchin" in kinds and len(key) > LONGEST_SITE_KEY:
            yield Problem(where, "is too long for a token", f"use up to {LONGEST_SITE_KEY} characters")
