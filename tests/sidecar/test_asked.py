"""A sidecar that has an application of its own answers front proxies too, as `serve` does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.front_proxies import KINDS, PROXY, GuardedSite, guarded_site
from tests.test_forward_auth_proxies import (
    RULES,
    site,
    test_a_fresh_token_is_admitted_once,
    test_a_guarded_head_is_refused_without_a_body,
    test_a_provider_that_is_down_is_a_503_that_says_when_to_come_back,
    test_a_receipt_is_copied_to_the_visitor_and_admits_the_correction,
    test_a_token_is_bound_to_the_client_that_the_proxy_names,
    test_a_websocket_to_a_guarded_path_is_refused,
    test_an_http_1_0_client_is_judged_alike,
    test_cve_2026_76835_a_peer_that_is_not_trusted_is_not_believed,
    test_ghsa_vjrc_mh2v_45x6_a_forged_verdict_does_not_reach_the_application,
    test_nobody_can_ask_through_the_proxy,
    test_what_no_rule_guards_passes_with_its_body,
    test_without_a_token_the_visitor_sees_the_page_of_the_gate,
)

__all__ = [  # these run here once more, with the site below
    "site",
    "test_a_fresh_token_is_admitted_once",
    "test_a_guarded_head_is_refused_without_a_body",
    "test_a_provider_that_is_down_is_a_503_that_says_when_to_come_back",
    "test_a_receipt_is_copied_to_the_visitor_and_admits_the_correction",
    "test_a_token_is_bound_to_the_client_that_the_proxy_names",
    "test_a_websocket_to_a_guarded_path_is_refused",
    "test_an_http_1_0_client_is_judged_alike",
    "test_cve_2026_76835_a_peer_that_is_not_trusted_is_not_believed",
    "test_ghsa_vjrc_mh2v_45x6_a_forged_verdict_does_not_reach_the_application",
    "test_nobody_can_ask_through_the_proxy",
    "test_what_no_rule_guards_passes_with_its_body",
    "test_without_a_token_the_visitor_sees_the_page_of_the_gate",
]


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedSite]:
    with guarded_site(request.param, tmp_path_factory.mktemp("site"), RULES, how=PROXY) as started:
        yield started
