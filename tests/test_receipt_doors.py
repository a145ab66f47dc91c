"""Receipts through every door, over real servers: a form with a mistake is corrected without a new token."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from caputchin_gate.engines.native import NativeChallenges
from caputchin_gate.engines.solver import solve
from tests.form_site import OWN_COOKIES, SIGNING_KEY, USES
from tests.redis_servers import RedisServer
from tests.servers import STACKS, Server, serve
from tests.wire import PATIENCE

HOME, AWAY = "203.0.113.9", "198.51.100.7"
SITES = {"asgi": "tests.form_site.starlette_site:app", "wsgi": "tests.form_site.flask_site:app"}
DOORS = [(stack, SITES[STACKS[stack].interface]) for stack in sorted(STACKS)] + [
    ("uvicorn-httptools", "tests.form_site.fastapi_site:app"),
    ("gunicorn-gthread", "tests.form_site.django_site:app"),
]
RECEIPT = re.compile(
    r"(caputchin-receipt-[0-9a-f]{8}=[A-Za-z0-9_-]{48}); Max-Age=120; Path=/; HttpOnly; SameSite=Strict"
)
CHALLENGES = NativeChallenges(
    [hashlib.sha256(SIGNING_KEY.encode()).digest()], site_key="default", binding="off", cap=10_000
)


def fresh_token() -> str:
    challenge = CHALLENGES.issue(now=time.time(), nonce=os.urandom(4), step=1, client=None)
    return f"{challenge.token}.{solve(challenge.token, challenge.target)}"


@dataclass(frozen=True)
class Reply:
    status: int
    reason: str | None
    set_cookies: tuple[str, ...]

    @property
    def receipts(self) -> list[str]:
        """The cookies that the gate has set."""
        return [cookie for cookie in self.set_cookies if cookie.startswith("caputchin-receipt")]

    @property
    def receipt(self) -> str:
        """The one receipt, as a browser sends it back."""
        (cookie,) = self.receipts
        found = RECEIPT.fullmatch(cookie)
        assert found, cookie
        return found[1]


def post(
    server: Server,
    *,
    address: str = "ann",
    token: str | None = None,
    cookie: str | None = None,
    path: str = "/signup",
    client: str = HOME,
    **headers: str,
) -> Reply:
    fields = {"address": address} | ({"caputchin-token": token} if token is not None else {})
    sent = {"Content-Type": "application/x-www-form-urlencoded", "X-Real-IP": client, "Connection": "close"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    if cookie is not None:
        sent["Cookie"] = cookie
    connection = HTTPConnection(*server.address, timeout=PATIENCE)
    try:
        connection.request("POST", path, urlencode(fields), sent)
        response = connection.getresponse()
        response.read()
        set_cookies = tuple(value for name, value in response.getheaders() if name.lower() == "set-cookie")
        return Reply(response.status, response.getheader("X-Reason"), set_cookies)
    finally:
        connection.close()


@pytest.fixture(scope="module", params=DOORS, ids=lambda door: f"{door[0]}-{door[1].split('.')[2].split('_')[0]}")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    stack, app = request.param
    store = tmp_path_factory.mktemp("store") / "gate.db"
    with serve(stack, app, environment={"GATE_STORE": f"sqlite:///{store}"}) as started:
        yield started


def test_a_form_with_a_mistake_is_corrected_without_a_new_token_as_often_as_the_receipt_says(server: Server) -> None:
    first = post(server, token=fresh_token())
    assert (first.status, first.reason) == (422, "verified")
    assert [cookie.split(";")[0] for cookie in first.set_cookies] == [
        *(f"{name}={value}" for name, value in OWN_COOKIES),
        first.receipt,
    ]
    for address in ("ann@", "ann@shop.example"):
        corrected = post(server, address=address, cookie=f"theme=dark; {first.receipt}")
        assert (corrected.status, corrected.reason) == (200, "receipt")
        assert len(corrected.set_cookies) == len(OWN_COOKIES)
    assert post(server, cookie=first.receipt).status == 403


def test_a_receipt_is_for_one_route_and_one_client(server: Server) -> None:
    receipt = post(server, token=fresh_token()).receipt
    renamed = post(server, token=fresh_token(), path="/login").receipt.split("=")[0] + "=" + receipt.split("=")[1]
    assert post(server, cookie=receipt, path="/login").status == 403
    assert post(server, cookie=renamed, path="/login").status == 403
    assert post(server, cookie=receipt, client=AWAY).status == 403
    assert post(server, cookie=receipt).reason == "receipt"


def test_a_token_beside_a_receipt_stays_good(server: Server) -> None:
    receipt, token = post(server, token=fresh_token()).receipt, fresh_token()
    assert post(server, cookie=receipt, token=token).reason == "receipt"
    assert post(server, token=token).reason == "verified"


def test_a_cookie_that_is_no_receipt_changes_nothing(server: Server) -> None:
    receipt = post(server, token=fresh_token()).receipt
    name = receipt.split("=")[0]
    for cookie in (f"{receipt[:-1]}!", f"{name}=", f"{receipt}; {receipt}", f'{name}="{receipt.split("=")[1]}"'):
        assert post(server, cookie=cookie).status == 403
        assert post(server, cookie=cookie, token=fresh_token()).reason == "verified"


def test_a_route_without_receipts_sets_no_cookie_and_takes_none(server: Server) -> None:
    plain = post(server, token=fresh_token(), path="/plain-signup")
    assert (plain.status, plain.receipts) == (422, [])
    receipt = post(server, token=fresh_token()).receipt
    assert post(server, cookie=receipt, path="/plain-signup").status == 403


def test_of_many_uses_at_once_the_receipt_admits_no_more_than_it_says(server: Server) -> None:
    receipt = post(server, token=fresh_token()).receipt
    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(reply.status for reply in pool.map(lambda _: post(server, cookie=receipt), range(32)))
    assert statuses == {422: USES, 403: 32 - USES}


def test_a_submission_on_which_the_application_fails_can_be_sent_again(server: Server) -> None:
    if "starlette" not in server.app and "flask" not in server.app:
        return
    failed = post(server, token=fresh_token(), path="/signup?broken")
    assert failed.status == 500
    assert post(server, cookie=failed.receipt).reason == "receipt"


# From loopback these believe X-Forwarded-Proto by default, as the documentation says.
TELLS_HTTPS = {"uvicorn-h11", "uvicorn-httptools", "gunicorn-sync", "gunicorn-gthread"}


def test_the_cookie_is_for_https_alone_where_the_server_knows_of_it(server: Server) -> None:
    (cookie,) = post(server, token=fresh_token(), X_Forwarded_Proto="https").receipts
    assert cookie.endswith("; SameSite=Strict; Secure") == (server.stack in TELLS_HTTPS)


def test_no_receipt_is_ever_logged(server: Server) -> None:
    receipt = post(server, token=fresh_token()).receipt
    assert post(server, cookie=receipt).reason == "receipt"
    assert post(server, cookie=receipt[:-1] + "!").status == 403
    shown = server.output()
    assert "decision receipt route='POST /signup'" in shown
    assert receipt.split("=")[1][:40] not in shown


# What only some have


def test_a_redirect_that_posts_again_is_admitted_by_the_receipt() -> None:
    """Starlette sends `/login/` to `/login` with 307, and the client posts the spent token again (threats.md R42)."""
    with serve("uvicorn-httptools", SITES["asgi"]) as server, httpx2.Client(follow_redirects=True) as client:
        form = {"address": "ann@shop.example", "caputchin-token": fresh_token()}
        answer = client.post(f"http://127.0.0.1:{server.port}/login/", data=form)
        assert [earlier.status_code for earlier in answer.history] == [307]
        assert (answer.status_code, answer.headers["x-reason"]) == (200, "receipt")
        form["caputchin-token"] = fresh_token()
        refused = client.post(f"http://127.0.0.1:{server.port}/plain-signup/", data=form)
        assert [earlier.status_code for earlier in refused.history] == [307]
        assert refused.status_code == 403


def sqlite(folder: Path, opened: ExitStack) -> str:
    return f"sqlite:///{folder}/gate.db"


def redis(folder: Path, opened: ExitStack) -> str:
    return opened.enter_context(RedisServer(folder / "redis")).url


@pytest.mark.parametrize(
    ("stack", "store"), [("gunicorn-gthread", sqlite), ("uvicorn-httptools", sqlite), ("uvicorn-httptools", redis)]
)
def test_four_workers_count_the_uses_of_a_receipt_together(
    tmp_path: Path, stack: str, store: Callable[[Path, ExitStack], str]
) -> None:
    with ExitStack() as opened:
        environment = {"WEB_CONCURRENCY": "4", "GATE_STORE": store(tmp_path, opened)}
        server = opened.enter_context(serve(stack, SITES[STACKS[stack].interface], environment=environment))
        pool = opened.enter_context(ThreadPoolExecutor(24))
        for _ in range(5):
            receipt = post(server, token=fresh_token()).receipt
            statuses = Counter(
                reply.status for reply in pool.map(lambda cookie: post(server, cookie=cookie), [receipt] * 48)
            )
            assert statuses == {422: USES, 403: 48 - USES}
