"""The promise of the route table against what real servers and frameworks do with odd targets (threats.md R1).

Whatever target is sent: if an ungated handler runs, then the table guards the request as a middleware in front of the
application is given it. The targets are those of which some reached a handler somewhere, and random ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from http.client import HTTPException, HTTPResponse
from socket import create_connection, socket
from typing import Any

import pytest

from caputchin_gate.messages import RequestHead
from caputchin_gate.routes import Ambiguous, RouteTable, Rule
from tests.servers import STACKS, Server, serve_all
from tests.ungated import MOUNT

PREFIXES = ("", MOUNT, "/app", f"/app{MOUNT}")
ROUTES = ("/login", "/api/comments", "/t/{slug}/reply", "/upload")
PROTECTED = ("/login", "/api/comments", "/t/x/reply", "/upload")
TABLES = {prefix: RouteTable([Rule(f"POST {prefix}{path}", None) for path in ROUTES]) for prefix in PREFIXES}
RANDOM_TARGETS = 300

SETUPS = (
    *((stack, "") for stack in STACKS if stack != "gunicorn-gthread"),  # it parses as gunicorn's other worker does
    *((stack, "/app") for stack in ("gunicorn-sync", "granian-wsgi", "waitress")),
    *((stack, "/app") for stack in ("uvicorn-h11", "uvicorn-httptools", "hypercorn", "daphne", "granian-asgi")),
)


@dataclass(frozen=True)
class Sent:
    target: bytes
    method: str = "POST"
    headers: tuple[str, ...] = ()

    def __bytes__(self) -> bytes:
        fields = "".join(f"{line}\r\n" for line in ("Host: any.host", "Content-Length: 0", *self.headers))
        return self.method.encode() + b" " + self.target + b" HTTP/1.1\r\n" + fields.encode() + b"\r\n"


@dataclass(frozen=True)
class Seen:
    """What a middleware was given, and the applications whose handler ran."""

    head: RequestHead
    ran: tuple[str, ...]


# Each row reached a handler on some stack (bypasses.md 1)
KNOWN = (
    *(b"/login", b"/login/", b"/api/comments", b"/t/x/reply", b"/upload?a=b", b"/below/login"),
    *(b"/login%0a", b"/api/comments%0a", b"/upload%0a", b"/t/x/reply%0a"),
    *(b"//login", b"///login", b"/%2flogin", b"/api%2fcomments", b"/t%2fx%2freply", b"/%6cogin", b"/%4cogin"),
    *(b"/t/../reply", b"/t/%2e%2e/reply", b"/t/./reply", b"/t/a%252fb/reply", b"/t/%2525/reply"),
    *(b"/t/a%3fb/reply", b"/t/a%23b/reply", b"/t/a;b/reply", b"/t/;x=1/reply", b"/t/a%0ab/reply", b"/t/%0a/reply"),
    *(b"/t/a%e2%80%a8b/reply", b"/t/%ff/reply", b"/t/%c3/reply", b"/t/%ed%a0%80/reply", b"/t/%00/reply"),
    *(b"http://any.host/login", b"https://any.host/login", b"ftp://any.host/login", b"ws://any.host/login"),
    *(b"http://[::1]/login", b"file:///login", b"http:///login", b"x:/login", b"http:/login", b"http:login"),
    *(b"http://any.host//login", b"//any.host/login", b"http://any.host/below/login", b"http://any.host/app/login"),
    *(b"/login#x", b"/login#/../open", b"/t/x#/reply", b"login", b"%2flogin", b"app/login"),
    *(b"/login\x85", b"/login\xa0", b"/login\x0b", b"/login\x0c", b"/login\x1f", b"/login\t", b"/log\tin"),
    *(
        b"/app/login",
        b"/applogin",
        b"/app//login",
        b"/app%2flogin",
        b"/%61pp/login",
        b"/app/app/login",
        b"/app/t/x/reply",
    ),
    *(b"/below//login", b"/below%2flogin", b"//below/login", b"/below/t/../reply", b"/belowlogin", b"/below/login%0a"),
    *(
        b"/login%ff",
        b"/lo%ffgin",
        b"/%80login",
        b"/t/x/re%c3ply",
        b"/log%c4%b1n",
        b"/log%c4%b0n",
        b"/api/comment%c5%bf",
    ),
    *(b"/LOGIN", b"/login;x", b"/%256cogin", b"/login.", b"/login%20", b"/login%00", b"\\login", b"/open/../login"),
)
KNOWN_BESIDES = (
    Sent(b"/login", "post"),
    Sent(b"/login", "PUT"),
    Sent(b"/login", "FOO"),
    Sent(b"/login", "GET", ("X-HTTP-Method-Override: POST",)),
    Sent(b"/login", "GET", ("X_HTTP_Method_Override: POST",)),
    Sent(b"/login", "GET", ("x-http-method-override: post",)),
    Sent(b"/x/login", "POST", ("SCRIPT_NAME: /x",)),
    Sent(b"/app/login", "POST", ("SCRIPT_NAME: /app",)),
    Sent(b"/xlogin", "POST", ("SCRIPT_NAME: /x",)),
    Sent(b"/open", "POST", ("X-Original-URL: /login", "X-Rewrite-URL: /login", "X-Forwarded-Prefix: /login")),
)

ATOMS = (
    *(b"/", b"//", b"/./", b"/../", b"/..", b"/.", b"%2f", b"%2F", b"%5c", b"\\", b"%2e", b".", b"%2e%2e", b"..", b";"),
    *(b";x=1", b"#", b"%23", b"?", b"%3f", b"%", b"%25", b"%2", b"%zz", b"%00", b"%0a", b"%0d", b"%09", b"\t", b"%20"),
    *(b" ", b"%c2%a0", b"%e2%80%a8", b"%ff", b"%c3%a9", b"\xc3\xa9", b"\x85", b"\xa0", b"\x0b", b"\x1c", b"%ef%bc%8f"),
    *(b"%80", b"%c3", b"%e2%82", b"%f0%9f", b"%c4%b1", b"%c4%b0", b"%c5%bf", b"%e2%84%aa"),
    *(b":", b"@", b"http://any.host", b"http:", b"x:/", b"file://", b"//any.host", b"/app", b"/below", b"login", b"x"),
    *(b"+", b"*", b"~", b"|", b"[", b"]", b"{", b"}", b"<", b'"', b"^", b"`", b"&", b"=", b",", b"!"),
)


def random_target(chance: random.Random, root_path: str) -> bytes:
    """A protected path, spoiled in one to four places."""
    prefix = chance.choice(("", "", MOUNT)) if not root_path else chance.choice(("", root_path, root_path + MOUNT))
    target = (prefix + chance.choice(PROTECTED)).encode()
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        at = chance.choice((0, len(target), chance.randrange(len(target) + 1), chance.randrange(len(target) + 1)))
        match chance.randrange(5):
            case 0 if at < len(target):
                escaped = b"%%%02x" % target[at]
                target = target[:at] + chance.choice((escaped, escaped.upper())) + target[at + 1 :]
            case 1 if at < len(target):
                target = target[:at] + target[at : at + 1].swapcase() + target[at + 1 :]
            case 2 if b"/t/x/" in target:
                slug = b"".join(chance.choice(ATOMS) for _ in range(chance.randrange(1, 3)))
                target = target.replace(b"/t/x/", b"/t/" + slug + b"/", 1)
            case _:
                target = target[:at] + chance.choice(ATOMS) + target[at:]
    return target


def requests(stack: str, root_path: str) -> Iterator[Sent]:
    yield from map(Sent, KNOWN)
    if root_path:
        yield from (Sent(root_path.encode() + target) for target in KNOWN)
    yield from KNOWN_BESIDES
    chance = random.Random(stack + root_path)
    for _ in range(RANDOM_TARGETS):
        yield Sent(random_target(chance, root_path), chance.choice(("POST", "POST", "POST", "post")))


def send_all(server: Server, requests: Sequence[Sent]) -> Iterator[tuple[Sent, Seen]]:
    """Each request over a connection that is kept as long as the server keeps it. Its own refusals are left out."""
    connection: socket | None = None
    for request in requests:
        if connection is None:
            connection = create_connection(server.address, timeout=10)
        answer = None
        try:
            connection.sendall(bytes(request))
            with closing(HTTPResponse(connection)) as answer:
                answer.begin()
                body = answer.read()
            if answer.status == 200:
                yield request, as_seen(json.loads(body))
        except (HTTPException, ConnectionError):
            answer = None
        if answer is None or answer.will_close or answer.status != 200:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


def as_seen(report: dict[str, Any]) -> Seen:
    return Seen(RequestHead(**report["head"]), tuple(report["ran"]))


def is_guarded(table: RouteTable[None], head: RequestHead) -> bool:
    if table.untouched(head.path, head.raw_path, head.root_path):
        return False
    return isinstance(table.match(head), Rule | Ambiguous)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[tuple[str, str], Server]]:
    wanted = {
        (stack, root): Server(stack, f"tests.ungated.{STACKS[stack].interface}:application", root)
        for stack, root in SETUPS
    }
    with serve_all(list(wanted.values())):
        yield wanted


@pytest.mark.parametrize(("stack", "root_path"), SETUPS)
def test_no_handler_runs_for_a_request_that_the_table_leaves_open(
    servers: dict[tuple[str, str], Server], stack: str, root_path: str
) -> None:
    reached: set[bytes] = set()
    open_: list[tuple[Sent, str, RequestHead]] = []
    for sent, seen in send_all(servers[stack, root_path], list(requests(stack, root_path))):
        for app in seen.ran:
            reached.add(sent.target)
            below = MOUNT if app.endswith("-below") else ""
            # Patterns may be typed with or without the prefix that the server knows; clients of gunicorn name others
            prefixes = {below, root_path + below} if seen.head.root_path == root_path else {below}
            # A door that is not told the target as sent must be as safe as one that is
            for head in (seen.head, replace(seen.head, raw_path=None)):
                open_ += [(sent, app, head) for prefix in prefixes if not is_guarded(TABLES[prefix], head)]
    assert open_ == []
    odd = reached - {path.encode() for path in PROTECTED}
    assert len(odd) >= 25, "too few odd targets reached a handler for this to mean anything"
