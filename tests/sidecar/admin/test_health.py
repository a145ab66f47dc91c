"""Readiness fails when requests would fail, says what mends it, and no client can make it fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from caputchin_gate.addresses import Address
from caputchin_gate.messages import HttpReply
from caputchin_gate.providers import Retry, Upstream, kinds, load
from caputchin_gate.secret_health import FORGOTTEN_AFTER, SecretHealth, is_refused
from caputchin_gate.sidecar.admin.health import alive, ready, refused_secrets
from caputchin_gate.sidecar.admin.sources import World
from caputchin_gate.sidecar.ledger import Seen, Snapshot
from caputchin_gate.sidecar.reports import Secret, State
from caputchin_gate.verdict import Failed, Misconfigured, Passed, Reason
from tests.redis_servers import RedisServer
from tests.sidecar.admin.watching import GET, ask, checks, until, value, watched
from tests.sidecar.running import Running
from tests.sidecar.scripted import Scripted
from tests.siteverify_server import Scripted as Reply
from tests.siteverify_server import SiteverifyServer
from tests.wire import exchange, request_bytes

REPLIES = Path(__file__).parents[2] / "providers" / "replies"
SECRET = "cpt_sec_canary_of_these_tests"


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as scripted:
        yield scripted


def readiness(running: Running) -> tuple[int, dict[str, object]]:
    answer = ask(running, "/readyz")
    return answer.status, json.loads(answer.body)


def test_a_sidecar_that_can_serve_is_ready(tmp_path: Path, upstream: Scripted) -> None:
    with watched(tmp_path, upstream.url) as running:
        well = {name: {"ok": True} for name in ("workers", "draining", "store", "upstream", "secret")}
        assert readiness(running) == (200, {"ok": True, "checks": well})
        assert ask(running, "/healthz").status == 200


# The secret


NO = {"success": False, "error-codes": ["invalid-input-response"]}
SECRET_REFUSED = {"success": False, "error-codes": ["invalid-input-secret"]}
FOREIGN = {"success": False, "error-codes": ["site-mismatch"]}
YES = {"success": True}


def posted(running: Running, token: str) -> int:
    form = "Content-Type: application/x-www-form-urlencoded"
    return exchange(running.port, request_bytes(f"POST /contact\n{form}", f"caputchin-token={token}".encode())).status


def test_a_refused_secret_is_told_until_a_token_passes(tmp_path: Path, upstream: Scripted) -> None:
    script = [Reply.json(answer) for answer in (FOREIGN, NO, SECRET_REFUSED, NO, FOREIGN, YES)]
    with SiteverifyServer(script) as asked:
        provider = {"kind": "caputchin", "secret": SECRET, "endpoint": asked.url}
        with watched(tmp_path, upstream.url, provider=provider, sidecar={"workers": 1}) as running:
            assert [posted(running, "foreign"), posted(running, "forged")] == [403, 403]
            until(lambda: value(running, "decisions_total") == 2)
            assert readiness(running)[0] == 200
            assert posted(running, "honest") == 503
            until(lambda: not checks(running)["secret"])
            status, told = readiness(running)
            assert status == 503
            assert told["checks"]["secret"] == {  # type: ignore[index]
                "ok": False,
                "trouble": "refused by the provider: caputchin",
                "fix": "set the secret that belongs to your site at the provider, and reload",
            }
            assert value(running, "secret_refused", provider="caputchin") == 1
            assert [posted(running, "forged-2"), posted(running, "foreign-2")] == [403, 403]
            until(lambda: value(running, "decisions_total") == 5)
            assert not checks(running)["secret"]  # a no may come from who never looked at the secret
            assert posted(running, "honest-2") == 200
            until(lambda: checks(running)["secret"])
            shown = b"".join(ask(running, path).body for path in ("/", "/metrics", "/readyz", "/healthz"))
            for canary in (SECRET, "honest", "forged", "foreign"):
                assert canary.encode() not in shown


# All recorded replies that say our secret is wrong. Everything else must leave readiness as it is: a client can bring
# about each of those by the token it sends, or the provider by a trouble of its own.
LIKE_RECAPTCHA = {
    "code-invalid-input-secret",
    "code-missing-input-secret",
    "codes-of-both-sorts",
    "secret-refused-with-403",
}
REFUSING = {
    "altcha": {"unauthorized"},
    "cap": {"secret-wrong", "site-key-unknown", "our-mistake-with-200"},
    "captchaapi": {"code-invalid_secret", "yes-with-401"},
    "caputchin": {"code-invalid-input-secret", "code-missing-input-secret", "code-with-401", "codes-of-both-sorts"},
    "gotcha": {"code-invalid-input-secret", "code-missing-input-secret", "codes-of-both-sorts"},
    "friendly": {"code-auth_invalid", "code-auth_required", "unauthorized"},
    "hcaptcha": LIKE_RECAPTCHA,
    "mcaptcha": {"secret-wrong", "unauthorized"},
    "mtcaptcha": {
        "code-invalid-privatekey",
        "code-missing-input-privatekey",
        "codes-of-both-sorts",
        "secret-refused-with-403",
    },
    "procaptcha": {"key-GENERAL.MISSING_SECRET_KEY"},
    "recaptcha": LIKE_RECAPTCHA,
    "turnstile": LIKE_RECAPTCHA,
}


def configured(kind: str) -> Upstream:
    extra = {"cap": {"site_key": "abc"}}.get(kind, {})
    return load(kind)(secret="x" * 40, endpoint="https://verify.example/", **extra)


def refused_by(provider: Upstream, file: Path) -> bool:
    told = json.loads(file.read_text())
    body = told["body_text"] if "body_text" in told else json.dumps(told["body"])
    verdict = provider.read(HttpReply(told["status"], told.get("headers", {}), body.encode()))
    health = SecretHealth()
    health.learn(provider, verdict.otherwise if isinstance(verdict, Retry) else verdict, 1.0)
    return is_refused(health.refused_at, health.accepted_at, 1.0)


@pytest.mark.parametrize("kind", kinds())
def test_only_words_that_no_token_provokes_count_against_the_secret(kind: str) -> None:
    files = (REPLIES / kind).glob("*.json")
    found = {file.stem for file in files if file.stem != "submission" and refused_by(configured(kind), file)}
    assert found == REFUSING[kind]


def test_without_its_site_key_cap_can_not_be_believed_about_the_secret() -> None:
    bare = load("cap")(secret="x" * 40, endpoint="https://verify.example/")
    assert not any(refused_by(bare, REPLIES / "cap" / f"{name}.json") for name in REFUSING["cap"])


@pytest.mark.parametrize("kind", kinds())
def test_words_about_the_secret_are_words_about_our_mistakes(kind: str) -> None:
    provider = load(kind)
    for word in provider.secret_codes - {"http-401"}:
        assert provider.codes[word] is Reason.MISCONFIGURED


REFUSAL = Misconfigured(("invalid-input-secret",))


@pytest.mark.parametrize(
    ("verdicts", "later", "refused"),
    [
        ([], 0, False),
        ([REFUSAL], 0, True),
        ([Passed("caputchin"), REFUSAL], 0, True),
        ([REFUSAL, Passed("caputchin")], 0, False),
        ([REFUSAL, Failed(Reason.TOKEN_REJECTED)], 0, True),
        ([REFUSAL, Passed("caputchin", details={"provider_fail_open": True})], 0, True),
        ([Misconfigured(("http-403",))], 0, False),
        ([REFUSAL], FORGOTTEN_AFTER, False),
    ],
)
def test_the_last_word_about_the_secret_counts_for_a_while(
    verdicts: list[Passed | Failed | Misconfigured], later: float, refused: bool
) -> None:
    health = SecretHealth()
    provider = load("caputchin")(secret=SECRET)
    for now, verdict in enumerate(verdicts, start=1):
        health.learn(provider, verdict, float(now))
    assert is_refused(health.refused_at, health.accepted_at, len(verdicts) + later) is refused


def worker(*, retired: bool = False, ready: bool = True, **secrets: tuple[float, float]) -> Seen:
    state = State(secrets={name: Secret(*said) for name, said in secrets.items()})
    return Seen(1, ready=ready, retired=retired, state=state)


def seen(*workers: Seen, ending: bool = False) -> Snapshot:
    return Snapshot({}, workers, started=0.0, reloaded=None, ending=ending)


@pytest.mark.parametrize(
    ("workers", "refused"),
    [
        ([worker()], set()),
        ([worker(old=(5.0, 0.0)), worker(new=(0.0, 6.0))], {"old"}),
        ([worker(old=(5.0, 0.0)), worker(old=(0.0, 6.0))], set()),  # what was said last, to whomever
        ([worker(old=(7.0, 0.0)), worker(old=(0.0, 6.0))], {"old"}),
        ([worker(old=(5.0, 0.0), retired=True), worker()], set()),  # it had another secret
    ],
)
def test_the_workers_know_together_what_a_provider_said_last(workers: list[Seen], refused: set[str]) -> None:
    assert refused_secrets(seen(*workers), now=8.0) == refused


WELL = World(store=True, upstreams={Address("127.0.0.1", 80): True})


@pytest.mark.parametrize(
    ("snapshot", "is_alive", "failing"),
    [
        (None, False, {"supervisor"}),
        (seen(), False, {"workers"}),
        (seen(worker(ready=False)), False, {"workers"}),
        (seen(worker(retired=True)), True, {"workers"}),
        (seen(worker(retired=True), ending=True), True, {"draining"}),
        (seen(worker(), worker(ready=False)), True, set()),
    ],
)
def test_alive_is_whom_a_restart_would_not_help_and_ready_who_takes_requests(
    snapshot: Snapshot | None, is_alive: bool, failing: set[str]
) -> None:
    assert all(check.passed for check in alive(snapshot)) is is_alive
    assert {check.name for check in ready(snapshot, WELL, 0.0) if not check.passed} == failing


# The world


def test_a_store_that_does_not_answer_makes_it_not_ready_until_it_does(tmp_path: Path, upstream: Scripted) -> None:
    with RedisServer(tmp_path / "redis") as server, watched(tmp_path, upstream.url, store=server.url) as running:
        assert checks(running)["store"]
        with server.killed():
            until(lambda: not checks(running)["store"])
            assert readiness(running)[0] == 503
            assert value(running, "store_up") == 0
            assert ask(running, "/healthz").status == 200
        until(lambda: checks(running)["store"])


def test_a_store_that_hangs_does_not_hang_the_answer(tmp_path: Path, upstream: Scripted) -> None:
    with RedisServer(tmp_path / "redis") as server, watched(tmp_path, upstream.url, store=server.url) as running:
        with server.hanging():
            until(lambda: not checks(running)["store"])
        until(lambda: checks(running)["store"])


def test_a_store_that_nothing_needs_is_not_opened(tmp_path: Path, upstream: Scripted) -> None:
    provider = {"kind": "caputchin", "secret": SECRET}
    with watched(tmp_path, upstream.url, provider=provider) as running:
        assert "store" not in checks(running)
    assert not (tmp_path / "gate.db").exists()


def test_one_upstream_that_takes_connections_is_enough_and_none_is_not(tmp_path: Path) -> None:
    one, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    names = [f"127.0.0.1:{it.getsockname()[1]}" for it in (one, other)]
    with one, other, watched(tmp_path, [f"http://{name}" for name in names]) as running:
        assert value(running, "upstream_up") == 2
        other.close()
        until(lambda: value(running, "upstream_up") == 1)
        assert value(running, "upstream_up", server=names[0]) == 1
        assert readiness(running)[0] == 200
        one.close()
        until(lambda: not checks(running)["upstream"])
        assert readiness(running)[0] == 503
        with socket.create_server(("127.0.0.1", int(names[0].rpartition(":")[2]))):
            until(lambda: checks(running)["upstream"])


def test_it_watches_over_a_gate_that_stands_alone(tmp_path: Path) -> None:
    with watched(tmp_path, None) as running:
        assert exchange(running.port, GET).status == 404
        until(lambda: value(running, "own_path_requests_total", status="404") == 1)
        assert readiness(running)[0] == 200
        assert "upstream" not in checks(running)
