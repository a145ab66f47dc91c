"""Whole verifications at a scripted server, retries included: what `verification.py` does, in ten lines."""

from __future__ import annotations

from dataclasses import dataclass

from caputchin_gate.effects import Call, NoReply
from caputchin_gate.http_client import HttpClient
from caputchin_gate.messages import HttpReply
from caputchin_gate.providers import Retry, Submission, Upstream
from caputchin_gate.verdict import Verdict
from tests.siteverify_server import Received, Scripted, SiteverifyServer


@dataclass(frozen=True)
class Verified:
    verdict: Verdict
    received: list[Received]
    pauses: list[float]

    @property
    def request(self) -> Received:
        (request,) = self.received
        return request


def verify(provider: type[Upstream], submission: Submission, *script: Scripted, **settings: object) -> Verified:
    """Ask a server that answers with `script`; a pause between two attempts is noted and not waited for."""
    client = HttpClient()
    with SiteverifyServer(script or [Scripted.json({"success": True, "verified": True})]) as server:
        upstream = provider(endpoint=server.url, **settings)  # type: ignore[arg-type]
        assert upstream.problems() == []
        verdict, pauses = _attempts(client, upstream, submission)
        client.close()
    return Verified(verdict, server.received, pauses)


def _attempts(client: HttpClient, upstream: Upstream, submission: Submission) -> tuple[Verdict, list[float]]:
    pauses: list[float] = []
    request = upstream.request(submission)
    while True:
        match client.call(Call(request, upstream.timeout)):
            case HttpReply() as reply:
                verdict = upstream.read(reply)
            case NoReply() as silence:
                verdict = upstream.unanswered(silence)
        if not isinstance(verdict, Retry):
            return verdict, pauses
        if len(pauses) + 1 == upstream.attempts:
            return verdict.otherwise, pauses
        pauses.append(verdict.after)


def as_sent(request: Received) -> dict[str, str]:
    """The headers of a request that its kind chose."""
    framing = {"host", "content-length", "accept-encoding"}
    return {name: value for name, value in request.headers if name.lower() not in framing}
