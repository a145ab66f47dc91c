"""Forward-auth as it is used: a real nginx and a real Caddy ask a real gate, and an application stands behind them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from tests.front_proxies import KINDS, GuardedSite, Received, front_proxy, guarded_site
from tests.redis_servers import free_port
from tests.servers import STACKS, Server, serve
from tests.test_bypasses import KNOWN, KNOWN_BESIDES, ROUTES, Sent, random_target, send_all
from tests.ungated import MOUNT
from tests.wire import PATIENCE, Answer, exchange, read_answer, request_bytes

SIGNING_KEY = "a signing key that only these tests use"
RULES = f"""
protect = ["POST /contact", "GET /report", "/hooks/{{name}}"]
exempt = ["POST /hooks/stripe"]
forward_auth = "nginx"
trusted_proxies = ["127.0.0.1"]
token_from = ["header", "cookie", "query"]
store = "memory"

[provider]
kind = "caputchin"
verification = "in-process"

[providers.down]
kind = "procaptcha"
secret = "0xan-example-of-a-secret"
endpoint = "http://127.0.0.1:1/verify"

[[route]]
match = "POST /signup"
receipt = "2m"
receipt_uses = 1

[[route]]
match = "POST /redirected"
on_refuse = "redirect:/contact?captcha=failed"

[[route]]
match = "POST /passed-on"
on_refuse = "pass"

[[route]]
match = "POST /unavailable"
provider = "down"

[in_process]
signing_key = "{SIGNING_KEY}"
challenges_per_minute = 10000
"""
CHALLENGES = NativeChallenges(
    [hashlib.sha256(SIGNING_KEY.encode()).digest()], site_key="default", binding="if-known", cap=10_000
)
FORM = "Content-Type: application/x-www-form-urlencoded"
OWN = ("x-caputchin-verdict", "x-caputchin-reason", "x-caputchin-provider")


def fresh_token(client: str | None = None) -> str:
    challenge = CHALLENGES.issue(now=time.time(), nonce=os.urandom(4), step=1, client=client)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedSite]:
    with guarded_site(request.param, tmp_path_factory.mktemp("site"), RULES) as site:
        yield site


@pytest.fixture
def site(shared: GuardedSite) -> GuardedSite:
    shared.received.clear()
    return shared


def ask(site: GuardedSite, head: str, body: bytes = b"") -> Answer:
    return exchange(site.port, request_bytes(head, body))


def only(site: GuardedSite) -> Received:
    (received,) = site.received
    return received


def verdict(received: Received) -> tuple[list[str], ...]:
    return tuple(received.all(name) for name in OWN)


ADMITTED = (["admitted"], ["verified"], ["caputchin"])
UNGUARDED = (["unguarded"], ["unguarded"], ["none"])


# What passes


@pytest.mark.parametrize("head", ["GET /", "GET /contact", "POST /open", "PUT /contact?a=b%20c", "OPTIONS /contact"])
def test_what_no_rule_guards_passes_with_its_body(site: GuardedSite, head: str) -> None:
    body = b"x" * 200_000 if head.startswith("P") else b""
    assert ask(site, head, body).status == 200
    received = only(site)
    assert f"{received.method} {received.target}" == head
    assert received.body == body
    assert verdict(received) == UNGUARDED


@pytest.mark.parametrize(
    "head",
    [
        "POST /contact\nX-Caputchin-Token: {token}",
        "POST /contact\nCookie: a=b; caputchin-token={token}",
        "POST /contact?caputchin-token={token}",
        "GET /report\nX-Caputchin-Token: {token}",
        "POST /contact/\nX-Caputchin-Token: {token}",
    ],
)
def test_a_fresh_token_is_admitted_once(site: GuardedSite, head: str) -> None:
    filled = head.format(token=fresh_token())
    body = b"name=Ann&text=" + b"y" * 100_000 if head.startswith("POST") else b""
    assert ask(site, filled, body).status == 200
    received = only(site)
    assert (received.body, verdict(received), received.all("x-caputchin-token")) == (body, ADMITTED, [])
    assert ask(site, filled, body).status == 403
    assert len(site.received) == 1
    site.has_decided("verified", "token-used")


def test_a_token_is_bound_to_the_client_that_the_proxy_names(site: GuardedSite) -> None:
    """The proxy's own address would be that of every visitor."""
    raw = request_bytes("POST /.caputchin/api/v1/captcha/challenge\nContent-Type: application/json", b"{}")
    challenge = json.loads(exchange_from("127.0.0.5", site.port, raw).body)
    token = f"{challenge['token']}.{solve(challenge['token'], challenge['target'])}"
    raw = request_bytes(f"POST /contact\nX-Caputchin-Token: {token}\nX-Forwarded-For: 127.0.0.5", b"")
    assert exchange_from("127.0.0.6", site.port, raw).status == 403
    site.has_decided("token-elsewhere")
    assert exchange_from("127.0.0.5", site.port, raw).status == 200


def exchange_from(client: str, port: int, raw: bytes) -> Answer:
    with socket.create_connection(("127.0.0.1", port), PATIENCE, (client, 0)) as connection:
        connection.sendall(raw)
        return read_answer(connection)


# What is refused, and what the visitor sees of it


def test_without_a_token_the_visitor_sees_the_page_of_the_gate(site: GuardedSite) -> None:
    answer = ask(site, f"POST /contact\n{FORM}\nAccept: text/html\nAccept-Language: de", b"caputchin-token=x")
    assert (answer.status, site.received) == (403, [])
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert '<html lang="de">' in answer.body.decode()
    assert "missing-input-response" in answer.body.decode()
    site.has_decided("token-missing")


def test_a_refusal_is_decided_and_logged_once(site: GuardedSite) -> None:
    forged, missing = "POST /contact\nX-Caputchin-Token: forged", "POST /contact"
    for head in (forged, missing, forged):
        ask(site, head)
    site.has_decided("token-malformed", "token-missing", "token-malformed")


TWO = "Cookie: caputchin-token={token}\nX-Caputchin-Token: {other}"


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        ("POST /contact", 403, "missing-input-response"),
        ("POST /contact\nX-Caputchin-Token: forged", 403, "invalid-input-response"),
        (f"POST /contact\n{TWO}", 400, "bad-request"),
        ("POST /contact\nX-Caputchin-Token: {token}\nX-Caputchin-Token: {token}", 400, "bad-request"),
        ("POST /.caputchin/..%2fcontact\nX-Caputchin-Token: {token}", 400, "bad-request"),
        ("POST /unavailable\nCookie: procaptcha-response=x", 403, "invalid-input-response"),
        ("POST /redirected", 403, "missing-input-response"),
    ],
)
def test_a_program_reads_every_refusal_as_json(site: GuardedSite, head: str, status: int, code: str) -> None:
    filled = head.format(token=fresh_token(), other=fresh_token())
    answer = ask(site, f"{filled}\nAccept: application/json")
    assert (answer.status, site.received) == (status, [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["error-codes"] == [code]


def test_a_provider_that_is_down_is_a_503_that_says_when_to_come_back(site: GuardedSite) -> None:
    answer = ask(site, f"POST /unavailable\nX-Caputchin-Token: {'0x' + 'ab' * 40}")
    assert (answer.status, answer.headers.get("retry-after"), site.received) == (503, "30", [])


def test_a_refusal_can_redirect(site: GuardedSite) -> None:
    answer = ask(site, "POST /redirected\nAccept: text/html")
    where = answer.headers["location"].removeprefix(f"http://localhost:{site.port}").removeprefix("http://localhost")
    assert (answer.status, where) == (303, "/contact?captcha=failed")
    assert site.received == []


def test_a_refusal_that_is_passed_on_reaches_the_application_as_one(site: GuardedSite) -> None:
    assert ask(site, "POST /passed-on").status == 200
    assert verdict(only(site)) == (["refused"], ["token-missing"], ["none"])


def test_a_guarded_head_is_refused_without_a_body(site: GuardedSite) -> None:
    answer = ask(site, "HEAD /report")
    assert (answer.status, answer.body, site.received) == (403, b"", [])
    assert ask(site, "GET /").status == 200


def test_a_refused_upload_leaves_the_connection_in_step(site: GuardedSite) -> None:
    inner = request_bytes("POST /open", b"x=y")
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as connection:
        connection.sendall(request_bytes(f"POST /contact\n{FORM}", inner, close=False))
        assert read_answer(connection).status == 403
        connection.sendall(request_bytes("GET /after", b""))
        connection.settimeout(PATIENCE)
        try:
            read_answer(connection)
        except OSError:
            pass
    assert "/open" not in {received.target for received in site.received}


def test_an_http_1_0_client_is_judged_alike(site: GuardedSite) -> None:
    for field, status in (("", 403), (f"X-Caputchin-Token: {fresh_token()}\r\n", 200)):
        raw = f"POST /contact HTTP/1.0\r\n{field}Content-Length: 3\r\n\r\na=b".encode()
        assert exchange(site.port, raw).status == status
    assert len(site.received) == 1


# What a client may try (threats.md 6: the bypasses of oauth2-proxy, one by one)

LIES = (
    "X-Original-URI: /open",
    "X-Original-URL: /open",
    "X-Original-Method: GET",
    "X-Forwarded-Uri: /open",
    "X-Forwarded-Method: GET",
    "X-Forwarded-Uri: /open\nX-Forwarded-Method: GET\nX-Original-URI: /open\nX-Original-Method: GET",
    "X-Rewrite-URL: /open",
    "X-Forwarded-Prefix: /open",
)


@pytest.mark.parametrize("lie", LIES)
def test_ghsa_7x63_xv5r_3p2x_a_forged_target_has_no_effect(site: GuardedSite, lie: str) -> None:
    underscored = "\n".join(line.partition(":")[0].replace("-", "_") + ": /open" for line in lie.split("\n"))
    for head in (lie, underscored, f"{lie}\n{lie}", f"{lie}\n{underscored}"):
        assert ask(site, f"POST /contact\n{head}").status == 403
    assert site.received == []


@pytest.mark.parametrize("lie", LIES)
def test_what_only_a_lie_would_guard_is_not_guarded(site: GuardedSite, lie: str) -> None:
    """Else a page of another site could have visitors' requests refused."""
    assert ask(site, "POST /open\n" + lie.replace("/open", "/contact").replace("GET", "POST")).status == 200


def test_headers_named_in_connection_are_told_to_the_gate_all_the_same(site: GuardedSite) -> None:
    names = "X-Forwarded-Uri, X-Forwarded-Method, X-Original-URI, X-Original-Method, X-Forwarded-For, X-Forwarded-Proto"
    assert ask(site, f"POST /contact\nConnection: {names}").status == 403
    assert site.received == []


SPELLINGS = ("X-Caputchin-{}", "x-caputchin-{}", "X_Caputchin_{}", "X-Caputchin_{}", "X_Caputchin-{}", "x_CAPUTCHIN_{}")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_ghsa_vjrc_mh2v_45x6_a_forged_verdict_does_not_reach_the_application(site: GuardedSite, spelling: str) -> None:
    words = (("Verdict", "admitted"), ("Reason", "verified"), ("Provider", "caputchin"), ("Signature", "t=1,v1=00"))
    lies = "\n".join(f"{spelling.format(name)}: {word}" for name, word in words)
    assert ask(site, f"POST /open\n{lies}\n{lies}").status == 200
    assert verdict(only(site)) == UNGUARDED
    assert only(site).all("x-caputchin-signature") == []


def test_ghsa_5hvv_m4w4_gf6v_a_user_agent_opens_nothing(site: GuardedSite) -> None:
    for agent in ("GoogleHC/1.0", "kube-probe/1.27", "ELB-HealthChecker/2.0", "Caddy"):
        assert ask(site, f"POST /contact\nUser-Agent: {agent}").status == 403
    assert site.received == []


@pytest.mark.parametrize(
    "target", ["/contact?/open", "/contact?x=/.caputchin/forward-auth", "/contact?caputchin-token=", "/contact?a?b#c"]
)
def test_ghsa_7rh7_c77v_6434_a_query_opens_nothing(site: GuardedSite, target: str) -> None:
    assert ask(site, f"POST {target}").status in (400, 403)
    assert site.received == []


@pytest.mark.parametrize("target", ["/contact#/open", "/contact#", "/open%23/../contact", "/contact%23/../open"])
def test_ghsa_pxq7_h93f_9jrg_a_fragment_opens_nothing(site: GuardedSite, target: str) -> None:
    assert ask(site, f"POST {target}").status in (400, 403)
    assert site.received == []


@pytest.mark.parametrize(
    "head",
    [
        "GET /contact\nX-HTTP-Method-Override: POST",
        "GET /contact\nX-HTTP-Method: POST",
        "GET /contact\nX-Method-Override: post",
        "GET /contact?_method=POST",
        "PUT /contact?_method=post",
    ],
)
def test_a_method_override_is_guarded_like_the_method(site: GuardedSite, head: str) -> None:
    assert ask(site, head).status == 403
    assert site.received == []


def test_a_websocket_to_a_guarded_path_is_refused(site: GuardedSite) -> None:
    handshake = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: eHh4eHh4eHg="
    raw = request_bytes(f"GET /contact\n{handshake}", b"", close=False)
    assert exchange(site.port, raw).status == 403
    assert site.received == []
    assert exchange(site.port, request_bytes(f"GET /open\n{handshake}", b"", close=False)).status == 200


def test_an_upgrade_does_not_open_what_is_exempt_for_another_method(site: GuardedSite) -> None:
    handshake = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: eHh4eHh4eHg="
    for method in ("PUT", "DELETE"):
        assert (
            exchange(site.port, request_bytes(f"{method} /hooks/stripe\n{handshake}", b"", close=False)).status == 403
        )
    assert site.received == []


# The gate's own paths


@pytest.mark.parametrize(
    "path",
    [
        "/.caputchin/forward-auth",
        "/.caputchin/forward-auth/",
        "/.caputchin/forward-auth?x",
        "/.caputchin//forward-auth",
        "//.caputchin/forward-auth",
        "/.caputchin/%66orward-auth",
        "/.caputchin%2fforward-auth",
        "/.caputchin/x/../forward-auth",
        "/.caputchin/./forward-auth",
        "/.caputchin/forward-auth;x",
        "/.caputchin/forward-auth%00",
        "/.caputchin/forward-auth%0a",
        "/.caputchin/refusal",
        "/.caputchin/refusal/",
        "/.caputchin/%72efusal",
    ],
)
def test_nobody_can_ask_through_the_proxy(site: GuardedSite, path: str) -> None:
    told = "X-Original-Method: POST\nX-Original-URI: /open\nX-Forwarded-Method: POST\nX-Forwarded-Uri: /open"
    for method in ("GET", "POST"):
        answer = ask(site, f"{method} {path}\n{told}\nX-Caputchin-Reason: token-missing")
        assert answer.status in (400, 404)
        assert "x-caputchin-verdict" not in answer.headers
    assert site.received == []


def test_the_widget_is_served_through_the_proxy(site: GuardedSite) -> None:
    answer = ask(site, "GET /.caputchin/captcha.js")
    assert (answer.status, site.received) == (200, [])
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/.caputchin/forward-auth", "/.caputchin/refusal"])
def test_cve_2026_76835_a_peer_that_is_not_trusted_is_not_believed(site: GuardedSite, path: str) -> None:
    told = "X-Original-Method: GET\nX-Original-URI: /open\nX-Forwarded-Method: GET\nX-Forwarded-Uri: /open"
    raw = request_bytes(f"GET {path}\n{told}\nX-Forwarded-Proto: http\nX-Caputchin-Reason: token-missing", b"")
    assert exchange_from("127.0.0.9", site.gate_port, raw).status in (403, 404)
    if path.endswith("auth"):
        assert exchange_from("127.0.0.1", site.gate_port, raw).status == 204


def test_of_other_paths_the_gate_serves_none(site: GuardedSite) -> None:
    for head in ("GET /", "POST /contact", f"POST /contact\nX-Caputchin-Token: {fresh_token()}", "GET /.caputchins"):
        answer = exchange(site.gate_port, request_bytes(head, b""))
        assert (answer.status, json.loads(answer.body)["title"]) == (404, "Not Found")
        assert answer.headers["content-type"] == "application/problem+json"


# Receipts


def test_a_receipt_is_copied_to_the_visitor_and_admits_the_correction(site: GuardedSite) -> None:
    site.application.pages["/signup"] = (422, "An address has an @.")
    answer = cookies_of(site, f"POST /signup\nX-Caputchin-Token: {fresh_token()}")
    assert answer[0] == 422
    (receipt,) = (cookie for cookie in answer[1] if cookie.startswith("caputchin-receipt-"))
    assert "visited=yes" in answer[1]
    assert "HttpOnly" in receipt
    cookie = receipt.partition(";")[0]
    assert cookies_of(site, f"POST /signup\nCookie: {cookie}") == (422, ["visited=yes"])
    assert site.received[-1].all("x-caputchin-reason") == ["receipt"]
    assert ask(site, f"POST /signup\nCookie: {cookie}").status == 403


def test_what_earns_no_receipt_gets_no_cookie(site: GuardedSite) -> None:
    assert cookies_of(site, "GET /") == (200, ["visited=yes"])
    assert cookies_of(site, f"POST /contact\nX-Caputchin-Token: {fresh_token()}") == (200, ["visited=yes"])
    assert cookies_of(site, "POST /signup") == (403, [])


def cookies_of(site: GuardedSite, head: str) -> tuple[int, list[str]]:
    """The status, and every Set-Cookie by itself."""
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as connection:
        connection.sendall(request_bytes(head, b""))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    fields = (line.partition(": ") for line in lines[1:])
    return int(lines[0].split()[1]), sorted(value for name, _, value in fields if name.lower() == "set-cookie")


# Odd spellings of the path (bypasses.md)

REPORTING = f"""
mode = "report"
forward_auth = "nginx"
trusted_proxies = ["127.0.0.1"]
protect = {[f"POST {prefix}{path}" for prefix in ("", MOUNT) for path in ROUTES]}
token_from = "header"
store = "memory"

[provider]
kind = "caputchin"
verification = "in-process"
"""


@pytest.mark.parametrize("stack", ["uvicorn-h11", "waitress"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_handler_runs_for_a_target_that_the_gate_takes_for_open(kind: str, stack: str, tmp_path: Path) -> None:
    """In report mode everything passes and carries what the gate made of it, so both can be compared."""
    chance = random.Random(kind + stack)
    targets = [*KNOWN, *(random_target(chance, "") for _ in range(200))]
    requests = [*map(Sent, targets), *KNOWN_BESIDES]
    app = f"tests.ungated.{STACKS[stack].interface}:application"
    reached: set[bytes] = set()
    open_: list[Sent] = []
    with serve(stack, app) as server, guarded_site(kind, tmp_path, REPORTING, application_port=server.port) as site:
        for sent, seen in send_all(Server(kind, app, port=site.port), requests):
            if seen.ran:
                reached.add(sent.target)
                if seen.head.headers["x-caputchin-verdict"] != ["report"]:
                    open_.append(sent)
    assert open_ == []
    assert len(reached) >= 25, "too few targets reached a handler for this to mean anything"


# Without an answer


@pytest.mark.parametrize("kind", KINDS)
def test_while_the_gate_is_away_nothing_reaches_the_application(kind: str, tmp_path: Path) -> None:
    with guarded_site(kind, tmp_path, RULES) as site, front_proxy(kind, tmp_path, free_port(), 1) as port:
        for head in ("GET /", "POST /contact", f"POST /contact\nX-Caputchin-Token: {fresh_token()}"):
            assert exchange(port, request_bytes(head, b"")).status >= 500
        assert site.received == []
