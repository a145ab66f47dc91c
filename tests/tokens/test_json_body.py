"""JSON bodies (threats.md R22)."""

from __future__ import annotations

import json

import pytest

from caputchin_gate.tokens import Places
from tests.tokens.searching import (
    AMBIGUOUS,
    FIELD,
    JSON,
    MALFORMED,
    MISSING,
    OLD_FIELD,
    TOO_LARGE,
    UNREADABLE,
    search,
    told,
)

BOTH = Places((FIELD, OLD_FIELD))
POINTED = Places((FIELD, OLD_FIELD), json_pointer="/captcha/a~1b~01/1/token")


@pytest.mark.parametrize("size", [10**9, 1])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"caputchin-token": "abc"}', "abc"),
        (b'\xef\xbb\xbf{"caputchin-token": "abc"}', "abc"),
        (b' \r\n{"name": {"caputchin-token": "x"}, "caputchin-token": "abc"}\n', "abc"),
        (b'{"\\u0063aputchin-token": "a\\u0062c"}', "abc"),
        (b'{"caputchin-token": " abc\\n"}', "abc"),
        (b'{"caputchin-token": "", "g-recaptcha-response": "abc"}', "abc"),
        (b'{"caputchin-token": null, "g-recaptcha-response": "abc"}', "abc"),
        (b'{"x": 1, "x": 2, "caputchin-token": "abc"}', "abc"),
        (b'{"caputchin-token": "abc", "x": "[[[{{{' + b"[" * 100 + b'"}', "abc"),
        (b'{"caputchin-token": "abc", "x": "\\\\\\"' + b"[" * 100 + b'"}', "abc"),
        (b'{"caputchin-token": "abc", "x": "\\\\", "y": "' + b"[" * 100 + b'"}', "abc"),
        (b'{"caputchin-token": "abc", "x": ' + b"[" * 63 + b"]" * 63 + b"}", "abc"),
        (b'{"caputchin-token": "abc", "x": [' + b"[]," * 500 + b"{}]}", "abc"),
        (b"", MISSING),
        (b" \n", MISSING),
        (b"{}", MISSING),
        (b'{"caputchin-token": null}', MISSING),
        (b'{"caputchin-token": ""}', MISSING),
        (b'{"caputchin-token": " "}', MISSING),
        (b'{"Caputchin-Token": "abc"}', MISSING),
        (b'{"a": {"caputchin-token": "abc"}}', MISSING),
        (b'["caputchin-token", "abc"]', MISSING),
        (b'[{"caputchin-token": "abc"}]', MISSING),
        (b'"abc"', MISSING),
        (b"1", MISSING),
        (b"null", MISSING),
        (b'{"caputchin-token": "abc", "g-recaptcha-response": "abc"}', AMBIGUOUS),
        (b'{"caputchin-token": 1}', MALFORMED),
        (b'{"caputchin-token": 1.5}', MALFORMED),
        (b'{"caputchin-token": 0.0}', MALFORMED),
        (b'{"caputchin-token": 1e999}', MALFORMED),
        (b'{"caputchin-token": true}', MALFORMED),
        (b'{"caputchin-token": ["abc"]}', MALFORMED),
        (b'{"caputchin-token": {"a": "abc"}}', MALFORMED),
        (b'{"caputchin-token": "a b"}', MALFORMED),
        (b'{"caputchin-token": "\\u00e9"}', MALFORMED),
        (b'{"caputchin-token": "\\u00a0"}', MALFORMED),
        (b'{"caputchin-token": "\\ud800"}', MALFORMED),
        (b'{"caputchin-token": "' + b"a" * 16385 + b'"}', MALFORMED),
        (b'{"caputchin-token": "abc", "caputchin-token": "abc"}', UNREADABLE),
        (b'{"caputchin-token": "abc", "caputchin\\u002dtoken": null}', UNREADABLE),
        (b'{"caputchin-token": "abc"', UNREADABLE),
        (b'{"caputchin-token": "abc"} x', UNREADABLE),
        (b"{'caputchin-token': 'abc'}", UNREADABLE),
        (b'{"caputchin-token": "abc", "x": NaN}', UNREADABLE),
        (b'{"caputchin-token": "abc", "x": -Infinity}', UNREADABLE),
        (b'{"caputchin-token": "abc", "x": ' + b"9" * 5000 + b"}", UNREADABLE),
        (b'{"caputchin-token": "abc", "x": "\xff"}', UNREADABLE),
        (b'{"caputchin-token": "a\nbc"}', UNREADABLE),
        ('{"caputchin-token": "abc"}'.encode("utf-16"), UNREADABLE),
        ('{"caputchin-token": "abc"}'.encode("utf-16-le"), UNREADABLE),
        ('{"caputchin-token": "abc"}'.encode("utf-32"), UNREADABLE),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"caputchin-token": "abc"}', UNREADABLE),
        (b'{"caputchin-token": "abc", "x": ' + b"[" * 64 + b"]" * 64 + b"}", UNREADABLE),
        (b'{"caputchin-token": "abc", "x": ' + b'{"a":[' * 100 + b"]}" * 100 + b"}", UNREADABLE),
        # what costs by values and not by bytes is not even parsed
        (b'{"caputchin-token": "abc", "x": ' + b'{"a":[' * 50_000 + b"]}" * 50_000 + b"}", "body-too-large 413"),
        (b"[" * 500_000, "body-too-large 413"),
        (b'{"caputchin-token": "abc", "x": [' + b"1," * 10_000 + b"1]}", "body-too-large 413"),
        (b'{"caputchin-token": "abc", "x": [' + b"1," * 9_000 + b"1]}", "abc"),
        (b'{"caputchin-token": "abc", "x": ["' + b'","' * 30_000 + b'"]}', "body-too-large 413"),
        (b'{"caputchin-token": "abc", "x": "' + b"[,{" * 30_000 + b'"}', "abc"),
        (b'{"caputchin-token": "abc", "x": ' + b"1" * 4300 + b"}", "abc"),
        (b'{"caputchin-token": "abc", "x": ' + b"1" * 4301 + b"}", UNREADABLE),
    ],
)
def test_the_token_is_a_string_under_its_key_at_the_top(body: bytes, expected: str, size: int) -> None:
    sizes = [size] * len(body) if len(body) < 10_000 else []
    assert told(search(body, JSON, BOTH, sizes)) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"captcha": {"a/b~1": [0, {"token": "abc"}]}}, "abc"),
        ({"captcha": {"a/b~1": [0, {"token": "abc"}]}, FIELD: "xyz"}, "abc"),
        ({FIELD: "xyz"}, MISSING),
        ({"captcha": {"a/b~1": [{"token": "abc"}]}}, MISSING),
        ({"captcha": {"a/b~1": {"1": {"token": "abc"}}}}, "abc"),
        ({"captcha": {"a/b~1": "text"}}, MISSING),
        ({"captcha": None}, MISSING),
        ({"captcha": {"a/b~1": [0, {"token": 7}]}}, MALFORMED),
        ([{"captcha": {}}], MISSING),
    ],
)
def test_a_pointer_says_where_the_token_is(document: object, expected: str) -> None:
    assert told(search(json.dumps(document).encode(), JSON, POINTED)) == expected


@pytest.mark.parametrize(
    ("pointer", "body", "expected"),
    [
        ("/a/b", b'{"a": {}, "a": {"b": "abc"}}', UNREADABLE),
        ("/a/b", b'{"a": {"b": "x", "b": "abc"}}', UNREADABLE),
        ("/a/b", b'{"a": {"b": "abc", "c": 1, "c": 2}, "d": 1, "d": 2}', "abc"),
        ("/0", b'["abc"]', "abc"),
        ("/00", b'["abc"]', MISSING),
        ("/-", b'["abc"]', MISSING),
        ("/1", b'["abc"]', MISSING),
        ("/", b'{"": "abc"}', "abc"),
    ],
)
def test_a_pointer_is_followed_by_the_letter(pointer: str, body: bytes, expected: str) -> None:
    assert told(search(body, JSON, Places((FIELD,), json_pointer=pointer))) == expected


def test_json_over_its_limit_is_refused_while_it_comes() -> None:
    body = b'{"caputchin-token": "abc"}'
    assert told(search(body, JSON, max_json=len(body))) == "abc"
    assert told(search(body, JSON, max_json=len(body) - 1)) == TOO_LARGE
    assert told(search(b" " * 2**20 + b"{}", JSON, sizes=[4096] * 1000)) == TOO_LARGE
