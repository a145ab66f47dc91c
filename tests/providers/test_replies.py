"""Every recorded reply of every kind, over a real connection, with the verdict its page asks for.

A new kind adds its file to `providers/`, and its folder to `replies/`; this file stays as it is. A reply holds
status, headers and body, and what is expected of it; `submission.json` beside them the secret and token to ask with,
and further settings where there have to be some.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from caputchin_gate.effects import Call, NoReply
from caputchin_gate.http_client import HttpClient
from caputchin_gate.messages import HttpReply
from caputchin_gate.providers import Retry, Submission, Upstream, kinds, load
from caputchin_gate.verdict import OUTAGES, Cause, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict
from tests.siteverify_server import Pace, Scripted, SiteverifyServer

REPLIES = Path(__file__).parent / "replies"
STANDARD = {"submission", "pass", "fail", "garbage", "html", "truncated"}


def replies(kind: str) -> list[Path]:
    return sorted(file for file in (REPLIES / kind).glob("*.json") if file.stem != "submission")


RECORDED = [(kind, file) for kind in kinds() for file in replies(kind)]


@pytest.fixture(scope="module")
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


def asked(client: HttpClient, kind: str, *script: Scripted, timeout: float = 10.0) -> Verdict | Retry:
    """One attempt of a verification by this kind, at a server with this script."""
    sample = json.loads((REPLIES / kind / "submission.json").read_text())
    with SiteverifyServer(script) as server:
        provider = load(kind)(secret=sample["secret"], endpoint=server.url, **sample.get("settings", {}))
        assert provider.problems() == []
        token = provider.precheck(sample["token"])
        assert isinstance(token, str)
        assert token == sample["token"]
        match client.call(Call(provider.request(Submission(token)), timeout)):
            case NoReply() as silence:
                verdict = provider.unanswered(silence)
            case HttpReply() as reply:
                verdict = provider.read(reply)
        assert len(server.received) == 1
    return verdict


def expected(kind: str, told: Mapping[str, Any]) -> Verdict | Retry:
    match told:
        case {"passed": dict(fields)}:
            return Passed(kind, **fields)
        case {"failed": reason, "codes": codes}:
            return Failed(Reason(reason), tuple(codes))
        case {"unavailable": cause, "codes": codes}:
            return Unavailable(Cause(cause), told.get("retry_after"), tuple(codes))
        case {"misconfigured": codes}:
            return Misconfigured(tuple(codes))
        case {"retry": after, "otherwise": otherwise}:
            verdict = expected(kind, otherwise)
            assert not isinstance(verdict, Retry)
            return Retry(after, verdict)
        case _:
            raise AssertionError(f"no expectation: {told}")


@pytest.mark.parametrize(("kind", "file"), RECORDED, ids=[f"{kind}-{file.stem}" for kind, file in RECORDED])
def test_a_recorded_reply_gives_the_verdict_of_its_page(client: HttpClient, kind: str, file: Path) -> None:
    told = json.loads(file.read_text())["expect"]
    assert asked(client, kind, Scripted.recorded(file)) == expected(kind, told)


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_has_the_standard_replies_and_one_for_each_of_its_codes(kind: str) -> None:
    assert {file.stem for file in (REPLIES / kind).glob("*.json")} >= STANDARD
    recorded = "".join(json.dumps(json.loads(file.read_text()).get("body")) for file in replies(kind))
    assert [code for code in load(kind).codes if f'"{code}"' not in recorded] == []


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Scripted(body=b'{"success": true, "verified": true}' + b" " * 65536), Cause.UNREADABLE),
        (Scripted(body=b'{"success": true, "verified": true}', pace=Pace.TRICKLE), Cause.TIMEOUT),
        (Scripted(pace=Pace.SILENT), Cause.TIMEOUT),
        (Scripted(pace=Pace.GONE), Cause.CONNECTION),
        (Scripted(body=b"[" * 60_000), Cause.UNREADABLE),
    ],
    ids=["huge", "trickling", "silent", "gone", "deeply nested"],
)
def test_a_reply_that_is_no_answer_is_an_outage(client: HttpClient, kind: str, reply: Scripted, cause: Cause) -> None:
    timeout = 0.2 if cause is Cause.TIMEOUT else 10.0
    verdict = asked(client, kind, reply, timeout=timeout)
    assert (verdict.otherwise if isinstance(verdict, Retry) else verdict) == Unavailable(cause)
    assert cause in OUTAGES


@pytest.mark.parametrize("kind", kinds())
def test_nothing_but_a_yes_in_a_200_passes(kind: str) -> None:
    """The same body with every status, read without a network."""
    provider: Upstream = load(kind)(secret="secret-of-the-test")
    yes = json.dumps(json.loads((REPLIES / kind / "pass.json").read_text())["body"]).encode()
    passed = [status for status in range(100, 600) if isinstance(provider.read(HttpReply(status, {}, yes)), Passed)]
    assert passed == [200]


@pytest.mark.parametrize("kind", kinds())
def test_a_secret_and_a_token_are_in_no_repr(kind: str) -> None:
    provider = load(kind)(secret="canary-secret", endpoint="https://user:canary-password@host.example/")
    submission = Submission("canary-token", "203.0.113.9", "canary@example.com", "canary-attempt")
    request = load(kind)(secret="canary-secret").request(submission)
    assert "canary" not in f"{provider!r} {submission!r} {request!r} {provider.problems()} {provider.warnings()}"
