"""captchaapi.eu's accounts in process (captchaapi.md 4, 5, 8): standing, quotas, rotation, networks."""

from __future__ import annotations

import itertools
import json
import logging
from typing import Any

import pytest

from caputchin_gate import Passed
from caputchin_gate.effects import BodyEnd, StoreDown
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.policy import Admit
from caputchin_gate.verdict import Decision
from tests.siteverify_calls import CALLS, FORM, JSON, SECRETS, SITES, Site, Told

SHOP = SECRETS["shop"]
END_OF_JANUARY = 1_801_439_999.0  # 2027-01-31, 23:59:59 UTC
ORIGIN = "https://shop.example"


def site_with(**settings: Any) -> Site:
    return Site(sites=[{**SITES[0], **settings}])


def said(response: Response) -> tuple[int, Any]:
    return response.status, json.loads(response.body).get("error_code")


def allowed_origin(response: Response) -> str | None:
    return dict(response.headers).get("Access-Control-Allow-Origin")


# Standing


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("suspended", (402, "account_suspended")),
        ("deactivated", (403, "account_deactivated")),
        ("inactive", (403, "project_inactive")),
    ],
)
class TestStanding:
    def test_a_site_that_is_not_served_gets_no_challenge(self, status: str, expected: tuple[int, str]) -> None:
        """Whoever asks, and before anything else is looked at but the site key."""
        site = site_with(status=status, quota=1, over_quota="refuse")
        for origin in (ORIGIN, "https://evil.example"):
            assert said(site.challenge(origin=origin)) == expected
        assert allowed_origin(site.challenge()) == ORIGIN
        assert said(site.challenge("nobody")) == (422, "invalid_site_key")
        altcha = site.send("altcha/shop/challenge", method="GET", headers={"origin": ORIGIN})
        assert said(altcha) == expected
        body = json.dumps({"platform": {"sitekey": "shop"}}).encode()
        caputchin = site.send("v1/verify/start", body, headers={"origin": ORIGIN})
        assert (caputchin.status, json.loads(caputchin.body)["error"]) == (expected[0], expected[1].replace("_", "-"))
        cap = site.send("cap/shop/challenge", headers={"origin": ORIGIN})
        assert (cap.status, json.loads(cap.body)["error"], json.loads(cap.body)["reason"]) == (
            expected[0],
            "Blocked",
            expected[1],
        )
        site.gate.close()

    def test_its_tokens_verify_nowhere(self, status: str, expected: tuple[int, str]) -> None:
        before, now = site_with(), site_with(status=status)
        token = before.native()
        told = now.ask("captchaapi", SHOP, token)
        assert told.status == expected[0]
        assert told.members == {"success": False, "error_code": expected[1], "over_limit": False}
        for dialect in CALLS.keys() - {"captchaapi"}:
            told = now.ask(dialect, SHOP, token)
            assert not any(told.members.get(name) for name in ("success", "verified", "valid"))
            assert told.codes in (None, ["invalid-input-secret"])
        assert not isinstance(now.gate.verify(token), Passed)
        assert isinstance(before.gate.verify(token), Passed)
        before.gate.close()
        now.gate.close()

    def test_a_wrong_secret_is_told_before_it(self, status: str, expected: tuple[int, str]) -> None:
        site = site_with(status=status)
        assert site.ask("captchaapi", "wrong", "x").status == 401
        site.gate.close()


def test_other_sites_are_served_all_the_same() -> None:
    site = Site(sites=[{**SITES[0], "status": "suspended"}, SITES[1]])
    assert site.passes("recaptcha", SECRETS["blog"], site.native("blog"))
    assert isinstance(site.gate.verify(site.native("blog")), Passed)
    site.gate.close()


# Quotas


class TestQuota:
    def test_past_it_visitors_are_served_and_their_site_is_told(self) -> None:
        site = site_with(quota=2)
        told = [site.ask("captchaapi", SHOP, site.native()).members for _ in range(3)]
        assert [one["over_limit"] for one in told] == [False, False, True]
        assert all(one["success"] and one["error_code"] is None for one in told)
        assert site.ask("captchaapi", SHOP, "x").members["over_limit"] is True
        assert site.ask("captchaapi", "wrong", "x").members["over_limit"] is False
        site.gate.close()

    def test_or_no_challenge_is_issued_any_more(self) -> None:
        site = site_with(quota=2, over_quota="refuse")
        tokens = [site.native() for _ in range(3)]
        assert [site.ask("captchaapi", SHOP, token).members["over_limit"] for token in tokens[:2]] == [False, False]
        refused = site.challenge()
        assert said(refused) == (403, "free_tier_limit_reached")
        assert allowed_origin(refused) == ORIGIN
        assert said(site.challenge(origin="https://evil.example")) == (403, "free_tier_limit_reached")
        assert site.send("cap/shop/challenge", headers={"origin": ORIGIN}).status == 403
        last = site.ask("captchaapi", SHOP, tokens[2]).members
        assert (last["success"], last["over_limit"]) == (True, True)
        site.gate.close()

    def test_a_month_is_a_calendar_month_of_utc(self) -> None:
        site = site_with(quota=1, over_quota="refuse")
        site.now = END_OF_JANUARY
        assert site.passes("captchaapi", SHOP, site.native())
        assert said(site.challenge()) == (403, "free_tier_limit_reached")
        site.now += 1
        assert site.challenge().status == 200
        site.gate.close()

    def test_only_what_passed_is_counted_once_in_whatever_dialect(self) -> None:
        site = site_with(quota=len(CALLS))
        for dialect in CALLS:
            token = site.native()
            assert [site.passes(dialect, SHOP, token) for _ in range(2)] == [True, False]
            site.ask(dialect, SHOP, "A" * 32 + ".1")
            site.ask(dialect, "wrong", token)
        assert site.ask("captchaapi", SHOP, "x").members["over_limit"] is False
        assert site.ask("captchaapi", SHOP, site.native()).members["over_limit"] is True
        site.gate.close()

    def test_each_site_has_its_own(self) -> None:
        site = Site(sites=[{**one, "quota": 1} for one in SITES])
        assert site.passes("captchaapi", SHOP, site.native())
        assert site.ask("captchaapi", SECRETS["blog"], site.native("blog")).members["over_limit"] is False
        site.gate.close()

    def test_a_store_that_does_not_count_makes_no_right_token_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = site_with(quota=1, over_quota="refuse")
        token, count = site.native(), type(site.gate._store).count
        monkeypatch.setattr(
            type(site.gate._store),
            "count",
            lambda self, key, window, now, times: count(self, key, window, now, times) if window < 99 else StoreDown(),
        )
        told = site.ask("captchaapi", SHOP, token).members
        assert (told["success"], told["over_limit"]) == (True, False)
        refused = site.challenge()
        assert said(refused) == (503, "unavailable")
        assert dict(refused.headers)["Retry-After"] == "5"
        site.gate.close()

    def test_the_gates_own_routes_count_and_warn(self, caplog: pytest.LogCaptureFixture) -> None:
        site = site_with(quota=1)
        decisions: list[Decision] = []
        site.gate.on_decision(decisions.append)
        with caplog.at_level(logging.INFO, "caputchin_gate"):
            for _ in range(2):
                body = iter([f"caputchin-token={site.native()}".encode()])
                head = RequestHead("POST", "/contact", headers={"content-type": (FORM,)})
                ruling = site.gate.handle(head, lambda _, body=body: next(body, BodyEnd.COMPLETE))  # type: ignore[misc]
                assert isinstance(ruling, Admit)
        verdicts = [decision.verdict for decision in decisions]
        assert [isinstance(one, Passed) and one.details.get("over_limit", False) for one in verdicts] == [False, True]
        levels = [record.levelno for record in caplog.records if getattr(record, "event", "") == "decision"]
        assert levels == [logging.INFO, logging.WARNING]
        assert "over-quota" in caplog.text
        assert site.ask("captchaapi", SHOP, "x").members["over_limit"] is True
        site.gate.close()

    @pytest.mark.parametrize("kind", ["sqlite", "memory"])
    def test_a_new_signing_key_does_not_begin_the_count_anew(self, kind: str, tmp_path: Any) -> None:
        store = f"sqlite://{tmp_path}/gate.db" if kind == "sqlite" else "memory"
        first = Site(sites=[{**SITES[0], "quota": 1}], store=store)
        assert first.passes("captchaapi", SHOP, first.native())
        if kind == "sqlite":
            first.gate.close()
            keys = ["another signing key of more than 32 characters", "a signing key that only these tests use"]
            first = Site(sites=[{**SITES[0], "quota": 1}], store=store, in_process={"signing_key": keys})
        assert first.ask("captchaapi", SHOP, first.native()).members["over_limit"] is True
        first.gate.close()


# Rotation, over restarts


OLD, NEW = "the old signing key, of more than 32 characters", "the new signing key, of more than 32 characters"


@pytest.mark.parametrize("kind", ["native", "cap", "altcha", "caputchin"])
def test_a_signing_key_is_rotated_without_losing_a_visitor(kind: str, tmp_path: Any) -> None:
    """As the documentation says: the new key second on all machines, then first, then alone."""
    store = f"sqlite://{tmp_path}/gate.db"

    def restarted(*keys: str) -> Site:
        return Site(store=store, in_process={"signing_key": list(keys)})

    steps = [restarted(OLD), restarted(OLD, NEW), restarted(NEW, OLD), restarted(NEW)]
    for before, after in itertools.pairwise(steps):
        for issuer, checker in ((before, after), (after, before)):  # while they are restarted, both are at work
            assert checker.passes("recaptcha", SHOP, getattr(issuer, kind)())
    token = getattr(steps[1], kind)()
    assert [one.passes("recaptcha", SHOP, token) for one in (steps[3], steps[2], steps[2])] == [False, True, False]
    for one in steps:
        one.gate.close()


def test_a_secret_is_rotated_without_losing_a_call() -> None:
    old, new = "the-old-secret-of-the-shop", "the-new-secret-of-the-shop"
    steps = [site_with(secret=secrets) for secrets in (old, [old, new], [new, old], new)]
    for dialect in CALLS:
        works = [[step.passes_or_not(dialect, secret) for secret in (old, new)] for step in map(Caller, steps)]
        assert works == [[True, False], [True, True], [True, True], [False, True]]
    for step in steps:
        step.gate.close()


class Caller:
    def __init__(self, site: Site) -> None:
        self.site = site

    def passes_or_not(self, dialect: str, secret: str) -> bool:
        told = self.site.ask(dialect, secret, self.site.native())
        return CALLS[dialect].passed(told.status, {"success": 0, "verified": 0, "valid": 0, **told.members})


# CORS


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", {"site_key": "shop"}, 200),
        ("POST", {"site_key": "shop", "action": 7}, 400),
        ("POST", {"site_key": "nobody"}, 422),
        ("GET", {}, 405),
        ("OPTIONS", {}, 204),
    ],
)
def test_pages_can_read_every_answer_to_a_challenge(method: str, body: dict[str, Any], status: int) -> None:
    site = Site()
    headers = {"origin": ORIGIN, "content-type": JSON}
    response = site.send("api/v1/captcha/challenge", json.dumps(body).encode(), method=method, headers=headers)
    assert response.status == status
    assert allowed_origin(response) in (ORIGIN, "*")
    site.gate.close()


def test_the_cap_says_when_to_come_back_to_pages_too() -> None:
    site = Site(in_process={"challenges_per_minute": 10})
    answers = [site.challenge() for _ in range(10)]
    assert said(answers[-1]) == (429, "rate_limited")
    assert dict(answers[-1].headers)["Retry-After"] == "60"
    assert allowed_origin(answers[-1]) == ORIGIN
    site.gate.close()


# Networks


@pytest.mark.parametrize(
    ("prefix", "other", "same"),
    [
        (64, "2001:db8:1:2::9", True),
        (64, "2001:db8:1:3::9", False),
        (56, "2001:db8:1:3::9", True),
        (56, "2001:db8:1:102::9", False),
        (48, "2001:db8:1:ffff::9", True),
        (48, "2001:db8:2:2::9", False),
    ],
)
def test_the_settings_say_how_much_of_an_ipv6_address_is_a_network(prefix: int, other: str, same: bool) -> None:
    site = Site(in_process={"ipv6_prefix": prefix, "client_binding": "require", "challenges_per_minute": 10})
    body, headers = json.dumps({"site_key": "shop"}).encode(), {"origin": ORIGIN}

    def challenged(peer: str) -> Response:
        return site.send("api/v1/captcha/challenge", body, headers=headers, peer=peer)

    from caputchin_gate.engines.solver import solve

    def token() -> str:
        issued = json.loads(challenged("2001:db8:1:2::1").body)
        return f"{issued['token']}.{solve(issued['token'], issued['target'])}"

    assert isinstance(site.gate.verify(token(), remote_ip=other), Passed) is same
    assert site.passes("hcaptcha", SHOP, token(), remoteip=other) is same
    for _ in range(7):
        challenged("2001:db8:1:2::1")
    assert (challenged(other).status == 429) is same
    site.gate.close()


def test_what_is_told_is_read_by_our_own_client() -> None:
    """Both ends of captchaapi.eu's protocol are ours; they have to agree."""
    from caputchin_gate.messages import HttpReply
    from caputchin_gate.providers.captchaapi import CaptchaApi
    from caputchin_gate.verdict import Failed, Misconfigured, Unavailable

    client, site = CaptchaApi(secret="sk_live_an-example"), site_with(quota=1)

    def read(told: Told) -> Any:
        return client.read(HttpReply(told.status, {"content-type": JSON}, told.raw.encode()))

    first, second = site.native(), site.native()
    assert isinstance(read(site.ask("captchaapi", SHOP, first)), Passed)
    assert isinstance(read(site.ask("captchaapi", SHOP, first)), Failed)
    assert read(site.ask("captchaapi", SHOP, second)).details["over_limit"] is True
    assert isinstance(read(site.ask("captchaapi", "wrong", second)), Misconfigured)
    suspended = site_with(status="suspended")
    assert isinstance(read(suspended.ask("captchaapi", SHOP, second)), Misconfigured)
    limited = Site(in_process={"wrong_secrets_per_minute": 1})
    limited.ask("captchaapi", "wrong", "x")
    assert isinstance(read(limited.ask("captchaapi", "wrong", "x")), Unavailable)
    for one in (site, suspended, limited):
        one.gate.close()
