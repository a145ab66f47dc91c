"""One table of requests and what must become of them, run through every door over real servers.

A request is written as it goes over the wire. `{fresh}` in its body or head stands for a token that was just solved,
`{used}` for one that was admitted before, `{wrong}` for a right challenge with a wrong solution. Content-Length is
added, or the body goes in chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FORM: Final = "Content-Type: application/x-www-form-urlencoded"
JSON: Final = "Content-Type: application/json"
MULTIPART: Final = "Content-Type: multipart/form-data; boundary=xXx"


@dataclass(frozen=True)
class Scenario:
    name: str
    head: str
    body: bytes = b""
    status: tuple[int, ...] = (200,)
    reason: str | None = None  # as the application reads it from its decision
    ran: bool = True  # whether the application ran
    chunked: bool = False
    headers_seen: tuple[str, ...] | None = None


def part(name: str, value: str, more: str = "") -> bytes:
    return f'--xXx\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'.encode()


def file(content: bytes, name: str = "upload") -> bytes:
    head = f'--xXx\r\nContent-Disposition: form-data; name="{name}"; filename="a.bin"\r\n'
    return head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"


END: Final = b"--xXx--\r\n"
BIG: Final = bytes(range(256)) * 2048  # 512 KiB: more than one read of any server


def admitted(name: str, head: str, body: bytes = b"", **more: object) -> Scenario:
    return Scenario(name, head, body, (200,), "verified", **more)  # type: ignore[arg-type]


def refused(name: str, head: str, body: bytes = b"", *status: int, **more: object) -> Scenario:
    return Scenario(name, head, body, status or (403,), None, False, **more)  # type: ignore[arg-type]


OPEN: Final = (
    Scenario("an open page passes", "GET /"),
    Scenario("an open page passes with a query", "GET /?next=/contact"),
    Scenario("another method of a guarded path passes", "GET /contact"),
    Scenario("HEAD of a guarded path passes", "HEAD /contact"),
    Scenario("OPTIONS of a guarded path passes", "OPTIONS /any-method"),
    Scenario("a large open upload passes untouched", f"POST /upload\n{MULTIPART}", file(BIG) + END),
    Scenario("a malformed open body is not our business", f"POST /upload\n{JSON}", b'{"a":'),
    Scenario("an exempt path passes", f"POST /hooks/stripe\n{JSON}", b"{}", reason="exempt"),
    Scenario(
        "a verdict header on an open path is not looked at",
        "GET /\nX-Caputchin-Verdict: admitted",
        headers_seen=("x-caputchin-verdict",),
    ),
)

ADMITTED: Final = (
    admitted("a form with a fresh token", f"POST /contact\n{FORM}", b"name=Ann&caputchin-token={fresh}"),
    admitted("a token in the first field", f"POST /contact\n{FORM}", b"caputchin-token={fresh}&name=%FF%00"),
    admitted("a percent-encoded field name", f"POST /contact\n{FORM}", b"caputchin%2dtoken={fresh}"),
    admitted("a long form", f"POST /contact\n{FORM}", b"caputchin-token={fresh}&text=" + b"x" * 300_000),
    admitted("JSON with a fresh token", f"POST /contact\n{JSON}", b'{"name":"Ann","caputchin-token":"{fresh}"}'),
    admitted("JSON with a byte order mark", f"POST /contact\n{JSON}", b'\xef\xbb\xbf{"caputchin-token":"{fresh}"}'),
    admitted("a header token with any body", "POST /contact\nX-Caputchin-Token: {fresh}", b"\x00\xff" * 50_000),
    admitted(
        "a header token with a compressed body",
        "POST /contact\nX-Caputchin-Token: {fresh}\nContent-Encoding: gzip",
        b"zz",
    ),
    admitted("a header token without a body", "POST /contact\nX-Caputchin-Token: {fresh}"),
    admitted(
        "a multipart token before a file",
        f"POST /contact\n{MULTIPART}",
        part("caputchin-token", "{fresh}") + file(BIG) + END,
    ),
    admitted(
        "a multipart token after a file",
        f"POST /contact\n{MULTIPART}",
        file(BIG) + part("caputchin-token", "{fresh}") + END,
    ),
    admitted(
        "a preamble and an epilogue",
        f"POST /contact\n{MULTIPART}",
        b"hello\r\n" + part("caputchin-token", "{fresh}") + END + b"bye",
    ),
    admitted("a token in the query", "POST /by-query?caputchin-token={fresh}", b"anything"),
    admitted("a token in a cookie", "POST /by-query\nCookie: a=b; caputchin-token={fresh}", b"anything"),
    admitted("any method of a rule without one", f"PATCH /any-method\n{FORM}", b"caputchin-token={fresh}"),
    admitted("a path variable", f"PUT /items/7\n{FORM}", b"caputchin-token={fresh}"),
    admitted("a slash more than the rule", f"POST /contact/\n{FORM}", b"caputchin-token={fresh}"),
    admitted("a chunked body", f"POST /contact\n{FORM}", b"name=Ann&caputchin-token={fresh}", chunked=True),
    admitted(
        "a chunked multipart body",
        f"POST /contact\n{MULTIPART}",
        part("caputchin-token", "{fresh}") + file(BIG) + END,
        chunked=True,
    ),
    admitted(
        "the gate's own headers do not reach the application",
        f"POST /contact\n{FORM}\nX-Caputchin-Verdict: admitted\nX-Caputchin-Reason: verified",
        b"caputchin-token={fresh}",
        headers_seen=(),
    ),
    admitted(
        "a used header token does not reach the application",
        "POST /contact\nX-Caputchin-Token: {fresh}",
        headers_seen=(),
    ),
)

REFUSED: Final = (
    refused("no token", f"POST /contact\n{FORM}", b"name=Ann"),
    refused("no body", "POST /contact"),
    refused("an empty token", f"POST /contact\n{FORM}", b"caputchin-token="),
    refused("a blank token", f"POST /contact\n{FORM}", b"caputchin-token=++"),
    refused("another spelling of the field", f"POST /contact\n{FORM}", b"Caputchin-Token={fresh}"),
    refused("a forged token", f"POST /contact\n{FORM}", b"caputchin-token=" + b"A" * 32 + b".1"),
    refused("a wrong solution", f"POST /contact\n{FORM}", b"caputchin-token={wrong}"),
    refused("a used token", f"POST /contact\n{FORM}", b"caputchin-token={used}"),
    refused("a used token with another solution's spelling", f"POST /contact\n{FORM}", b"caputchin-token={used}%20x"),
    refused("a used token on another route", f"POST /any-method\n{FORM}", b"caputchin-token={used}"),
    refused("a used token in a header", "POST /contact\nX-Caputchin-Token: {used}"),
    refused("two different tokens", f"POST /contact\n{FORM}", b"caputchin-token={fresh}&caputchin-token={used}", 400),
    refused("two header tokens", "POST /contact\nX-Caputchin-Token: {fresh}\nX-Caputchin-Token: {fresh}", b"", 400),
    refused("an unknown media type", "POST /contact\nContent-Type: text/plain", b"caputchin-token={fresh}"),
    refused("no media type", "POST /contact", b"caputchin-token={fresh}"),
    refused("a compressed body", f"POST /contact\n{FORM}\nContent-Encoding: gzip", b"caputchin-token={fresh}", 415),
    refused("another charset", f"POST /contact\n{FORM}; charset=utf-16", b"caputchin-token={fresh}", 415),
    refused("JSON in UTF-16", f"POST /contact\n{JSON}", '{"caputchin-token":"{fresh}"}'.encode("utf-16"), 400),
    refused("broken JSON", f"POST /contact\n{JSON}", b'{"caputchin-token":"{fresh}"', 400),
    refused(
        "deep JSON",
        f"POST /contact\n{JSON}",
        b'{"caputchin-token":"{fresh}","x":' + b"[" * 1000 + b"]" * 1000 + b"}",
        400,
    ),
    refused("a JSON array", f"POST /contact\n{JSON}", b'["{fresh}"]'),
    refused("a number for a token", f"POST /contact\n{JSON}", b'{"caputchin-token":1}'),
    refused(
        "a duplicate JSON key", f"POST /contact\n{JSON}", b'{"caputchin-token":"x","caputchin-token":"{fresh}"}', 400
    ),
    refused("a nested JSON token", f"POST /contact\n{JSON}", b'{"a":{"caputchin-token":"{fresh}"}}'),
    refused("a multipart body cut short", f"POST /contact\n{MULTIPART}", part("caputchin-token", "{fresh}"), 400),
    refused(
        "a multipart body without a boundary",
        "POST /contact\nContent-Type: multipart/form-data",
        part("caputchin-token", "{fresh}") + END,
        400,
    ),
    refused("a token in a file", f"POST /contact\n{MULTIPART}", file(b"{fresh}", "caputchin-token") + END),
    refused(
        "two parts with tokens",
        f"POST /contact\n{MULTIPART}",
        part("caputchin-token", "{fresh}") + part("caputchin-token", "{used}") + END,
        400,
    ),
    refused(
        "a part with two names",
        f"POST /contact\n{MULTIPART}",
        part("caputchin-token", "{fresh}", '; name="x"') + END,
        400,
    ),
    refused("a body over the limit", f"POST /small\n{FORM}", b"x=" + b"y" * 100_000 + b"&caputchin-token={fresh}", 413),
    refused("a field flood", f"POST /contact\n{FORM}", b"a&" * 200_000, 400),
    refused("an override to a guarded method", "GET /contact\nX-HTTP-Method-Override: POST"),
    refused("an override in the query", "GET /contact?_method=post"),
    refused("a form that says it is a PUT", f"POST /items/7\n{FORM}", b"_method=PUT"),
    refused("a guarded GET", "GET /secret-page"),
    refused("HEAD of a guarded GET", "HEAD /secret-page"),
    refused("a double slash", f"POST //contact\n{FORM}", b"x=y"),
    refused("an encoded letter", f"POST /%63ontact\n{FORM}", b"x=y"),
    refused("an encoded newline", f"POST /contact%0a\n{FORM}", b"x=y"),
    refused("dot segments", f"POST /a/%2e%2e/contact\n{FORM}", b"x=y"),
    refused("a path parameter", f"POST /contact;a=b\n{FORM}", b"x=y"),
    refused("upper case", f"POST /CONTACT\n{FORM}", b"x=y"),
    refused("the gate's own prefix is never the application's", "POST /.caputchin/nothing", b"x", 404),
    Scenario("a refusal that redirects", f"POST /redirected\n{FORM}", b"x=y", (303,), ran=False),
    Scenario("a refusal that is passed on", f"POST /passed-on\n{FORM}", b"x=y", (200,), "token-missing"),
)

SCENARIOS: Final = OPEN + ADMITTED + REFUSED
