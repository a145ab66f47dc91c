"""Whatever a provider sends: reading it never raises, and only the documented yes is one (threats.md R9)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from caputchin_gate.messages import HttpReply
from caputchin_gate.providers import kinds, load
from caputchin_gate.providers._reading import json_object, retry_after, unix_time
from caputchin_gate.verdict import Passed

KINDS = kinds()
REPLIES = Path(__file__).parent / "replies"


def yes_of(kind: str) -> str:
    """The member that says yes: the one that is true in the recorded pass."""
    body = json.loads((REPLIES / kind / "pass.json").read_text())["body"]
    (member,) = [name for name, value in body.items() if value is True]
    return str(member)


MEMBERS = "success verified error-codes error_code error key score reason platform over_limit challenge_ts hostname"

members = some.sampled_from(MEMBERS.split())
scalars = some.sampled_from([True, False, None, 0, 1, 0.5, -1, 10**30, "", "true", "x" * 200, "\ud800"])
lists_and_objects = some.lists(scalars, max_size=3) | some.dictionaries(members, scalars, max_size=3)
answers = some.dictionaries(members, scalars | lists_and_objects, max_size=8)
statuses = some.sampled_from([200, 200, 200, 201, 301, 400, 401, 403, 429, 500, 503])


@pytest.mark.parametrize("kind", KINDS)
@given(status=statuses, answer=answers)
def test_only_a_true_yes_with_status_200_passes(kind: str, status: int, answer: dict[str, object]) -> None:
    provider = load(kind)(secret="secret-of-the-test")
    verdict = provider.read(HttpReply(status, {}, json.dumps(answer).encode()))
    said_yes = status == 200 and answer.get(yes_of(kind)) is True
    assert not isinstance(verdict, Passed) or said_yes


@pytest.mark.parametrize("kind", KINDS)
@given(status=some.integers(100, 599), body=some.binary() | some.text().map(str.encode))
def test_no_bytes_make_a_reader_stumble(kind: str, status: int, body: bytes) -> None:
    assert not isinstance(load(kind)(secret="secret-of-the-test").read(HttpReply(status, {}, body)), Passed)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"true",
        b'"success"',
        b'[{"success":true}]',
        b'{"success":true}{}',
        b'{"success":true,}',
        b'{"success":true,"success":true}',
        b'{"success":true,"inner":{"a":1,"a":1}}',
        b'{"success":true,"score":Infinity}',
        b'{"success":true,"hostname":"\xff"}',
        '{"success":true}'.encode("utf-16"),
        b'\xef\xbb\xbf{"success":true}',
        b'{"success":true,"n":' + b"9" * 5000 + b"}",
        b'{"a":' * 20_000,
        b'{"success":true}' + b" " * 65_536,
    ],
)
def test_a_body_that_is_not_one_clear_object_is_none(body: bytes) -> None:
    assert json_object(body) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-21T05:08:10Z", 1795237690.0),
        ("2026-11-21T05:08:10.123Z", 1795237690.123),
        ("2026-11-21T06:08:10+01:00", 1795237690.0),
        ("2026-11-21T05:08:10", 1795237690.0),
        ("2026-11-21 05:08:10Z", 1795237690.0),
        ("+002026-11-21T05:08:10.000000000Z", 1795237690.0),
        ("+001970-01-01T00:00:00.000000000Z", 0.0),
        ("2026-13-21T05:08:10Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("2026-11-21", None),
        ("yesterday", None),
        ("", None),
        (1795237690, None),
        (None, None),
    ],
)
def test_a_time_is_read_in_every_spelling_seen_or_not_at_all(written: object, read: float | None) -> None:
    assert unix_time(written) == read


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30.0), (" 0 ", 0.0), ("-1", None), ("1.5", None), ("Sat, 21 Nov 2026 05:08:10 GMT", None), ("", None)],
)
def test_retry_after_is_read_in_seconds(header: str, seconds: float | None) -> None:
    assert retry_after(HttpReply(503, {"retry-after": header})) == seconds
