"""The fakes of the providers: asked by real gates over HTTP, and by clients in each dialect; and their command."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from caputchin_gate import ConfigurationError, Gate, load_gate
from caputchin_gate.cli import main
from caputchin_gate.clock import Clock
from caputchin_gate.endpoints.siteverify.findings import Outcome
from caputchin_gate.fake_provider import LIFETIME, MOST_TOKENS, OUTCOMES, FakeProvider
from caputchin_gate.fake_provider.kinds import KINDS
from caputchin_gate.providers import kinds
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Unavailable, Verdict
from tests.servers import ROOT
from tests.siteverify_calls import CALLS

START = 1_800_000_000.0

# What a gate learns of a token that was made for an outcome, where the provider has no word of its own for it.
TOLD: Mapping[tuple[str, str], str] = {
    ("altcha", "token-expired"): "token-rejected",
    ("altcha", "token-used"): "token-rejected",
    ("altcha", "token-elsewhere"): "token-rejected",
    ("cap", "token-used"): "token-rejected",
    ("captchaapi", "token-expired"): "token-rejected",
    ("captchaapi", "token-used"): "token-rejected",
    ("captchaapi", "token-elsewhere"): "token-rejected",
    ("caputchin", "token-expired"): "token-used",
    ("gotcha", "token-expired"): "token-used",
    ("gotcha", "token-elsewhere"): "token-rejected",
    ("procaptcha", "token-expired"): "token-rejected",
    ("procaptcha", "token-used"): "token-rejected",
    ("procaptcha", "token-elsewhere"): "misconfigured",
    ("cap", "token-elsewhere"): "misconfigured",
    ("friendly", "token-elsewhere"): "token-rejected",
    ("mcaptcha", "token-expired"): "token-rejected",
    ("mcaptcha", "token-used"): "token-rejected",
    ("mcaptcha", "token-elsewhere"): "token-rejected",
    ("recaptcha", "token-expired"): "token-used",
    ("recaptcha", "token-elsewhere"): "token-rejected",
    ("turnstile", "token-expired"): "token-used",
    ("turnstile", "token-elsewhere"): "token-rejected",
}


def gate_for(fake: FakeProvider, kind: str, url: str, **options: Any) -> Gate:
    own = {"site_key": fake.site_key} if fake.kind.names_site else {}
    provider = {"kind": kind, "endpoint": url, "secret": fake.secret, "allow_test_keys": True, **own, **options}
    return Gate(provider=provider, store="memory", protect=["POST /contact"])


def reason(verdict: Verdict) -> str:
    match verdict:
        case Passed():
            return "verified"
        case Failed(reason=told):
            return told
        case Unavailable():
            return "unavailable"
        case Misconfigured():
            return "misconfigured"


@dataclass
class Served:
    """A fake, where it is, and a gate that asks it."""

    fake: FakeProvider
    url: str
    gate: Gate = field(init=False)


@pytest.fixture(scope="module", params=kinds())
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    fake = FakeProvider(request.param)
    with fake.serving() as url:
        found = Served(fake, url)
        found.gate = gate_for(fake, request.param, url, attempts=1)
        yield found
        found.gate.close()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_gate_learns_what_a_token_was_made_for_as_the_provider_words_it(served: Served, outcome: str) -> None:
    kind = served.fake.kind.dialect.name
    assert reason(served.gate.verify(served.fake.token(outcome))) == TOLD.get((kind, outcome), outcome)


def test_a_token_passes_once_and_one_that_nobody_made_never(served: Served) -> None:
    token = served.fake.token()
    assert isinstance(served.gate.verify(token), Passed)
    assert isinstance(served.gate.verify(token), Failed)
    stranger = FakeProvider(served.fake.kind.dialect.name)
    assert isinstance(served.gate.verify(stranger.token()), Failed)


def test_a_wrong_secret_is_told_and_spends_nothing(served: Served) -> None:
    kind, token = served.fake.kind.dialect.name, served.fake.token()
    wrong = gate_for(FakeProvider(kind, served.fake.secret[:-1] + "x"), kind, served.url, attempts=1)
    assert isinstance(wrong.verify(token), Misconfigured)
    assert isinstance(served.gate.verify(token), Passed)
    wrong.close()


def test_there_is_a_fake_of_every_provider_and_of_every_dialect() -> None:
    assert set(KINDS) == set(kinds()) | set(CALLS)


# Each dialect, as clients of the provider speak it


def asked(fake: FakeProvider, kind: str, token: str, **more: Any) -> bool:
    """Whether a client of the provider takes the answer for a yes."""
    call = CALLS[kind]
    headers, fields = call.written(fake.secret, token)
    if fake.kind.names_site:
        fields["key"] = fake.site_key
    with fake.serving() as url:
        answered = httpx2.post(url, json={**fields, **more}, headers=headers)
    return call.passed(answered.status_code, answered.json())


@pytest.mark.parametrize("kind", CALLS)
def test_clients_of_the_provider_understand_the_fake(kind: str) -> None:
    fake = FakeProvider(kind)
    token = fake.token()
    assert asked(fake, kind, token)
    assert not asked(fake, kind, token)


@pytest.mark.parametrize(("kind", "member"), [("hcaptcha", "sitekey"), ("friendly", "sitekey"), ("mcaptcha", "key")])
def test_a_client_that_expects_another_site_is_refused(kind: str, member: str) -> None:
    fake = FakeProvider(kind)
    token = fake.token()
    assert not asked(fake, kind, token, **{member: "another"})
    assert asked(fake, kind, token, **{member: fake.site_key})


def test_turnstile_repeats_its_answer_under_the_same_key_alone() -> None:
    fake = FakeProvider("turnstile")
    token, key = fake.token(), "6b0f1f0e-0a53-4d2e-9a3d-6b3f5a6f1f2c"
    assert asked(fake, "turnstile", token, idempotency_key=key)
    assert asked(fake, "turnstile", token, idempotency_key=key)
    assert not asked(fake, "turnstile", token)


def test_of_many_at_once_one_gets_the_token() -> None:
    outcomes: list[Outcome] = []
    fake = FakeProvider("recaptcha", on_answer=outcomes.append)
    token = fake.token()
    with fake.serving() as url, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: httpx2.post(url, data={"secret": fake.secret, "response": token}), range(16)))
    assert sorted(outcomes) == [*[Outcome.RESPONSE_USED] * 15, Outcome.SUCCESS]


def test_tokens_end_and_the_oldest_make_room() -> None:
    now = START
    outcomes: list[Outcome] = []
    fake = FakeProvider(
        "recaptcha", on_answer=outcomes.append, clock=Clock(lambda: now, lambda: now, lambda n: next_bytes(n))
    )
    numbers = iter(range(2**20))

    def next_bytes(count: int) -> bytes:
        return next(numbers).to_bytes(count)

    old, pushed = fake.token(), fake.token()
    asked(fake, "recaptcha", pushed)
    now += LIFETIME + 1
    asked(fake, "recaptcha", old)
    for _ in range(MOST_TOKENS):
        fake.token()
    asked(fake, "recaptcha", old)
    assert outcomes == [Outcome.SUCCESS, Outcome.RESPONSE_EXPIRED, Outcome.RESPONSE_UNKNOWN]


def test_it_is_slow_and_down_when_it_is_told_to() -> None:
    fake = FakeProvider("caputchin")
    with fake.serving() as url:
        gate = gate_for(fake, "caputchin", url, timeout=0.5)
        fake.latency = 10
        assert gate.verify(fake.token()) == Unavailable(Cause.TIMEOUT)
        fake.latency, fake.is_down = 0, True
        assert isinstance(gate.verify(fake.token()), Unavailable)
        fake.is_down = False
        assert isinstance(gate.verify(fake.token()), Passed)
        gate.close()


def test_what_can_t_be_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"no fake of 'turnstyle'.*turnstile"):
        FakeProvider("turnstyle")
    with pytest.raises(ValueError, match="'token-lost' is no outcome: one of verified, token-rejected"):
        FakeProvider("turnstile").token("token-lost")


# The server


def test_pages_get_tokens_and_what_is_elsewhere_is_told() -> None:
    fake = FakeProvider("turnstile")
    with fake.serving() as url:
        base = url.removesuffix(fake.kind.path)
        token = httpx2.get(f"{base}/token", params={"action": "login"})
        assert token.headers["access-control-allow-origin"] == "*"
        answered = httpx2.post(url, data={"secret": fake.secret, "response": token.text}).json()
        assert (answered["success"], answered["action"], answered["hostname"]) == (True, "login", "localhost")
        unknown = httpx2.get(f"{base}/token", params={"outcome": "token-lost"})
        assert (unknown.status_code, "is no outcome" in unknown.text) == (400, True)
        assert '"cf-turnstile-response"' in httpx2.get(f"{base}/widget.js").text
        assert httpx2.post(f"{base}/siteverify").status_code == 404
        assert httpx2.get(url).status_code == 404
        assert httpx2.post(url, content=b"x" * 200_000).status_code == 413


# The command


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running fake, with what it says at its start: everything up to the line of the outcomes."""
    command = [sys.executable, "-m", "caputchin_gate", "serve", "--fake", *arguments, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = ""
        while "# Outcomes: " not in said:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            said += line
        yield process, said
    finally:
        process.kill()
        process.communicate()


def url_in(said: str) -> str:
    return said.partition("curl '")[2].partition("?")[0]


@pytest.mark.parametrize("kind", ["cap", "mtcaptcha", "turnstile"])
def test_what_it_prints_are_the_settings_of_a_gate_that_asks_it(kind: str, tmp_path: Path) -> None:
    with started(kind) as (process, said):
        file = tmp_path / "gate.toml"
        file.write_text(f'protect = ["POST /contact"]\nstore = "memory"\n{said}')
        gate = load_gate(file)
        token = httpx2.get(url_in(said)).text
        assert isinstance(gate.verify(token), Passed)
        assert isinstance(gate.verify(token), Failed)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output, errors.split()) == (0, "", ["success", "response-used"])
        file.write_text(file.read_text().replace("allow_test_keys = true", ""))
        with pytest.raises(ConfigurationError, match=r"provider\.secret: is a public test key"):
            load_gate(file)


def test_what_it_prints_for_other_clients_is_all_they_need() -> None:
    with started("turnstile", "--latency", "0.2") as (process, said):
        typed = tomllib.loads(said)["provider"]
        where, secret = typed["endpoint"], typed["secret"]
        token = httpx2.get(url_in(said)).text
        begun = time.monotonic()
        assert httpx2.post(where, data={"secret": secret, "response": token}).json()["success"] is True
        assert time.monotonic() - begun >= 0.2
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--fake", "turnstyle"], "invalid choice: 'turnstyle'"),
        (["--fake", "cap", "gate.toml"], "gate.toml has no meaning with --fake"),
        (["--fake", "cap", "--workers", "2"], "--workers has no meaning with --fake"),
        (["--fake", "cap", "--admin", "127.0.0.1:0"], "--admin has no meaning with --fake"),
        (["--fake", "cap", "--listen", "0.0.0.0:8765"], "listens on this machine alone"),
        (["--fake", "cap", "--listen", "192.0.2.1:8765"], "listens on this machine alone"),
        (["--fake", "cap", "--listen", "unix:/tmp/fake.sock"], "listens on this machine alone"),
        (["--fake", "cap", "--listen", "nonsense"], "--listen 'nonsense' names no port"),
        (["--fake", "cap", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"], "can't be repeated"),
        (["--fake", "cap", "--latency", "soon"], "'soon' is not a time"),
        (["--fake", "cap", "--latency", "-1"], "'-1' is not a time"),
        (["--fake", "cap", "--latency", "nan"], "'nan' is not a time"),
        (["gate.toml", "--latency", "1"], "--latency is for --fake alone"),
        ([], "required: gate.toml, or --fake KIND"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert why in said.err


def test_the_line_that_the_docs_show_is_what_is_printed() -> None:
    with started("caputchin") as (_, said):
        shown = said.replace(url_in(said).removesuffix("/token"), "http://127.0.0.1:8765")
    assert shown.strip() in (ROOT / "docs" / "testing.md").read_text()
