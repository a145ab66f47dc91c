"""Cap Standalone: what is sent and what is checked before (cap.md 4). Its replies are in `test_replies.py`."""

from __future__ import annotations

import pytest

from caputchin_gate import __version__
from caputchin_gate.providers import Submission
from caputchin_gate.providers.cap import Cap
from caputchin_gate.verdict import Cause, Failed, Misconfigured, Passed, Reason, Unavailable, Verdict
from tests.providers.conversations import as_sent, verify
from tests.siteverify_server import Pace, Scripted

TOKEN = "site1:a1b2c3d4e5f60718:0123456789abcdef0123456789abcd"
ENDPOINT = "https://cap.example/site1/siteverify"
YES = Scripted.json({"success": True})
MALFORMED = Failed(Reason.TOKEN_MALFORMED, ("invalid-input-response",))
ELSEWHERE = Failed(Reason.TOKEN_ELSEWHERE, ("site-mismatch",))


def test_secret_and_token_go_as_json_without_the_address_of_the_visitor() -> None:
    verified = verify(Cap, Submission(TOKEN, remote_ip="203.0.113.9"), YES, secret="key-secret", site_key="site1")
    assert verified.verdict == Passed("cap")
    assert verified.request.body == b'{"secret":"key-secret","response":"%b"}' % TOKEN.encode()
    assert as_sent(verified.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "User-Agent": f"caputchin-gate/{__version__}",
    }


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Scripted(500), Unavailable(Cause.STATUS, codes=("http-500",))),
        (Scripted(pace=Pace.GONE), Unavailable(Cause.CONNECTION)),
        (Scripted.json({"error": "Invalid site key or secret"}, 403), Misconfigured(("Invalid site key or secret",))),
    ],
)
def test_asking_spends_the_token_so_it_is_done_once(reply: Scripted, verdict: Verdict) -> None:
    verified = verify(Cap, Submission(TOKEN), reply, YES, secret="key-secret")
    assert verified.verdict == verdict
    assert len(verified.received) == 1


@pytest.mark.parametrize(
    ("token", "checked"),
    [
        (TOKEN, TOKEN),
        (f" {TOKEN}\n", TOKEN),
        ("site2:a1b2c3d4e5f60718:0123456789abcdef0123456789abcd", ELSEWHERE),
        ("site11:a1b2:0123", ELSEWHERE),
        ("Site1:a1b2:0123", ELSEWHERE),
        ("a1b2c3d4e5f60718:0123456789abcdef0123456789abcd", MALFORMED),
        ("site1:a1b2c3d4e5f60718", MALFORMED),
        ("site1:a1b2:0123:4567", MALFORMED),
        ("site1::0123", MALFORMED),
        ("::", MALFORMED),
        (":a1b2:0123", MALFORMED),
        ("site1:a1b2:01 23", MALFORMED),
        ("site1:a1b2:" + "0" * 2048, MALFORMED),
    ],
)
def test_a_token_of_another_form_or_site_is_refused_without_asking(token: str, checked: object) -> None:
    assert Cap(secret="key-secret", endpoint=ENDPOINT, site_key="site1").precheck(token) == checked


def test_without_a_site_key_every_site_is_asked_about_and_the_start_warns() -> None:
    provider = Cap(secret="key-secret", endpoint=ENDPOINT)
    assert provider.precheck("site2:a1b2:0123") == "site2:a1b2:0123"
    assert provider.problems() == []
    assert provider.warnings() == [
        "site_key is not set: a token of another site will look like a mistake in the settings"
    ]
    assert Cap(secret="key-secret", endpoint=ENDPOINT, site_key="site1").warnings() == []


@pytest.mark.parametrize("site_key", ["a:b", "two words", "k\u00e4se", None, 7])
def test_a_site_key_that_can_not_be_one_is_a_problem(site_key: object) -> None:
    (problem,) = Cap(secret="key-secret", endpoint=ENDPOINT, site_key=site_key).problems()  # type: ignore[arg-type]
    assert problem.setting == "site_key"


def test_cap_is_self_hosted_so_its_address_has_to_be_typed() -> None:
    assert [str(problem) for problem in Cap(secret="key-secret").problems()] == [
        "endpoint: is missing; set it to the URL of your own instance"
    ]
