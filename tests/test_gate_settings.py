"""Every mistake in the settings is one clear error that names the setting and the fix, and never shows a secret."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from caputchin_gate import ConfigurationError, Gate, Route, config, load_gate
from caputchin_gate.config import bounded_file
from caputchin_gate.config.settings import ROUTE
from caputchin_gate.gate_options import GateOptions
from caputchin_gate.messages import RequestHead
from caputchin_gate.policy import Terms
from caputchin_gate.providers import kinds, load
from caputchin_gate.receipt import Receipts
from caputchin_gate.routes import Ambiguous, Rule

CANARY = "cpt_sec_canary-that-must-not-show"
UPSTREAM: dict[str, Any] = {"provider": "caputchin", "secret": CANARY, "protect": ["POST /contact"]}
IN_PROCESS: dict[str, Any] = {
    "provider": "caputchin",
    "verification": "in-process",
    "store": "memory",
    "protect": ["POST /contact"],
}


def problems(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Gate(**settings)
    text = str(caught.value)
    assert CANARY not in text
    assert CANARY not in repr(caught.value)
    return text


@pytest.mark.parametrize(
    ("change", "setting", "hint"),
    [
        ({"provider": None}, "provider", "is missing"),
        ({"provider": "captuchin"}, "provider.kind", "did you mean 'caputchin'?"),
        ({"secret": "cpt_pub_public"}, "provider.secret", "public"),
        ({"secret": ""}, "provider.secret", ""),
        ({"secret": {"env": "NO_SUCH_VARIABLE"}}, "provider.secret", "NO_SUCH_VARIABLE is not set"),
        (
            {"secret": {"file": "/nonexistent/secret"}},
            "provider.secret",
            "can't be read (No such file or directory)",
        ),
        ({"secret": {"file": "/"}}, "provider.secret", "the file / can't be read (Is a directory)"),
        ({"secret": {"file": sys.executable}}, "provider.secret", "can't be read (it is not UTF-8 text)"),
        ({"secret": {"file": "a\0b"}}, "provider.secret", "can't be read (there is no such name)"),
        ({"secret": os.environ.get("NO_SUCH_VARIABLE")}, "provider.secret", "is missing; is the environment variable"),
        ({"secret": 7}, "provider.secret", "neither a text nor"),
        ({"timeout": -1}, "provider.timeout", "-1 is negative"),
        ({"timeout": "5 parsecs"}, "provider.timeout", '"5s"'),
        ({"timeout": "2h"}, "provider.timeout", "0.001 to 60"),
        ({"endpoint": "portol"}, "provider.endpoint", "portal"),
        ({"endpoint": "http://caputchin.example/verify"}, "provider.endpoint", "allow_http"),
        ({"endpoint": "ftp://caputchin.example/"}, "provider.endpoint", ""),
        ({"token_feild": "x"}, "provider.token_feild", "did you mean 'token_field'?"),
        ({"protect": ["POST contact"]}, "POST contact", "/"),
        ({"protect": ["PSOT /contact"]}, "PSOT /contact", "POST"),
        ({"protect": ["POST /contact", "POST /contact"]}, "POST /contact", "can never match"),
        ({"protect": ["POST /a", "POST x"]}, "protect[1]: 'POST x': the path", "/"),
        ({"token_field": "a b"}, "provider.token_field", "form field"),
        ({"back": "https://evil.example"}, "back", "'https://evil.example' is not a path of this site"),
        (
            {"providers": {"caputchin": {"kind": "procaptcha", "secret": "x" * 20}}},
            "providers.caputchin",
            "another name",
        ),
        ({"protect": [7]}, "protect[0]", "neither a text nor a Route"),
        ({"exempt": ["POST /elsewhere"]}, "POST /elsewhere", "exempts nothing"),
        ({"on_outage": "allow"}, "on_outage", "'allow' is not one of refuse, admit"),
        ({"mode": "dry-run"}, "mode", "enforce, report"),
        ({"store": "sqllite"}, "store", "sqlite"),
        ({"trusted_proxies": ["10.0.0.0/40"]}, "trusted_proxies", "10.0.0.0/8"),
        ({"on_refuse": "redirect:https://evil.example/"}, "on_refuse", "redirect:/contact"),
        ({"on_refuse": "redirect://evil.example/"}, "on_refuse", "redirect:/contact"),
        ({"on_refuse": "redirect:/\\evil.example/"}, "on_refuse", "redirect:/contact"),
        ({"max_body": "many"}, "max_body", "16MiB"),
        ({"token_from": ["headers"]}, "token_from", "did you mean 'header'?"),
        ({"limits": {"verifications": 0}}, "limits.verifications", "from 1"),
        ({"sidecar": {"listen": "8080"}}, "sidecar.listen", '"127.0.0.1:8080"'),
        ({"sidecar": {"listen": "127.0.0.1:"}}, "sidecar.listen", "names no port"),
        ({"sidecar": {"listen": ["127.0.0.1:80", "nope"]}}, "sidecar.listen: 'nope' names no port", '"[::1]:8080"'),
        ({"sidecar": {"listen": 8080}}, "sidecar.listen: 8080 is no address", '"127.0.0.1:8080"'),
        ({"sidecar": {"listen": []}}, "sidecar.listen: [] is no address", '"127.0.0.1:8080"'),
        ({"sidecar": {"upstream": 8000}}, "sidecar.upstream: is no address of an application", '"http://127'),
        ({"sidecar": {"admin": "nope"}}, "sidecar.admin: 'nope' names no port", '"127.0.0.1:8080"'),
        ({"sidecar": {"listen": "127.0.0.1:65536"}}, "sidecar.listen", "names no port"),
        ({"sidecar": {"listen": "::1:8080"}}, "sidecar.listen", '"[::1]:8080"'),
        ({"sidecar": {"listen": ":8080"}}, "sidecar.listen", "no host"),
        ({"sidecar": {"lisen": "127.0.0.1:80"}}, "sidecar.lisen", "did you mean 'listen'?"),
        ({"limits": {"verification": 5}}, "limits.verification", "did you mean 'verifications'?"),
        ({"in_process": {"mount": "caputchin/"}}, "in_process.mount", "/.caputchin"),
        ({"providers": {"old": {"kind": "procaptcha"}}}, "providers.old.secret", "is missing"),
        ({"protect": [Route("POST /x", provider="old")]}, "protect[0].provider", "'old'"),
        ({"protect": [Route("POST /x", min_score=7)]}, "protect[0].min_score", "from 0 to 1"),
        ({"protect": [Route("POST /x", min_score=0.5)]}, "protect[0].min_score", "not reported by provider caputchin"),
        ({"protect": [Route("POST /x", hostnames="a.example")]}, "protect[0].hostnames", "not reported"),
        ({"protct": ["POST /x"]}, "protct", "did you mean 'protect'?"),
        ({"protect": [Route("POST /x", json_pointer="a/b")]}, "protect[0].json_pointer", "/captcha/token"),
        ({"receipt": "1h"}, "receipt", "'1h' is not a duration from 10 to 300 seconds"),
        ({"receipt": "5s"}, "receipt", "from 10 to 300"),
        ({"receipt": True}, "receipt", '"2m"'),
        ({"receipt": "2m", "receipt_uses": 0}, "receipt_uses", "from 1 to 10"),
        ({"receipt": "2m", "receipt_uses": 11}, "receipt_uses", "from 1 to 10"),
        ({"receipt_uses": 3}, "receipt_uses", 'add receipt = "2m"'),
        ({"receipt": 0, "receipt_uses": 3}, "receipt_uses", "has no meaning without receipt"),
        ({"protect": [Route("POST /x", receipt_uses=3)]}, "protect[0].receipt_uses", "without receipt"),
        (
            {"receipt": "2m", "protect": [Route("POST /x", receipt=0, receipt_uses=3)]},
            "protect[0].receipt_uses",
            "without receipt",
        ),
        (
            {"receipt": "2m", "protect": ["PUT /x", "POST /x"]},
            "protect[1]: 'POST /x': can never match",
            "method_override = false",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(change: dict[str, Any], setting: str, hint: str) -> None:
    text = problems(**{**UPSTREAM, **change})
    assert setting in text
    assert hint in text


@pytest.mark.parametrize(
    ("change", "setting", "hint"),
    [
        ({"provider": "procaptcha"}, "provider.verification", "can't be verified in process"),
        ({"secret": CANARY}, "provider.secret", "has no meaning with in-process"),
        ({"verification": "inprocess"}, "provider.verification", "in-process"),
        ({"in_process": {"signing_key": "short"}}, "in_process.signing_key", "32"),
        ({"in_process": {"sites": [{"site_key": "a", "secret": ""}]}}, "in_process.sites[0].secret", "is empty"),
        ({"in_process": {"sites": [{"site_key": "a", "secret": {"env": "EMPTY"}}]}}, "sites[0].secret", "is empty"),
        ({"in_process": {"lifetime": "1h"}}, "in_process.lifetime", "10 to 300"),
        ({"in_process": {"client_binding": "on"}}, "in_process.client_binding", "if-known"),
        ({"in_process": {"sites": [{"domains": ["a.example"]}]}}, "in_process.sites[0].site_key", "is missing"),
        ({"in_process": {"sites": [{"site_key": "a"}, {"site_key": "a"}]}}, "in_process.sites[1].site_key", "twice"),
        ({"protect": [Route("POST /x", hostnames=["a.example"])]}, "hostnames", "not reported"),
        ({"protect": [Route("POST /x", min_score=0.5)]}, "min_score", "not reported"),
        ({"in_process": {"ipv6_prefix": 65}}, "in_process.ipv6_prefix", "from 48 to 64"),
        ({"in_process": {"verifications_per_minute": 9}}, "in_process.verifications_per_minute", "from 10"),
        ({"in_process": {"wrong_secrets_per_minute": 0}}, "in_process.wrong_secrets_per_minute", "from 1"),
        *(
            ({"in_process": {"sites": [{"site_key": key}]}}, "in_process.sites[0].site_key", "path of the gate's own")
            for key in ("recaptcha", "hcaptcha", "turnstile", "procaptcha", "v1", "api", "siteverify", "cap")
        ),
        (
            {"in_process": {"sites": [{"site_key": "gate_pub_test_pass"}]}},
            "in_process.sites[0].site_key",
            "public test keys",
        ),
        (
            {"in_process": {"sites": [{"site_key": "a", "secret": "gate_sec_test_pass"}]}},
            "in_process.sites[0].secret",
            "public test keys",
        ),
        (
            {"in_process": {"sites": [{"site_key": key, "secret": ["x" * 16, key * 16]} for key in "ab"]}},
            "in_process.sites[1].secret",
            "is another site's too",
        ),
        (
            {"in_process": {"sites": [{"site_key": "a", "dialects": ["turnstyle"]}]}},
            "in_process.sites[0].dialects",
            "did you mean 'turnstile'?",
        ),
        ({"in_process": {"sites": [{"site_key": "a", "score": 2}]}}, "in_process.sites[0].score", "from 0 to 1"),
        ({"in_process": {"sites": [{"site_key": "a", "v3": 1}]}}, "in_process.sites[0].v3", "true nor false"),
        ({"in_process": {"sites": [{"site_key": "a", "quota": 0}]}}, "in_process.sites[0].quota", "from 1"),
        (
            {"in_process": {"sites": [{"site_key": "a", "over_quota": "admit"}]}},
            "in_process.sites[0].over_quota",
            "serve, refuse",
        ),
        (
            {"in_process": {"sites": [{"site_key": "a", "status": "paused"}]}},
            "in_process.sites[0].status",
            "active, suspended, deactivated, inactive",
        ),
        ({"in_process": {"challenges_per_minute_in_all": 0}}, "challenges_per_minute_in_all", "from 100"),
        ({"in_process": {"hardening": False}}, "in_process.hardening", "is not a table"),
    ],
)
def test_a_wrong_in_process_setting_is_named_with_its_fix(
    change: dict[str, Any], setting: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    text = problems(**{**IN_PROCESS, **change})
    assert setting in text
    assert hint in text


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("https://shop.example", "shop.example"),
        ("https://*.shop.example:8443/contact?a=b", "shop.example"),
        ("shop.example:443", "shop.example"),
        ("*.shop.example", "shop.example"),
        (".shop.example", "shop.example"),
        ("shop.example.", "shop.example"),
        ("shop.example/", "shop.example"),
        (" shop.example", "shop.example"),
        ("shöp.example", "xn--shp-tna.example"),
        ("Fußball.example", "xn--fuball-cta.example"),
        ("http://[::1]:3000", "::1"),
        ("*", "shop.example"),
        ("shop example", "shop.example"),
        ("shop..example", "shop.example"),
    ],
)
def test_a_domain_that_no_page_could_match_is_named_with_the_one_that_was_meant(typed: str, meant: str) -> None:
    sites = [{"site_key": "a", "domains": ["good.example", typed]}]
    text = problems(**{**IN_PROCESS, "in_process": {"sites": sites}})
    assert "in_process.sites[0].domains" in text
    assert f'"{meant}"' in text


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ({"enabled": "yes"}, "neither true nor false"),
        ({"multipliers": [1.5, 4]}, "one for suspicious, one for under attack, one for critical"),
        ({"multipliers": [1.5, 4, 17]}, "from 1 to 16"),
        ({"multipliers": [4, 2, 16]}, "rise from 1 to 16"),
        ({"multipliers": [1, 1.4, 16]}, "the second being at least 1.5"),
        ({"sticky": "5m"}, "list of three"),
        ({"sticky": ["5m", "5m", "2d"]}, "from 1 to 86400 seconds"),
        ({"spike": [3, 2, 20]}, "do not rise"),
        ({"spike": [0, 2, 20]}, "do not rise"),
        ({"spike": True}, "list of three"),
        ({"failed": [0.3, 0.6, 1.1]}, "from 0 to 1"),
        ({"failed": ["a", "b", "c"]}, "from 0 to 1"),
        ({"datacenters": [0.3]}, "list of three"),
        ({"reputation": [0.5, 0.4, 0.6]}, "write false to switch it off"),
        ({"least_challenges": 0}, "from 1"),
        ({"least_verifications": 1.5}, "whole number"),
        ({"known_after": "2h"}, "60 to 3600"),
        ({"bad_after": -1}, "from 0"),
        ({"bad_for": "25h"}, "60 to 86400"),
        ({"datacenter_asns": "AS16509"}, "list of AS numbers"),
        ({"datacenter_asns": [0]}, "from 1"),
        ({"asn_database": "/nowhere/GeoLite2-ASN.mmdb"}, "name a readable .mmdb file"),
        ({"asn_database": __file__}, "is no database in MaxMind's format"),
        ({"treshold": 1}, "unknown key"),
    ],
)
def test_a_wrong_setting_of_hardening_is_named_with_its_fix(typed: dict[str, Any], hint: str) -> None:
    text = problems(**{**IN_PROCESS, "in_process": {"hardening": typed}})
    assert f"in_process.hardening.{next(iter(typed))}: " in text
    assert hint in text


def test_signals_can_be_switched_off_one_by_one() -> None:
    off = dict.fromkeys(("spike", "failed", "datacenters", "reputation"), False)
    Gate(**{**IN_PROCESS, "in_process": {"hardening": {**off, "bad_after": 0}}})


def test_all_problems_are_reported_at_once() -> None:
    text = problems(provider="caputchin", secret="cpt_pub_x", timeout="soon", on_outage="yes", mod="report")
    for setting in ("provider.secret", "provider.timeout", "on_outage", "mod: unknown key"):
        assert setting in text


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ({"kind": "turnstil"}, {"secret", "timeout", "foo"}),
        ({"kind": "turnstile", "verification": "upstrem"}, {"secret", "timeout", "foo"}),
        ({"kind": "caputchn", "verification": "in-proces"}, {"secret", "timeout", "foo"}),
        ({"kind": "nonsense"}, {"secret", "timeout"}),
        ({"kind": 7}, {"secret", "timeout"}),
        ({"knid": "turnstile"}, {"secret", "timeout"}),
        ({"kind": "cap", "verification": "nonsense"}, {"secret", "timeout"}),
    ],
)
def test_a_mistyped_kind_or_verification_hides_no_other_problem_of_its_table(
    kind: dict[str, Any], settings: set[str]
) -> None:
    table = {**kind, "secret": {"env": "NO_SUCH_VARIABLE"}, "timeout": "5 parsecs", "foo": 1}
    with pytest.raises(ConfigurationError) as caught:
        Gate(provider=table, protect=["POST /contact"])
    told = {problem.setting.removeprefix("provider.") for problem in caught.value.problems}
    assert told - {"kind", "knid", "verification"} == settings
    assert told & {"kind", "verification"}


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("foo", "provider.foo: unknown key; known: "),
        ("token_feild", "provider.token_feild: unknown key; did you mean 'token_field'?"),
        ("verificaton", "provider.verificaton: unknown key; did you mean 'verification'?"),
        ("timeout", "provider.timeout: has no meaning with in-process verification; remove it"),
    ],
)
def test_in_process_a_mistyped_key_is_told_from_one_that_has_no_meaning(key: str, what: str) -> None:
    table = {"kind": "caputchin", "verification": "in-process", key: 1}
    with pytest.raises(ConfigurationError) as caught:
        Gate(provider=table, protect=["POST /contact"])
    (problem,) = caught.value.problems
    assert str(problem).startswith(what)


@pytest.mark.parametrize("secret", [{"env": "NO_SUCH_VARIABLE"}, "short", 7])
def test_a_site_whose_secret_can_t_be_read_is_a_reason_to_serve_all_the_same(secret: object) -> None:
    sites = [{"site_key": "shop", "secret": secret}]
    provider = {"kind": "caputchin", "verification": "in-process"}
    with pytest.raises(ConfigurationError) as caught:
        config.read({"provider": provider, "in_process": {"sites": sites}}, must_guard=True)
    assert [problem.setting for problem in caught.value.problems] == ["in_process.sites[0].secret"]


def test_a_route_has_exactly_the_keys_of_a_route_table() -> None:
    assert set(Route.__dataclass_fields__) == set(ROUTE)


def test_a_gate_from_a_file_is_the_gate_from_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPUTCHIN_SECRET", CANARY)
    file = tmp_path / "gate.toml"
    file.write_text(
        """
        protect = ["POST /contact"]
        store = "memory"
        [provider]
        kind = "caputchin"
        secret = { env = "CAPUTCHIN_SECRET" }
        timeout = "2s"
        [[route]]
        match = "POST /signup"
        max_body = "64MiB"
        """
    )
    gate = load_gate(file)
    assert not gate.untouched("/contact", None, "")
    assert not gate.untouched("/signup", None, "")
    assert gate.untouched("/other", None, "")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "provider: is missing"),
        (b"protect = [", "not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b'\xef\xbb\xbfprotect = ["POST /a"]\nprovider = 1', "provider"),
        (b'protect = ["POST /a"]\n[sidecart]\n', "unknown key"),
    ],
)
def test_a_file_that_is_no_configuration_says_why(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "gate.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint):
        load_gate(file)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"gate\.toml: can't be read"):
        load_gate("nowhere/gate.toml")


def test_settings_never_show_the_secret() -> None:
    gate = Gate(**{**UPSTREAM, "store": "memory"})
    assert CANARY not in repr(vars(gate))


# Receipts


def receipts_of(gate: Gate, path: str = "/contact") -> Receipts | None:
    match gate._settings.routes.match(RequestHead("POST", path)):
        case Rule(terms=Terms(receipts=receipts)):
            return receipts
        case other:
            raise AssertionError(other)


def accepts(gate: Gate, other: Gate) -> bool:
    """Whether a receipt that one gate issued is one for the other."""
    ours, theirs = receipts_of(gate), receipts_of(other)
    assert ours is not None
    assert theirs is not None
    cookie = ours.issue(now=0, receipt_id=bytes(16), client=None, secure=False).partition(";")[0]
    return theirs.check([cookie], now=0, client=None) is not None


WITH_RECEIPT: dict[str, Any] = {**UPSTREAM, "store": "memory", "receipt": "2m"}
IN_PROCESS_TABLE = {"kind": "captchaapi", "verification": "in-process"}
SHARED_KEY: dict[str, Any] = {"in_process": {"signing_key": "a signing key of more than 32 characters"}}


def test_a_route_may_have_receipts_of_its_own_or_none() -> None:
    protect = ["POST /contact", Route("POST /short", receipt=30, receipt_uses=1), Route("POST /none", receipt=0)]
    gate = Gate(**{**WITH_RECEIPT, "protect": protect})
    contact, short = receipts_of(gate), receipts_of(gate, "/short")
    assert contact is not None
    assert short is not None
    assert "Max-Age=120" in contact.issue(now=0, receipt_id=bytes(16), client=None, secure=False)
    cookie = short.issue(now=0, receipt_id=bytes(16), client=None, secure=False)
    assert "Max-Age=30" in cookie
    receipt = short.check([cookie.partition(";")[0]], now=0, client=None)
    assert receipt is not None
    assert len(receipt.uses) == 1
    assert receipts_of(gate, "/none") is None
    assert receipts_of(Gate(**{**UPSTREAM, "store": "memory"})) is None


def test_workers_of_one_machine_accept_each_others_receipts(tmp_path: Path) -> None:
    settings = {**WITH_RECEIPT, "store": f"sqlite:///{tmp_path}/gate.db"}
    assert accepts(Gate(**settings), Gate(**settings))
    assert not accepts(Gate(**WITH_RECEIPT), Gate(**WITH_RECEIPT)), "a store of its own is a key of its own"


def test_a_configured_signing_key_is_the_key_of_receipts_too() -> None:
    assert accepts(Gate(**WITH_RECEIPT, **SHARED_KEY), Gate(**WITH_RECEIPT, **SHARED_KEY))


@pytest.mark.parametrize(
    "change",
    [
        {"secret": "cpt_sec_of-another-account"},
        {"endpoint": "https://caputchin.example/siteverify"},
        {"provider": "gotcha", "secret": "c2VjcmV0LWV4YW1wbGU="},
        {"protect": ["POST|PUT /contact"]},
        {"protect": [Route("POST /contact", provider=["caputchin", "old"])], "providers": {"old": IN_PROCESS_TABLE}},
        {"provider": "caputchin", "verification": "in-process", "secret": None},
        {"provider": "captchaapi", "secret": "sk_live_of-another-kind"},
    ],
)
def test_a_gate_that_asks_for_something_else_takes_no_receipt_of_this_one(change: dict[str, Any]) -> None:
    changed = {key: value for key, value in {**WITH_RECEIPT, **change}.items() if value is not None}
    assert not accepts(Gate(**WITH_RECEIPT, **SHARED_KEY), Gate(**changed, **SHARED_KEY))


@pytest.mark.parametrize("demand", [{"action": "signup"}, {"max_age": "1m"}])
def test_a_route_that_demands_more_takes_no_receipt_that_was_earned_by_less(demand: dict[str, Any]) -> None:
    base = {"provider": "caputchin", "verification": "in-process", "store": "memory", "receipt": "2m", **SHARED_KEY}
    demanding = Gate(**{**base, "protect": [Route("POST /contact", **demand)]})
    assert not accepts(Gate(**base, protect=["POST /contact"]), demanding)


def test_the_store_is_opened_only_where_a_route_has_receipts(tmp_path: Path) -> None:
    store = {"store": f"sqlite:///{tmp_path}/gate.db"}
    Gate(**{**UPSTREAM, **store})
    assert not (tmp_path / "gate.db").exists()
    Gate(**{**UPSTREAM, **store, "receipt": "2m"})
    assert (tmp_path / "gate.db").exists()


def test_a_secret_in_a_pipe_that_never_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_file, "PATIENCE", 0.05)
    os.mkfifo(tmp_path / "secret")
    writer = os.open(tmp_path / "secret", os.O_RDWR)
    told = problems(**{**UPSTREAM, "secret": {"file": str(tmp_path / "secret")}})
    assert "it is a pipe that does not end within 0.05 seconds" in told
    os.close(writer)


def test_a_store_is_known_before_workers_are_made_whoever_gives_the_signing_key(tmp_path: Path) -> None:
    """Else they take another file, put in its place, for the one that has forgotten nothing."""
    own = {**IN_PROCESS, "in_process": {"signing_key": "a key of at least thirty-two characters"}}
    Gate(**{**own, "store": f"sqlite:///{tmp_path}/gate.db"})
    assert (tmp_path / "gate.db").exists()
    assert "store" in problems(**{**own, "store": "sqlite:////nowhere/to/be/found/gate.db"})


def test_the_memory_store_is_warned_about_where_it_is_used() -> None:
    memory = "knows one process only"
    assert not any(memory in str(warning) for warning in Gate(**{**UPSTREAM, "store": "memory"}).warnings)
    assert [memory in str(warning) for warning in Gate(**WITH_RECEIPT).warnings].count(True) == 1
    assert [memory in str(warning) for warning in Gate(**IN_PROCESS, receipt="2m").warnings].count(True) == 1
    not_single_use = Gate(provider="gotcha", secret="a" * 40, protect=["POST /x"], store="memory")
    assert [memory in str(warning) for warning in not_single_use.warnings].count(True) == 1


@pytest.mark.parametrize(
    ("options", "uses_store"),
    [
        ({}, False),
        ({"receipt": "2m"}, True),
        ({"limits": {"submissions_per_minute": 3}}, True),
    ],
)
def test_the_store_counts_where_a_decision_may_depend_on_it(options: dict[str, Any], uses_store: bool) -> None:
    assert Gate(**{**UPSTREAM, "store": "memory", **options}).uses_store is uses_store


def test_every_option_of_every_provider_is_an_option_of_the_gate() -> None:
    of_providers = {field.name for kind in kinds() for field in dataclasses.fields(load(kind))}
    assert of_providers - GateOptions.__annotations__.keys() == set()


def test_a_target_that_two_routes_with_receipts_claim_is_refused() -> None:
    """Else a receipt of one would be spent on the other by an odd spelling (threats.md R16)."""
    protect = ["POST /a/{rest:path}", "POST /b"]
    odd = RequestHead("POST", "/a/../b", "/a/../b")
    for settings, kind in ((UPSTREAM, Rule), (WITH_RECEIPT, Ambiguous)):
        gate = Gate(**{**settings, "store": "memory", "protect": protect})
        assert isinstance(gate._settings.routes.match(odd), kind)
