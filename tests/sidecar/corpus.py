"""Requests as bytes that no two parsers may read differently: refused by the sidecar before anything goes upstream.

Each hides a `POST /login` without a token behind what some parser, somewhere, takes for the end of the request before.
"""

from __future__ import annotations

from dataclasses import dataclass

HIDDEN = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nx=y"
BIG_NUMBER = b"9" * 400


@dataclass(frozen=True)
class Raw:
    name: str
    sent: bytes
    status: tuple[int, ...] = (400,)


def post(name: str, *lines: bytes, body: bytes = b"", status: int = 400, start: bytes = b"POST /open HTTP/1.1") -> Raw:
    """A POST to an open path, with a Host unless the first line brings one."""
    head = b"\r\n".join((start, b"Host: a", *lines, b"", b""))
    return Raw(name, head + body, (status,))


def get(name: str, start: bytes, *lines: bytes, status: int = 400) -> Raw:
    return post(name, *lines, start=start, body=HIDDEN, status=status)


def chunked(name: str, body: bytes) -> Raw:
    return post(name, b"Transfer-Encoding: chunked", body=body)


CL = b"Content-Length: %d" % len(HIDDEN)
TE = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n" + HIDDEN

FRAMING = (
    post("CL.TE", b"Content-Length: 5", TE, body=END),
    post("TE.CL", TE, b"Content-Length: 5", body=END),
    post("TE and a length of nothing", TE, b"Content-Length: 0", body=END),
    post("two lengths", b"Content-Length: 0", CL, body=HIDDEN),
    post("two equal lengths", CL, CL, body=HIDDEN),
    post("a list of lengths", b"Content-Length: 0, 0", body=HIDDEN),
    post("a list of equal lengths", b"Content-Length: 57, 57", body=HIDDEN),
    post("a length with a plus", b"Content-Length: +0", body=HIDDEN),
    post("a length with a minus", b"Content-Length: -0", body=HIDDEN),
    post("a negative length", b"Content-Length: -5", body=HIDDEN),
    post("a hexadecimal length", b"Content-Length: 0x0", body=HIDDEN),
    post("a length with an underscore", b"Content-Length: 0_0", body=HIDDEN),
    post("a length with a blank inside", b"Content-Length: 0 0", body=HIDDEN),
    post("a length with a dot", b"Content-Length: 0.0", body=HIDDEN),
    post("a length with a comma", b"Content-Length: 0,", body=HIDDEN),
    post("an empty length", b"Content-Length:", body=HIDDEN),
    post("a quoted length", b'Content-Length: "0"', body=HIDDEN),
    post("a length in other digits", "Content-Length: \u0661".encode(), body=HIDDEN),
    post("a length of nineteen digits", b"Content-Length: 0000000000000000000", body=HIDDEN),
    post("a length beyond all numbers", b"Content-Length: " + BIG_NUMBER, body=HIDDEN),
    post("a length with a vertical tab", b"Content-Length: \x0b0", body=HIDDEN),
    post("a length with a form feed", b"Content-Length: 0\x0c", body=HIDDEN),
    post("two codings", TE, TE, body=END),
    post("two codings of which one is nothing", TE, b"Transfer-Encoding: identity", body=END),
    post("identity", b"Transfer-Encoding: identity", body=HIDDEN, status=501),
    post("gzip", b"Transfer-Encoding: gzip", body=HIDDEN, status=501),
    post("gzip, chunked", b"Transfer-Encoding: gzip, chunked", body=END, status=501),
    post("chunked, gzip", b"Transfer-Encoding: chunked, gzip", body=END, status=501),
    post("chunked, chunked", b"Transfer-Encoding: chunked, chunked", body=END, status=501),
    post("chunked and a comma", b"Transfer-Encoding: chunked,", body=END, status=501),
    post("a comma and chunked", b"Transfer-Encoding: ,chunked", body=END, status=501),
    post("a quoted coding", b'Transfer-Encoding: "chunked"', body=END, status=501),
    post("a coding with a parameter", b"Transfer-Encoding: chunked;a=b", body=END, status=501),
    post("xchunked", b"Transfer-Encoding: xchunked", body=END, status=501),
    post("no coding at all", b"Transfer-Encoding:", body=END, status=501),
    post("a coding with a vertical tab", b"Transfer-Encoding: \x0bchunked", body=END),
    post("a coding with a NUL", b"Transfer-Encoding: chunked\x00", body=END),
    post("a coding with obsolete text", b"Transfer-Encoding: chunked\xa0", body=END, status=501),
    post("a folded coding", b"Transfer-Encoding:\r\n chunked", body=END),
    post("a folded length", b"Content-Length:\r\n 0", body=HIDDEN),
    post("a folded field", b"X-A: b\r\n\tTransfer-Encoding: chunked", body=END),
    post("a blank before the colon of a coding", b"Transfer-Encoding : chunked", body=END),
    post("a tab before the colon of a length", b"Content-Length\t: 0", body=HIDDEN),
    post("a coding that begins with a blank", b" Transfer-Encoding: chunked", body=END),
    post("chunked in HTTP/1.0", TE, body=END, start=b"POST /open HTTP/1.0"),
)

CHUNKS = (
    chunked("a size with a sign", b"+5\r\nhello\r\n" + END),
    chunked("a size with 0x", b"0x5\r\nhello\r\n" + END),
    chunked("a size with an underscore", b"0_5\r\nhello\r\n" + END),
    chunked("a size with a blank before it", b" 5\r\nhello\r\n" + END),
    chunked("a size with a blank behind it", b"5 \r\nhello\r\n" + END),
    chunked("a blank before an extension", b"5 ;a\r\nhello\r\n" + END),
    chunked("a size of nine digits", b"000000005\r\nhello\r\n" + END),
    chunked("a size beyond all numbers", b"f" * 400 + b"\r\nhello\r\n" + END),
    chunked("no size", b"\r\nhello\r\n" + END),
    chunked("a size that is none", b"g\r\nhello\r\n" + END),
    chunked("a size line that ends in LF", b"5\nhello\r\n" + END),
    chunked("a size line that ends in CR", b"5\rhello\r\n" + END),
    chunked("a chunk that ends in LF", b"5\r\nhello\n" + END),
    chunked("a chunk that ends in CR", b"5\r\nhello\r" + END),
    chunked("a chunk that is longer than its size", b"4\r\nhello\r\n" + END),
    chunked("a chunk that is shorter than its size", b"6\r\nhello\r\n" + END),
    chunked("an extension with an LF", b"5;a\nb\r\nhello\r\n" + END),
    chunked("an extension with a CR", b"5;a\rb\r\nhello\r\n" + END),
    chunked("an extension with a NUL", b"5;a\x00b\r\nhello\r\n" + END),
    chunked("an extension without a name", b"5;\r\nhello\r\n" + END),
    chunked("an extension with a blank", b"5; a\r\nhello\r\n" + END),
    chunked("an extension with an open quote", b'5;a="b\r\nhello\r\n' + END),
    chunked("a long extension", b"5;" + b"a" * 300 + b"\r\nhello\r\n" + END),
    chunked("many extensions", (b"1;" + b"a" * 250 + b"\r\nx\r\n") * 100 + END),
    chunked("a last chunk that ends in LF", b"0\n\n" + HIDDEN),
    chunked("a trailer with a blank before its colon", b"0\r\nA : b\r\n\r\n" + HIDDEN),
    chunked("a folded trailer", b"0\r\nA: b\r\n c\r\n\r\n" + HIDDEN),
    chunked("a trailer that is none", b"0\r\nPOST /login HTTP/1.1\r\n\r\n" + HIDDEN),
    chunked("a trailer with a NUL", b"0\r\nA: \x00\r\n\r\n" + HIDDEN),
    chunked("a length in the trailers", b"0\r\nContent-Length: 3\r\n\r\n" + HIDDEN),
    chunked("a coding in the trailers", b"0\r\nA: b\r\ntransfer-Encoding: chunked\r\n\r\n" + HIDDEN),
    chunked("an LF where trailers begin", b"0\r\n\n\r\n" + HIDDEN),
    chunked("seventeen trailers", b"0\r\n" + b"A: b\r\n" * 17 + b"\r\n" + HIDDEN),
    chunked("long trailers", b"0\r\nA: " + b"b" * 9000 + b"\r\n\r\n" + HIDDEN),
)

HEADS = (
    post("two Hosts", b"Host: b", body=HIDDEN),
    post("two equal Hosts", b"Host: a", body=HIDDEN),
    Raw("no Host", b"GET / HTTP/1.1\r\n\r\n" + HIDDEN),
    Raw("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n" + HIDDEN),
    Raw("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" + HIDDEN),
    Raw("a Host with a user", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" + HIDDEN),
    Raw("a Host with a blank", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + HIDDEN),
    Raw("a list of Hosts", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" + HIDDEN),
    Raw("a Host with a port that is none", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n" + HIDDEN),
    Raw("a blank before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n" + HIDDEN),
    Raw("line ends in LF", b"GET / HTTP/1.1\nHost: a\n\n" + HIDDEN),
    Raw("one line end in LF", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n" + HIDDEN),
    Raw("a request line in LF", b"GET / HTTP/1.1\nHost: a\r\n\r\n" + HIDDEN),
    Raw("line ends in CR", b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n" + HIDDEN),
    Raw("CR before CRLF", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n" + HIDDEN),
    Raw("an empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" + HIDDEN),
    Raw("an empty head", b"\r\n\r\n" + HIDDEN),
    post("an empty name", b": a", body=HIDDEN),
    post("no colon", b"Transfer-Encoding chunked", body=END),
    post("a name with a blank", b"X A: b", body=HIDDEN),
    post("a name in brackets", b"X(A): b", body=HIDDEN),
    post("a name with obsolete text", b"X\xe9: b", body=HIDDEN),
    post("a name with a NUL", b"X\x00: b", body=HIDDEN),
    post("a value with a NUL", b"X: \x00", body=HIDDEN),
    post("a value with a bell", b"X: \x07", body=HIDDEN),
    post("a value with DEL", b"X: \x7f", body=HIDDEN),
    post("an unknown expectation", b"Expect: 200-ok", body=HIDDEN, status=417),
    post("two expectations", b"Expect: 100-continue", b"Expect: 100-continue", body=HIDDEN, status=417),
    post("too many fields", *(b"X-%d: y" % n for n in range(200)), body=HIDDEN, status=431),
    post("a head that is too large", b"X: " + b"y" * 40_000, body=HIDDEN, status=431),
    Raw("a head that never ends", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000, (431,)),
    Raw("a request line that never ends", b"GET /" + b"a" * 40_000, (431,)),
)

REQUEST_LINES = (
    get("a target without a slash", b"POST login HTTP/1.1"),
    get("an encoded target without a slash", b"POST %2flogin HTTP/1.1"),
    get("a target with a fragment", b"POST /login#x HTTP/1.1"),
    get("a target of another host", b"POST http://other.host/login HTTP/1.1"),
    get("a target of another host's port", b"POST http://a:81/login HTTP/1.1"),
    get("a target with a user", b"POST http://x@a/login HTTP/1.1"),
    get("another scheme", b"POST ftp://a/login HTTP/1.1"),
    get("a file", b"POST file:///login HTTP/1.1"),
    get("no authority", b"POST http:///login HTTP/1.1"),
    get("a scheme alone", b"POST http:login HTTP/1.1"),
    get("a tab in the target", b"POST /log\tin HTTP/1.1"),
    get("a tab behind the target", b"POST /login\t HTTP/1.1"),
    get("a vertical tab", b"POST /login\x0b HTTP/1.1"),
    get("a next line", b"POST /login\x85 HTTP/1.1"),
    get("a no-break space", b"POST /login\xa0 HTTP/1.1"),
    get("a NUL in the target", b"POST /login\x00 HTTP/1.1"),
    get("UTF-8 in the target", "POST /löschen HTTP/1.1".encode()),
    get("a blank in the target", b"POST /log in HTTP/1.1"),
    get("an asterisk", b"POST * HTTP/1.1"),
    get("two blanks before the target", b"POST  /login HTTP/1.1"),
    get("two blanks behind the target", b"POST /login  HTTP/1.1"),
    get("a blank at the end", b"POST /login HTTP/1.1 "),
    get("tabs between", b"POST\t/login\tHTTP/1.1"),
    get("a blank first", b" POST /login HTTP/1.1"),
    get("a long target", b"GET /" + b"a" * 9000 + b" HTTP/1.1", status=414),
    get("a lower-case method", b"post /login HTTP/1.1"),
    get("a method in brackets", b"(POST) /login HTTP/1.1"),
    get("a method with a colon", b"PO:ST /login HTTP/1.1"),
    get("CONNECT", b"CONNECT a:80 HTTP/1.1", status=405),
    get("CONNECT of a path", b"CONNECT /login HTTP/1.1", status=405),
    get("HTTP/2.0", b"POST /login HTTP/2.0", status=505),
    get("HTTP/1.2", b"POST /login HTTP/1.2", status=505),
    get("HTTP/0.9", b"POST /login HTTP/0.9", status=505),
    get("HTTP/1.10", b"POST /login HTTP/1.10"),
    get("http/1.1", b"POST /login http/1.1"),
    get("HTTP/1,1", b"POST /login HTTP/1,1"),
    get("HTTPS/1.1", b"POST /login HTTPS/1.1"),
    get("no version", b"POST /login"),
    Raw("HTTP/0.9 alone", b"GET /\r\n\r\n" + HIDDEN),
    Raw("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, (400, 505)),
    Raw("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
)

REFUSED = FRAMING + CHUNKS + HEADS + REQUEST_LINES
