"""No secret, token, password, body, query, cookie or Authorization comes out anywhere (threats.md R35).

Each of them holds a canary. Whatever a command, a door or a server prints, logs or answers is searched for all of them,
through passes, refusals, a provider that fails in every way, a store that goes away, and settings that are wrong.
"""

from __future__ import annotations

import base64
import gc
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
import trustme

from caputchin_gate import ConfigurationError, Gate, load_gate
from tests.redis_servers import RedisServer
from tests.servers import STACKS, serve
from tests.sidecar.running import as_toml, sidecar
from tests.sidecar.scripted import Play
from tests.sidecar.scripted import Scripted as Application
from tests.siteverify_server import Pace, Scripted, SiteverifyServer
from tests.test_cli import demo, typed
from tests.wire import PATIENCE, request_bytes

MARK: Final = "Kanarienvogel"


def canary(name: str) -> str:
    return f"{MARK}-{name}-{MARK[::-1]}-0123456789"


SECRET = "cpt_sec_" + canary("secret")
KEY = canary("signing-key-of-more-than-32-characters")
TOKEN = canary("token")
REDIS = canary("redis-password")
ENVIRONMENT = {"CANARY_SECRET": SECRET, "CANARY_KEY": KEY}

FORM = "Content-Type: application/x-www-form-urlencoded"
PRIVATE = "\n".join(
    (
        f"Cookie: session={canary('cookie')}; caputchin-receipt={canary('receipt')}",
        f"Authorization: Bearer {canary('authorization')}",
        f"X-Api-Key: {canary('header')}",
        f"Referer: https://shop.example/?{canary('referer')}",
        f"User-Agent: {canary('user-agent')}",
    )
)
BODY = f"name={canary('body')}&password={canary('password')}"
QUERY = f"?next={canary('query')}"


def form(path: str, token: str | None = TOKEN, accept: str = "*/*", more: str = "") -> bytes:
    body = BODY + (f"&caputchin-token={token}" if token is not None else "") + more
    return request_bytes(f"POST {path}{QUERY}\n{FORM}\nAccept: {accept}\n{PRIVATE}", body.encode())


def multipart(content: str) -> bytes:
    head = f"POST /contact{QUERY}\nContent-Type: multipart/form-data; boundary=xXx\n{PRIVATE}"
    return request_bytes(head, content.encode())


PART = f'--xXx\r\nContent-Disposition: form-data; name="{canary("part")}"\r\n\r\n{canary("value")}\r\n'

# Requests of every kind that is refused, broken or admitted somewhere on the way.
REQUESTS = (
    *(form(path, accept=accept) for path in ("/contact", "/admit") for accept in ("text/html", "application/json")),
    *(form("/contact") for _ in range(8)),  # whatever the provider answers next
    form("/open"),
    form("/contact", None),
    form("/contact", canary("other token"), more=f"&caputchin-token={TOKEN}"),
    form("/contact", "ä" + TOKEN),
    form("/passed", None),
    form("//contact", None),
    form(f"/contact;{canary('parameter')}", None),
    multipart(PART),
    multipart(PART.replace(": ", " ") + "--xXx--\r\n"),
    multipart(PART + "--xXx--\r\n"),
    request_bytes(f"POST /contact{QUERY}\nContent-Type: application/json\n{PRIVATE}", f'{{"a":"{BODY}"'.encode()),
    request_bytes(f"POST /contact{QUERY}\n{FORM}; charset={canary('charset')}\n{PRIVATE}", BODY.encode()),
    request_bytes(f"POST /contact{QUERY}\n{FORM}\nContent-Encoding: {canary('coding')}\n{PRIVATE}", BODY.encode()),
    request_bytes(f"POST /contact{QUERY}\nX-Caputchin-Token: {TOKEN}\nX-Caputchin-Token: {TOKEN}\n{PRIVATE}", b""),
    request_bytes(f"POST /contact{QUERY}\nX-Caputchin-Token: {TOKEN}\n{PRIVATE}", b""),
    request_bytes(f"POST /.caputchin/{canary('path')}{QUERY}\n{PRIVATE}", BODY.encode()),
    request_bytes(
        f"POST /.caputchin/siteverify{QUERY}\n{FORM}\n{PRIVATE}", f"secret={SECRET}&response={TOKEN}".encode()
    ),
    request_bytes(f"GET /open{QUERY}\nUpgrade: {canary('upgrade')}\nConnection: Upgrade\n{PRIVATE}", b""),
    form("/contact")[:-40],  # the client goes away
)

# What is no HTTP. Other servers than ours say in their logs and answers what they like about it.
BROKEN = (
    form("/contact").replace(b"HTTP/1.1", b"HTTP/1.1 " + canary("version").encode()),
    form("/contact").replace(b"Host: ", b"Host : "),
    form("/contact").replace(b"Accept:", canary("name").encode() + b" :"),
    form("/contact").replace(b"\r\n\r\n", f"\r\nTransfer-Encoding: {canary('transfer')}\r\n\r\n".encode()),
)

# One after the other, the last one again and again: what a provider may do.
ANSWERS = (
    Scripted.json({"success": True}),
    Scripted.json({"success": False, "error-codes": ["invalid-input-response"]}),
    Scripted.json({"success": False, "error-codes": ["invalid-input-secret"]}),
    Scripted(body=b"<html>no JSON</html>"),
    Scripted(500, body=b"broken"),
    Scripted(302, (("Location", "https://elsewhere.example/"),)),
    Scripted(429, (("Retry-After", "5"),)),
    Scripted(raw=b"no HTTP at all\r\n\r\n"),
    Scripted.json({"success": True}, 201),
    Scripted(pace=Pace.GONE),
    Scripted(pace=Pace.SILENT),
    Scripted(pace=Pace.TRICKLE),
    Scripted.json({"success": True}),
)

# Of an application: also answers that are none.
PLAYS = (
    Play(),
    Play(b"no HTTP " + canary("answer").encode() + b"\r\n\r\n", then="close"),
    Play(f"HTTP/1.1 200 OK\r\nX: {canary('answer')}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".encode()),
    Play(b"HTTP/1.1 101 " + canary("answer").encode() + b"\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    Play(b"", then="close"),
    Play(),
)


def found_in(shown: str | bytes) -> list[str]:
    """The first places where a canary shows: as it is, percent-encoded, in base64 or in another case."""
    text = shown.decode("latin-1") if isinstance(shown, bytes) else shown
    encoded = [base64.b64encode(MARK[start:].encode())[:12].decode() for start in range(3)]
    marks = [MARK, MARK[::-1], *encoded]
    pattern = re.compile("|".join(map(re.escape, marks)), re.IGNORECASE)
    places = (text[max(0, match.start() - 60) : match.end() + 40] for match in pattern.finditer(text))
    return list(islice(places, 3))


def test_the_search_finds_what_there_is() -> None:
    token = canary("token")
    for shown in (token, token.lower(), quote(token), base64.b64encode(token.encode()).decode(), f"{token!r}".encode()):
        assert found_in(shown)
    assert not found_in("nothing of the kind")


def answers_to(port: int, requests: tuple[bytes, ...] = REQUESTS) -> bytes:
    """All that a server answers."""
    received = b""
    for raw in requests:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection, suppress(ConnectionError):
            connection.sendall(raw)
            if raw == REQUESTS[-1]:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
    return received


# The sidecar


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        server.say("CONFIG", "SET", "requirepass", REDIS)
        yield server


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_sidecar_tells_no_canary(log_format: str, tmp_path: Path, redis: RedisServer) -> None:
    store = redis.url.replace("redis://", f"redis://:{REDIS}@")
    with SiteverifyServer(ANSWERS) as provider, Application(PLAYS) as application:
        settings: dict[str, Any] = {
            "protect": ["POST /contact"],
            "route": [
                {"match": "POST /passed", "on_refuse": "pass"},
                {"match": "POST /admit", "on_outage": "admit"},
            ],
            "exempt": [],
            "receipt": "2m",
            "store": store,
            "provider": {
                "kind": "caputchin",
                "secret": {"env": "CANARY_SECRET"},
                "endpoint": provider.url,
                "timeout": "300ms",
                "attempts": 1,
            },
            "in_process": {"signing_key": {"env": "CANARY_KEY"}},
            "limits": {"submissions_per_minute": 10_000},
        }
        table = {"log_format": log_format, "sign_verdicts": {"env": "CANARY_KEY"}, "admin": "127.0.0.1:0"}
        with sidecar(tmp_path, application.url, ENVIRONMENT, **settings, sidecar=table) as running:
            answers = answers_to(running.port, REQUESTS + BROKEN)
            told = answers_to(
                running.admin, tuple(request_bytes(f"GET /{path}", b"") for path in ("metrics", "readyz", ""))
            )
            assert b"caputchin_gate_" in told
            redis.kill()
            answers += answers_to(running.port, REQUESTS[:6])
            running.wait_for("can't be used")
            wrong = {**settings, "store": f"redis://:{REDIS}@h:{canary('port')}", "sidecar": {"upstream": SECRET}}
            running.configure(**wrong)
            running.process.send_signal(1)
            running.wait_for("reload refused")
        log = running.output()
    assert log.count("decision ") > 20
    assert answers.count(b"HTTP/1.1 ") > 30
    assert found_in(log) == []
    assert found_in(told) == []
    assert found_in(answers) == []


def test_tls_keys_and_their_troubles_tell_no_canary(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("localhost")
    lines = certificate.private_key_pem.bytes().decode().splitlines()
    pem, broken = tmp_path / "server.pem", tmp_path / "server.key"
    pem.write_bytes(certificate.cert_chain_pems[0].bytes())
    broken.write_text("\n".join([lines[0], canary("key"), *lines[1:]]))
    tls = {"certificate": str(pem), "key": str(broken)}
    for table in ({"tls": tls}, {"tls": {**tls, "certificate": str(broken)}}, {"tls": {"key": canary("key")}}):
        settings = {**GOOD, "sidecar": {"upstream": "http://127.0.0.1:1", "listen": "127.0.0.1:0", **table}}
        (tmp_path / "gate.toml").write_text(as_toml(settings))
        done = typed("proxy", "gate.toml", folder=tmp_path)
        assert done.returncode == 2
        shown = done.stdout + done.stderr
        assert found_in(shown) == []
        assert not any(line in shown for line in lines[1:-1])


# Doors


@pytest.mark.parametrize("stack", ["uvicorn-h11", "gunicorn-gthread"])
def test_an_application_that_logs_all_it_can_tells_no_canary(stack: str, tmp_path: Path, redis: RedisServer) -> None:
    store = redis.url.replace("redis://", f"redis://:{REDIS}@")
    options = {"uvicorn-h11": ["--log-level", "info", "--no-access-log"]}.get(stack, [])
    with SiteverifyServer(ANSWERS) as provider:
        environment = {**ENVIRONMENT, "CANARY_PROVIDER": provider.url, "CANARY_STORE": store}
        app = f"tests.canary_site:{STACKS[stack].interface}"
        with serve(stack, app, environment=environment, options=options) as server:
            answers = answers_to(server.port)
            redis.kill()
            answers += answers_to(server.port, REQUESTS[:6])
            log = server.output()
    assert log.count("decision ") > 20
    assert found_in(log) == []
    assert found_in(answers) == []


def test_the_demo_tells_no_canary() -> None:
    with demo() as (process, port):
        answers = answers_to(port, (*REQUESTS, request_bytes(f"GET /{QUERY}\n{PRIVATE}", b"")))
        process.terminate()
        out, errors = process.communicate(timeout=PATIENCE)
    assert errors.count("decision ") > 5
    assert found_in(out + errors) == []
    assert found_in(answers) == []


# Commands and exceptions

GOOD: dict[str, Any] = {
    "protect": ["POST /contact"],
    "store": "memory",
    "provider": {"kind": "caputchin", "secret": SECRET, "endpoint": "http://127.0.0.1:1/siteverify"},
    "in_process": {"signing_key": KEY},
}
SITE = {"site_key": "shop", "secret": canary("site")}

WRONG: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a key in the wrong place": {"secret": SECRET, "signing_key": KEY},
    "a secret that is a list": {"provider": {"kind": "caputchin", "secret": [SECRET]}},
    "a secret that is a table": {"provider": {"kind": "caputchin", "secret": {"value": SECRET}}},
    "a secret with a blank": {"provider": {"kind": "caputchin", "secret": SECRET + " "}},
    "a secret of another kind": {"provider": {"kind": "caputchin", "secret": "cpt_pub_" + canary("secret")}},
    "a secret for a kind": {"provider": {"kind": SECRET}},
    "an address with a password": {
        "provider": {**GOOD["provider"], "endpoint": f"http://u:{canary('password')}@provider.example/"}
    },
    "a store with a password": {"store": f"redis://u:{REDIS}@h:99999/x"},
    "a store that is none": {"store": f"redsi://u:{REDIS}@h/0"},
    "a store of another shape": {"store": {"url": f"redis://u:{REDIS}@h"}},
    "a store that is away": {"store": f"redis://u:{REDIS}@127.0.0.1:1/0"},
    "a short key": {"in_process": {"signing_key": MARK}},
    "keys of which one is a number": {"in_process": {"signing_key": [KEY, 7]}},
    "a site twice": {"in_process": {"sites": [SITE, SITE]}},
    "a site with a short secret": {"in_process": {"sites": [{**SITE, "secret": MARK}]}},
    "a verdict key that is a list": {"sidecar": {"upstream": "http://127.0.0.1:1", "sign_verdicts": [KEY, 1]}},
    "an upstream with a password": {"sidecar": {"upstream": f"http://u:{canary('password')}@127.0.0.1:1"}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_settings_that_are_wrong_are_told_without_a_canary(wrong: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(as_toml({**GOOD, **wrong}))
    try:
        load_gate(file).close()
    except ConfigurationError as failure:
        told = f"{failure} {failure!r} {failure.problems!r}"
    else:
        told = ""
    assert found_in(told) == []


def test_no_command_tells_a_canary(tmp_path: Path) -> None:
    """Each command once, over a right file, one with everything wrong, and one that is no TOML."""
    merged: dict[str, Any] = {}
    for wrong in WRONG.values():
        merged |= wrong
    files = {
        "right": as_toml(GOOD),
        "wrong": as_toml({**GOOD, **merged}),
        "broken": as_toml(GOOD) + f'secret = "{SECRET}\nkey = {KEY}\n',
    }
    for name, content in files.items():
        (tmp_path / f"{name}.toml").write_text(content)
    commands = [
        *(["check", f"{name}.toml"] for name in files),
        ["verify", "right.toml", TOKEN],
        ["verify", "right.toml", TOKEN, TOKEN],
        ["verify", "wrong.toml", TOKEN],
        ["explain", "broken.toml", "POST", "/contact"],
        ["audit", "wrong.toml", "tests.form_site:missing"],
        ["proxy", "right.toml", "--listen", "192.0.2.1:80", "--upstream", "http://127.0.0.1:1"],
        ["serve", "wrong.toml"],
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "caputchin_gate", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for command in commands
    ]
    for process in processes:
        shown, _ = process.communicate(timeout=4 * PATIENCE)
        assert shown, process.args
        assert found_in(shown) == [], process.args


def test_no_object_of_a_gate_shows_a_canary_in_its_repr() -> None:
    gate = Gate(
        **GOOD,
        providers={"own": {"kind": "caputchin", "verification": "in-process"}},
        receipt="2m",
        limits={"submissions_per_minute": 5},
    )
    gate.verify(TOKEN)
    seen: set[int] = set()
    waiting: list[Any] = [gate]
    shown = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        kind = type(one)
        own = kind.__module__.startswith("caputchin_gate")
        if own and kind.__name__ != "Secret":
            shown += 1
            assert found_in(repr(one)) == [], kind
        if own or isinstance(one, dict | list | tuple | set | frozenset):
            waiting += [other for other in gc.get_referents(one) if not isinstance(other, type)]
        if kind.__name__ == "Secret":
            assert found_in(f"{one} {one!r} {one:>80}") == []
    gate.close()
    assert shown > 20
