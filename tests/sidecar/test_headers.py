"""What the application sees of a request, and the client of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from caputchin_gate.client_address import Origin, TrustedProxies, origin_of
from caputchin_gate.messages import RequestHead
from caputchin_gate.secret import Secret
from caputchin_gate.sidecar.forwarding import forwarding_lines
from caputchin_gate.sidecar.verdicts import Signer, verdict_lines, word_of
from caputchin_gate.verdict import Decision, Reason
from tests.servers import ROOT
from tests.sidecar.running import Running, sidecar
from tests.sidecar.scripted import Play, Scripted
from tests.sidecar.talking import talk
from tests.test_doors import FORM, fresh_token
from tests.wire import Answer, exchange, request_bytes

KEY = "a key that only these tests sign verdicts with"


@pytest.fixture(scope="module")
def application() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


@pytest.fixture
def upstream(application: Scripted) -> Scripted:
    application.play(Play())
    return application


@pytest.fixture(scope="module")
def running(application: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    table = {"sign_verdicts": KEY}
    with sidecar(tmp_path_factory.mktemp("gate"), application.url, sidecar=table) as started:
        yield started


@pytest.fixture(scope="module")
def trusting(application: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sidecar behind a proxy that it trusts."""
    with sidecar(tmp_path_factory.mktemp("gate"), application.url, trusted_proxies=["127.0.0.0/8"]) as started:
        yield started


def seen(running: Running, upstream: Scripted, head: str, body: bytes = b"") -> list[tuple[str, str]]:
    """The fields that the application got."""
    assert exchange(running.port, request_bytes(head, body)).status == 200
    raw, _, _ = upstream.requests[-1].partition(b"\r\n\r\n")
    lines = raw.decode("latin-1").split("\r\n")[1:]
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


def test_an_open_request_arrives_as_it_was_sent_with_what_is_known_about_it(
    running: Running, upstream: Scripted
) -> None:
    fields = seen(running, upstream, "GET /a%20b?c=%0a\nX-Odd-CASE: \tv a l \nAccept: */*\nCookie: a=b; c=d")
    assert upstream.requests[-1].startswith(b"GET /a%20b?c=%0a HTTP/1.1\r\nHost: localhost\r\n")
    assert b"\r\nX-Odd-CASE: v a l\r\n" in upstream.requests[-1]
    (signature,) = (value for name, value in fields if name == "x-caputchin-signature")
    assert fields == [
        ("host", "localhost"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-port", "80"),
        ("forwarded", 'for=127.0.0.1;proto=http;host="localhost"'),
        ("x-odd-case", "v a l"),
        ("accept", "*/*"),
        ("cookie", "a=b; c=d"),
        ("x-caputchin-verdict", "unguarded"),
        ("x-caputchin-reason", "unguarded"),
        ("x-caputchin-signature", signature),
    ]


FORGED = """POST /contact
X-Caputchin-Verdict: admitted
x-caputchin-reason: verified
X_Caputchin_Verdict: admitted
X-Caputchin_Verdict: admitted
X-CAPUTCHIN-SIGNATURE: t=1,v1=00
X-Caputchin-Anything: x
Connection: X-Caputchin-Verdict, Host, Cookie, Content-Type, X-Forwarded-For, Authorization, X-Private
X-Private: for one hop
Cookie: a=b
Authorization: Basic eDp5
X-Forwarded-For: 198.51.100.1
X-Forwarded-Proto: https
X-Forwarded-Host: other.example
X-Forwarded-Prefix: /login
Forwarded: for=198.51.100.1
X-Real-IP: 198.51.100.1
SCRIPT_NAME: /x
Proxy: http://other.example
Proxy-Authorization: x
Keep-Alive: timeout=5
TE: trailers
Trailer: X
HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"""


def test_ghsa_vjrc_mh2v_45x6_nothing_of_the_gates_or_of_a_hop_comes_from_a_client(
    running: Running, upstream: Scripted
) -> None:
    """GO-2026-4639, GO-2026-5346, CVE-2026-3902: underscores; CVE-2026-0953: Connection."""
    fields = seen(running, upstream, FORGED + f"\nX-Caputchin-Token: {fresh_token()}", b"x=y")
    own = {name: value for name, value in fields if name.startswith("x-caputchin")}
    assert len([name for name, _ in fields if name.startswith("x-caputchin")]) == 4
    assert (own["x-caputchin-verdict"], own["x-caputchin-reason"]) == ("admitted", "verified")
    assert own["x-caputchin-provider"] == "caputchin"
    assert own["x-caputchin-signature"] != "t=1,v1=00"
    about_client = [pair for pair in fields if "forwarded" in pair[0] or pair[0] == "x-real-ip"]
    assert about_client == [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-port", "80"),
        ("forwarded", 'for=127.0.0.1;proto=http;host="localhost"'),
    ]
    names = {name for name, _ in fields}
    assert {"host", "cookie", "authorization", "content-length"} <= names
    gone = {"x-private", "script_name", "proxy", "proxy-authorization", "keep-alive", "te", "trailer", "http2-settings"}
    assert not names & gone
    assert not any("_" in name for name in names)


def test_a_verdict_can_be_checked_as_the_documentation_shows(running: Running, upstream: Scripted) -> None:
    page = (ROOT / "docs" / "sidecar.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown: dict[str, Any] = {}
    exec(example, shown)
    is_from_the_gate = shown["is_from_the_gate"]
    token = fresh_token()
    fields = seen(running, upstream, f"POST /contact?a=b\n{FORM}", f"caputchin-token={token}".encode())
    headers = {name.title(): value for name, value in fields}
    assert is_from_the_gate("POST", "/contact", headers, KEY)
    assert not is_from_the_gate("POST", "/other", headers, KEY)
    assert not is_from_the_gate("POST", "/contact", {**headers, "X-Caputchin-Reason": "receipt"}, KEY)
    assert not is_from_the_gate("POST", "/contact", headers, KEY + "x")
    assert not is_from_the_gate("POST", "/contact", {}, KEY)


def test_what_a_trusted_proxy_says_is_passed_on(trusting: Running, upstream: Scripted) -> None:
    head = (
        "GET /open\nX-Forwarded-For: 192.0.2.1, 203.0.113.9, 127.0.0.1\nX-Forwarded-Proto: https\n"
        "X-Forwarded-Host: shop.example"
    )
    fields = dict(seen(trusting, upstream, head))
    assert fields["x-forwarded-for"] == fields["x-real-ip"] == "203.0.113.9"
    assert (fields["x-forwarded-proto"], fields["x-forwarded-host"]) == ("https", "shop.example")
    assert fields["x-forwarded-port"] == "443"
    assert fields["forwarded"] == 'for=203.0.113.9;proto=https;host="shop.example"'
    assert fields["host"] == "localhost"


@pytest.mark.parametrize(
    ("header", "fields", "expected"),
    [
        ("x-forwarded-for", {"x-forwarded-proto": ["https"]}, Origin("https")),
        ("x-forwarded-for", {"x-forwarded-proto": ["https", "http"]}, Origin()),
        ("x-forwarded-for", {"x-forwarded-proto": ["gopher"], "x-forwarded-host": ['a"b']}, Origin()),
        (
            "x-real-ip",
            {"x-forwarded-host": ["a.example:8443"], "x-forwarded-port": ["8443"]},
            Origin(None, "a.example:8443", "8443"),
        ),
        ("x-forwarded-for", {"forwarded": ["for=192.0.2.1;proto=https"]}, Origin()),
        ("forwarded", {"forwarded": ["for=192.0.2.1;proto=https;host=a.example"]}, Origin("https", "a.example")),
        ("forwarded", {"forwarded": ["for=192.0.2.1;proto=https, for=10.0.0.2;proto=http"]}, Origin("https")),
        ("forwarded", {"forwarded": ["for=192.0.2.7;proto=ftp", "for=192.0.2.1;proto=https"]}, Origin("https")),
        ("forwarded", {"forwarded": ["for=192.0.2.1;proto=https;proto=http"]}, Origin()),
        ("forwarded", {"forwarded": ["for=unknown;proto=https"]}, Origin()),
        ("forwarded", {"x-forwarded-proto": ["https"]}, Origin()),
    ],
)
def test_scheme_and_host_come_from_the_one_kind_of_header_that_is_configured(
    header: str, fields: dict[str, list[str]], expected: Origin
) -> None:
    trusted = TrustedProxies(["10.0.0.0/8"], header)  # type: ignore[arg-type]
    assert origin_of(RequestHead("GET", "/", headers=fields, peer="10.0.0.1"), trusted) == expected
    assert origin_of(RequestHead("GET", "/", headers=fields, peer="192.0.2.200"), trusted) == Origin()
    assert origin_of(RequestHead("GET", "/", headers=fields, peer=None), trusted) == Origin()


@pytest.mark.parametrize(
    ("client", "host", "expected"),
    [
        ("203.0.113.9", b"a.example", 'for=203.0.113.9;proto=http;host="a.example"'),
        ("2001:db8::1", b"[::1]:8080", 'for="[2001:db8::1]";proto=http;host="[::1]:8080"'),
        (None, None, "for=unknown;proto=http"),
    ],
)
def test_a_client_is_named_as_rfc_7239_writes_it(client: str | None, host: bytes | None, expected: str) -> None:
    assert f"Forwarded: {expected}\r\n".encode() in forwarding_lines(client, "http", host)


def test_a_client_without_an_address_has_none_made_up() -> None:
    assert b"X-Forwarded-For" not in forwarding_lines(None, "http", b"a")


@pytest.mark.parametrize(
    ("host", "scheme", "port"),
    [
        (b"a", "http", "80"),
        (b"a", "https", "443"),
        (b"a:81", "https", "81"),
        (b"[::1]", "http", "80"),
        (b"[::1]:5", "http", "5"),
    ],
)
def test_the_port_is_the_one_that_the_client_typed(host: bytes, scheme: str, port: str) -> None:
    assert f"X-Forwarded-Port: {port}\r\n".encode() in forwarding_lines(None, scheme, host)


@pytest.mark.parametrize(
    ("decision", "word"),
    [
        (Decision(Reason.VERIFIED), "admitted"),
        (Decision(Reason.RECEIPT), "admitted"),
        (Decision(Reason.OUTAGE_ADMITTED), "admitted"),
        (Decision(Reason.UNGUARDED), "unguarded"),
        (Decision(Reason.EXEMPT), "unguarded"),
        (Decision(Reason.REPORT_ONLY, would_refuse=Reason.TOKEN_USED), "report"),
        (Decision(Reason.TOKEN_USED), "refused"),
    ],
)
def test_a_verdict_is_one_of_a_few_words(decision: Decision, word: str) -> None:
    assert word_of(decision) == word


def test_a_providers_name_that_no_field_may_hold_is_left_out() -> None:
    lines = verdict_lines(Decision(Reason.VERIFIED, provider="x\r\nX-Admin: yes"))
    assert lines == b"X-Caputchin-Verdict: admitted\r\nX-Caputchin-Reason: verified\r\n"


def test_a_signature_is_over_the_path_as_sent_and_not_over_the_query() -> None:
    signer = Signer(Secret(KEY))
    one, other, third = (
        signer.line(b"POST", target, Decision(Reason.VERIFIED), 1.0) for target in (b"/a?b", b"/a?c", b"/%61?b")
    )
    assert one == other != third


# The answer


ANSWER = (
    b"HTTP/1.1 207 Odd one\r\nServer: x/1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX_Under: score\r\n"
    b"Connection: X-Private\r\nX-Private: y\r\nKeep-Alive: timeout=5\r\nProxy-Connection: z\r\n"
    b"Content-Length: 2\r\n\r\nok"
)


def test_an_answer_arrives_as_it_was_sent_but_for_what_is_for_one_hop(running: Running, upstream: Scripted) -> None:
    upstream.play(Play(ANSWER))
    received = talk(running.port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert received == (
        b"HTTP/1.1 207 Odd one\r\nServer: x/1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX_Under: score\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\nok"
    )


LONG = b"x" * 100_000


@pytest.mark.parametrize(
    ("answer", "then"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + LONG, "keep"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + LONG + b"\r\n0\r\nX: trailer\r\n\r\n",
            "keep",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + LONG, "close"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + LONG, "close"),
    ],
    ids=["a length", "chunks", "until the end", "HTTP/1.0"],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_every_framing_of_an_answer_arrives_whole(
    running: Running, upstream: Scripted, answer: bytes, then: str, version: str
) -> None:
    upstream.play(Play(answer, then=then))
    raw = f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode()
    found: Answer = exchange(running.port, raw)
    assert (found.status, found.body) == (200, LONG)
    assert ("transfer-encoding" in found.headers) == (version == "1.1" and "content-length" not in found.headers)
    assert "trailer" not in found.headers


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none(running: Running, upstream: Scripted, status: int) -> None:
    answer = b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status
    upstream.play(Play(answer))
    found = exchange(running.port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (found.status, found.body, found.headers["etag"]) == (status, b"", "a")
    assert exchange(running.port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == status
    assert len(upstream.connections) == 2
