"""Forward-auth by itself: what of a question is believed, what is decided about it, and how each proxy is told."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest
import yaml

from caputchin_gate import ConfigurationError, Decision, Gate, Reason, Route
from caputchin_gate.client_address import TrustedProxies
from caputchin_gate.effects import BodyEnd, LastPiece
from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from caputchin_gate.forward_auth import FRONT_PROXIES, Unbelieved, original_of, verdict_headers
from caputchin_gate.gate import SYSTEM_CLOCK
from caputchin_gate.messages import RequestHead, Response
from caputchin_gate.policy import Answer
from caputchin_gate.receipt import Receipts
from caputchin_gate.wsgi import GateMiddleware as WsgiGate
from tests.front_proxies import EXAMPLES

PROXY = "10.0.0.7"
TRUSTED = TrustedProxies(["10.0.0.0/8"])
NAMES = {
    "nginx": ("x-original-method", "x-original-uri"),
    "traefik": ("x-forwarded-method", "x-forwarded-uri"),
    "caddy": ("x-forwarded-method", "x-forwarded-uri"),
}
KINDS = sorted(NAMES)
SIGNING_KEY = "a signing key that only these tests use"

Fields = Mapping[str, Sequence[str]]


def asking(
    kind: str, method: str = "POST", uri: str = "/contact", *, path: str = "forward-auth", **more: Any
) -> RequestHead:
    """A question as the proxy puts it; `headers` are the client's, or take the place of the proxy's."""
    names = NAMES[kind]
    told: Fields = {names[0]: (method,), names[1]: (uri,), "x-forwarded-proto": ("https",), **more.pop("headers", {})}
    return RequestHead("GET", f"/.caputchin/{path}", headers=told, **{"peer": PROXY, **more})


def original(head: RequestHead, kind: str) -> RequestHead:
    found = original_of(head, FRONT_PROXIES[kind], TRUSTED)
    assert isinstance(found, RequestHead)
    return found


def unbelieved(head: RequestHead, kind: str, trusted: TrustedProxies = TRUSTED) -> int:
    found = original_of(head, FRONT_PROXIES[kind], trusted)
    assert isinstance(found, Unbelieved)
    return found.status


# What is believed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("uri", "path", "raw_path", "query"),
    [
        ("/contact", "/contact", "/contact", ""),
        ("/contact?a=b?c", "/contact", "/contact", "a=b?c"),
        ("/a%2fb%3Fc?", "/a/b?c", "/a%2fb%3Fc", ""),
        ("/contact#x?y", "/contact#x", "/contact#x", "y"),
        ("http://any.host/contact", "http://any.host/contact", "http://any.host/contact", ""),
        ("//contact", "//contact", "//contact", ""),
        ("*", "*", "*", ""),
        ("?x", "", "", "x"),
    ],
)
def test_the_original_request_is_what_the_proxy_says(kind: str, uri: str, path: str, raw_path: str, query: str) -> None:
    head = asking(kind, "PATCH", uri, root_path="/mounted", query="of=the-question", headers={"cookie": ("a=b",)})
    found = original(head, kind)
    assert (found.method, found.path, found.raw_path, found.query) == ("PATCH", path, raw_path, query)
    assert (found.root_path, found.scheme, found.peer, found.body_seen) == ("", "https", PROXY, False)
    assert found.headers["cookie"] == ("a=b",)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("values", [(), ("",), ("/open", "/contact"), ("GET", "GET"), ("https", "https")])
def test_a_header_that_is_missing_empty_or_repeated_is_no_question(
    kind: str, place: int, values: tuple[str, ...]
) -> None:
    name = (*NAMES[kind], "x-forwarded-proto")[place]
    assert unbelieved(asking(kind, headers={name: values}), kind) == 400


@pytest.mark.parametrize("kind", KINDS)
def test_headers_of_another_kind_make_up_for_nothing(kind: str) -> None:
    every = {name: ("/open" if "uri" in name else "GET",) for names in NAMES.values() for name in names}
    more = {"x-original-url": ("/open",), "x-rewrite-url": ("/open",), "x-http-method-override": ("GET",)}
    found = original(asking(kind, headers={**every, **more, NAMES[kind][0]: ("POST",), NAMES[kind][1]: ("/x",)}), kind)
    assert (found.method, found.path) == ("POST", "/x")
    for name in NAMES[kind]:
        assert unbelieved(asking(kind, headers={**every, **more, name: ()}), kind) == 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["GET, POST", "GET /open", "GET\t", "G" * 65, "(GET)", "\xe9"])
def test_what_is_no_method_is_no_question(kind: str, method: str) -> None:
    assert unbelieved(asking(kind, method), kind) == 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("said", "scheme"), [("http", "http"), ("https", "https"), ("ws", "http"), ("wss", "https"), ("https, http", None)]
)
def test_the_scheme_is_a_word_that_is_known(kind: str, said: str, scheme: str | None) -> None:
    head = asking(kind, headers={"x-forwarded-proto": (said,)})
    if scheme is None:
        assert unbelieved(head, kind) == 400
    else:
        assert original(head, kind).scheme == scheme


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("peer", ["203.0.113.9", "11.0.0.7", "127.0.0.1", "::1", "not an address", None, ""])
def test_cve_2026_40575_only_a_trusted_proxy_is_believed(kind: str, peer: str | None) -> None:
    claims = {"x-forwarded-for": (PROXY,), "x-real-ip": (PROXY,), "forwarded": (f"for={PROXY}",)}
    assert unbelieved(asking(kind, peer=peer, headers=claims), kind) == 403


def test_a_proxy_may_ask_over_a_unix_socket_that_is_trusted() -> None:
    head = asking("nginx", peer=None)
    assert isinstance(original_of(head, FRONT_PROXIES["nginx"], TrustedProxies(["unix"])), RequestHead)


# What is decided


def make_gate(kind: str | None = "caddy", **options: Any) -> Gate:
    settings: dict[str, Any] = {
        "provider": "caputchin",
        "verification": "in-process",
        "protect": [
            "POST /contact",
            "GET /report",
            Route("POST /signup", receipt="2m"),
            Route("POST /redirected", on_refuse="redirect:/contact?captcha=failed"),
            Route("POST /with-a-way-back", back="/the-form"),
            "POST /hooks/{name}",
        ],
        "exempt": ["POST /hooks/stripe"],
        "store": "memory",
        "token_from": ["form", "json", "header", "cookie", "query"],
        "trusted_proxies": ["10.0.0.0/8"],
        "in_process": {"signing_key": SIGNING_KEY, "client_binding": "off"},
    }
    if kind is not None:
        settings["forward_auth"] = kind
    return Gate(**{**settings, **options})


def never_read(most: int) -> bytes | LastPiece | BodyEnd:
    raise AssertionError("the body of a question was read")


def answer_to(gate: Gate, head: RequestHead) -> Response:
    ruling = gate.handle(head, never_read)
    assert isinstance(ruling, Answer)
    return ruling.response


def fresh_token() -> str:
    challenges = NativeChallenges([sha256(SIGNING_KEY.encode()).digest()], site_key="default", binding="off", cap=1000)
    now, nonce = SYSTEM_CLOCK.now(), SYSTEM_CLOCK.random_bytes(4)
    challenge = challenges.issue(now=now, nonce=nonce, step=1, client=None)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


def told(response: Response) -> tuple[int, str | None, str | None]:
    headers = dict(response.headers)
    return response.status, headers.get("X-Caputchin-Verdict"), headers.get("X-Caputchin-Reason")


FORM = {"content-type": ("application/x-www-form-urlencoded",), "content-length": ("100",)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("method", "uri", "word", "reason"),
    [
        ("GET", "/", "unguarded", "unguarded"),
        ("GET", "/contact", "unguarded", "unguarded"),
        ("POST", "/open", "unguarded", "unguarded"),
        ("POST", "/hooks/stripe", "unguarded", "exempt"),
        ("POST", "/.caputchin/api/v1/captcha/challenge", "unguarded", "unguarded"),
        ("GET", "/.caputchin/captcha.js?v=1", "unguarded", "unguarded"),
        ("POST", "/contact?caputchin-token={fresh}", "admitted", "verified"),
    ],
)
def test_what_may_pass_is_a_204_with_the_verdict(kind: str, method: str, uri: str, word: str, reason: str) -> None:
    uri = uri.replace("{fresh}", fresh_token())
    assert told(answer_to(make_gate(kind), asking(kind, method, uri, headers=FORM))) == (204, word, reason)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("method", "uri", "headers", "status", "reason"),
    [
        ("POST", "/contact", FORM, 403, "token-missing"),
        ("POST", "/contact", {**FORM, "content-encoding": ("gzip",)}, 403, "token-missing"),
        ("post", "/contact", {}, 403, "token-missing"),
        ("POST", "/contact/", {}, 403, "token-missing"),
        ("POST", "//contact", {}, 403, "token-missing"),
        ("POST", "/%63ontact%0a", {}, 403, "token-missing"),
        ("POST", "http://any.host/contact", {}, 403, "token-missing"),
        ("POST", "contact", {}, 403, "token-missing"),
        ("POST", "/contact?x", {}, 403, "token-missing"),
        ("POST", "/contact#x", {}, 403, "token-missing"),
        ("POST", "/hooks/%73tripe", {}, 403, "token-missing"),
        ("GET", "/contact", {"x-http-method-override": ("POST",)}, 403, "token-missing"),
        ("GET", "/contact?_method=POST", {}, 403, "token-missing"),
        ("POST", "/.caputchin/../contact", {}, 400, "target-ambiguous"),
        ("POST", "/.caputchin", {}, 400, "target-ambiguous"),
        ("POST", "/.Caputchin/reply", {}, 400, "target-ambiguous"),
        ("POST", "/%2ecaputchin/reply", {}, 400, "target-ambiguous"),
        ("POST", "/contact", {"x-caputchin-token": ("a", "a")}, 400, "token-ambiguous"),
        ("POST", "/contact", {"x-caputchin-token": ("forged",)}, 403, "token-malformed"),
        ("POST", "/contact", {"cookie": ("caputchin-token=" + "A" * 32 + ".1",)}, 403, "token-rejected"),
        ("GET", "/contact", {"upgrade": ("websocket",)}, 403, "token-missing"),
        ("GET", "/contact", {"sec-websocket-key": ("dGhlIHNhbXBsZSBub25jZQ==",)}, 403, "token-missing"),
        ("GET", "/contact", {"sec-websocket-version": ("13",)}, 403, "token-missing"),
        ("CONNECT", "/contact", {}, 403, "token-missing"),
        ("HEAD", "/report", {}, 403, "token-missing"),
    ],
)
def test_what_may_not_pass_is_a_refusal(
    kind: str, method: str, uri: str, headers: Fields, status: int, reason: str
) -> None:
    gate = make_gate(kind)
    decisions: list[Decision] = []
    gate.on_decision(decisions.append)
    response = answer_to(gate, asking(kind, method, uri, headers=headers))
    assert [(decision.reason, decision.method) for decision in decisions] == [(reason, method)]
    assert ("Cache-Control", "no-store") in response.headers
    if kind == "nginx":
        assert told(response) == (403, "refused", reason)
    else:
        assert told(response) == (status, None, None)
        assert (b"<h1>" in response.body) == (method != "HEAD")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "FOO"])
def test_an_upgrade_makes_no_exemption_out_of_that_of_another_method(kind: str, method: str) -> None:
    gate = Gate(
        provider="caputchin",
        verification="in-process",
        protect=["/hooks/{name}"],
        exempt=["POST /hooks/stripe"],
        token_from=["header", "cookie"],
        store="memory",
        trusted_proxies=["10.0.0.0/8"],
        forward_auth=kind,
    )
    upgrade = {"upgrade": ("websocket",)}
    assert answer_to(gate, asking(kind, method, "/hooks/stripe", headers=upgrade)).status == 403
    for exempt in ("GET", "POST"):  # a handshake is a GET
        assert answer_to(gate, asking(kind, exempt, "/hooks/stripe", headers=upgrade)).status == 204


def test_a_token_is_good_for_one_question() -> None:
    gate, token = make_gate(), fresh_token()
    head = asking("caddy", headers={"x-caputchin-token": (token,)})
    assert [answer_to(gate, head).status for _ in range(3)] == [204, 403, 403]


def test_a_token_that_stands_in_two_places_has_to_be_one() -> None:
    gate, token = make_gate(), fresh_token()
    cookie = {"cookie": (f"caputchin-token={token}",)}
    other = {**cookie, "x-caputchin-token": (fresh_token(),)}
    assert answer_to(gate, asking("caddy", headers=other)).status == 400
    assert answer_to(gate, asking("caddy", headers={**cookie, "x-caputchin-token": (token,)})).status == 204


def test_a_receipt_is_set_and_used() -> None:
    gate = make_gate()
    head = asking("caddy", uri="/signup", headers={"x-caputchin-token": (fresh_token(),)})
    cookie = dict(answer_to(gate, head).headers)["Set-Cookie"]
    assert cookie.endswith("; Secure")  # as the proxy says, not as the question came
    response = answer_to(gate, asking("caddy", uri="/signup", headers={"cookie": (cookie.partition(";")[0],)}))
    assert told(response) == (204, "admitted", "receipt")
    assert "Set-Cookie" not in dict(response.headers)


def test_the_length_of_a_refusal_is_left_to_the_door() -> None:
    """A refused HEAD has no body, and the question about it is a GET."""
    response = answer_to(make_gate(), asking("caddy", "HEAD", "/report"))
    assert (response.body, "Content-Length" in dict(response.headers)) == (b"", False)


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_not_be_believed_is_refused_and_named_in_the_log(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    gate = make_gate(kind)
    assert answer_to(gate, asking(kind, uri="/open", peer="203.0.113.9")).status == 403
    assert answer_to(gate, asking(kind, uri="")).status == (403 if kind == "nginx" else 400)
    strangers, missing = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert "not in trusted_proxies" in strangers
    assert "203.0.113.9" not in strangers
    assert f"exactly one {NAMES[kind][1]}" in missing


def test_in_report_mode_everything_passes_and_says_so() -> None:
    gate = make_gate(mode="report")
    assert told(answer_to(gate, asking("caddy"))) == (204, "report", "report-only")


@pytest.mark.parametrize("path", ["forward-auth/", "forward-auth%20", "Forward-Auth", "forward-auth/x", "forward_auth"])
def test_the_path_has_one_spelling(path: str) -> None:
    assert answer_to(make_gate(), asking("caddy", uri="/open", path=path)).status == 404


def test_an_encoded_spelling_of_the_path_is_another_path() -> None:
    head = asking("caddy", uri="/open", raw_path="/.caputchin/%66orward-auth")
    assert answer_to(make_gate(), head).status == 404


def test_below_a_mount_the_path_is_found_with_its_prefix() -> None:
    head = asking("caddy", uri="/open")
    path = f"/app{head.path}"
    mounted = RequestHead("GET", path, path, "/app", headers=head.headers, peer=PROXY)
    assert answer_to(make_gate(), mounted).status == 204


@pytest.mark.parametrize("path", ["forward-auth", "refusal"])
def test_without_the_setting_there_is_nothing(path: str) -> None:
    assert answer_to(make_gate(None), asking("nginx", path=path)).status == 404


def test_a_gate_that_asks_a_provider_has_no_other_paths() -> None:
    gate = make_gate("caddy", verification="upstream", secret="cpt_sec_an-example", in_process={})
    assert answer_to(gate, asking("caddy", uri="/open")).status == 204
    assert answer_to(gate, RequestHead("GET", "/.caputchin/captcha.js")).status == 404
    assert answer_to(gate, asking("caddy", uri="/.caputchin/reply")).status == 400


def test_whatever_breaks_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*arguments: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("caputchin_gate.policy.find_token", breaks)
    assert answer_to(make_gate(), asking("caddy")).status == 503


# The verdict


@pytest.mark.parametrize(
    ("provider", "word"), [("caputchin", "caputchin"), (None, "none"), ("a b", "none"), ("a\r\nb: c", "none")]
)
def test_ghsa_vjrc_mh2v_45x6_every_header_of_the_verdict_is_always_there(provider: str | None, word: str) -> None:
    headers = verdict_headers(Decision(Reason.VERIFIED, provider))
    assert headers == (
        ("X-Caputchin-Verdict", "admitted"),
        ("X-Caputchin-Reason", "verified"),
        ("X-Caputchin-Provider", word),
    )


@pytest.mark.parametrize("reason", list(Reason))
def test_a_refusal_is_never_called_an_admission(reason: Reason) -> None:
    word = dict(verdict_headers(Decision(reason)))["X-Caputchin-Verdict"]
    assert (word == "refused") != Decision(reason).admitted


# The page of a refusal, for nginx


def page(reason: str, gate: Gate | None = None, **more: Any) -> Response:
    headers = {"x-caputchin-reason": (reason,), **more.pop("headers", {})}
    return answer_to(gate or make_gate("nginx"), asking("nginx", path="refusal", headers=headers, **more))


@pytest.mark.parametrize("reason", [reason for reason in Reason if not Decision(reason).admitted])
def test_nginx_gets_the_page_of_each_reason_with_its_status(reason: Reason) -> None:
    response = page(reason)
    assert response.status == Decision(reason).status
    assert b"<h1>" in response.body


def test_the_page_is_that_of_the_route() -> None:
    assert dict(page("token-missing", uri="/redirected").headers)["Location"] == "/contact?captcha=failed"
    assert b'href="/the-form"' in page("token-missing", uri="/with-a-way-back").body
    assert b"<a href" not in page("token-missing", uri="/contact").body


@pytest.mark.parametrize("reason", ["", "verified", "unguarded", "nonsense", "token-missing, verified"])
def test_what_is_no_refusal_has_no_page(reason: str) -> None:
    assert page(reason).status == 403
    assert page("token-missing", headers={"x-caputchin-reason": ("token-missing", reason)}).status == 403


def test_the_page_is_for_nginx_and_from_trusted_proxies_alone() -> None:
    stranger = page("token-missing", peer="203.0.113.9")
    assert (stranger.status, b"<h1>" in stranger.body) == (403, False)
    headers = {"x-caputchin-reason": ("token-missing",)}
    for kind in ("traefik", "caddy"):
        assert answer_to(make_gate(kind), asking(kind, path="refusal", headers=headers)).status == 404


def test_the_page_is_no_decision() -> None:
    gate = make_gate("nginx")
    decisions: list[Decision] = []
    gate.on_decision(decisions.append)
    page("token-missing", gate)
    assert decisions == []


# The settings


@pytest.mark.parametrize(
    ("change", "setting", "hint"),
    [
        ({"forward_auth": "ngnix"}, "forward_auth", "did you mean 'nginx'?"),
        ({"forward_auth": ["nginx", "caddy"]}, "forward_auth", "not one of nginx, traefik, caddy"),
        ({"trusted_proxies": []}, "forward_auth", "believes trusted proxies alone"),
        ({"token_from": ["form"]}, "protect[0].token_from", 'add "header" or "cookie"'),
        ({"protect": [Route("POST /x", token_from="json")], "exempt": []}, "protect[0].token_from", '"cookie"'),
    ],
)
def test_settings_that_can_not_work_are_named(change: dict[str, Any], setting: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_gate(**{"kind": "nginx", **change})
    assert setting in str(caught.value)
    assert hint in str(caught.value)


def test_forms_that_nobody_could_send_are_a_warning() -> None:
    warnings = make_gate(token_from=["form", "header"]).warnings
    assert any(warning.setting == "protect[0]" and "never sees" in str(warning) for warning in warnings)
    assert not any("never sees" in str(warning) for warning in make_gate(token_from=["header", "cookie"]).warnings)


def test_a_wsgi_server_can_not_answer() -> None:
    """It folds X_Original_URI, which a proxy may let pass, into X-Original-URI."""
    with pytest.raises(ConfigurationError, match="caputchin-gate serve"):
        WsgiGate(lambda environ, start_response: [], gate=make_gate())


# What people copy (nginx.conf and Caddyfile are used as they are in test_forward_auth_proxies.py)


def test_the_configuration_for_traefik_agrees_with_the_gate() -> None:
    """There is no Traefik to run it with, so at least its names are those of the gate."""
    settings = tomllib.loads((EXAMPLES / "gate.toml").read_text())
    middlewares = yaml.safe_load((EXAMPLES / "traefik-routes.yml").read_text())["http"]["middlewares"]
    asks = middlewares["captcha"]["forwardAuth"]
    names = [name for name, _ in verdict_headers(Decision(Reason.VERIFIED))]
    assert asks["address"] == f"http://{settings['sidecar']['listen']}/.caputchin/forward-auth"
    assert (asks["trustForwardHeader"], asks["authResponseHeaders"]) == (False, names)
    assert set(names) < middlewares["only-the-gate-says"]["headers"]["customRequestHeaders"].keys()
    (route,) = settings["route"]
    receipts = Receipts([b"x" * 32], match=route["match"], asked="", lifetime=120)
    assert asks["addAuthCookiesToResponse"] == [receipts.cookie]
