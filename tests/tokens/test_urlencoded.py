"""Urlencoded forms (threats.md R23), each body whole, byte by byte, and cut in between."""

from __future__ import annotations

import pytest

from caputchin_gate.tokens import BodySearch, Places, begin
from tests.memory import traced
from tests.tokens.searching import (
    AMBIGUOUS,
    FIELD,
    MALFORMED,
    MISSING,
    OLD_FIELD,
    UNREADABLE,
    URLENCODED,
    request,
    search,
    told,
)

BOTH = Places((FIELD, OLD_FIELD))
CUTS = pytest.mark.parametrize("size", [10**9, 1, 7])


@CUTS
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"caputchin-token=abc", "abc"),
        (b"name=Ann&caputchin-token=abc&x=", "abc"),
        (b"&&caputchin-token=abc&&", "abc"),
        (b"%63aputchin%2Dtoke%6E=abc", "abc"),
        (b"caputchin-token=%61b%63", "abc"),
        (b"caputchin-token=a%2Bb%2fc%3D%3d", "a+b/c=="),
        (b"caputchin-token=a=b=c", "a=b=c"),
        (b"caputchin-token=++abc%20%0D%0A", "abc"),
        (b"caputchin-token=abc\r\n", "abc"),
        (b"caputchin-token=ab%63\r\n", "abc"),
        (b"g-recaptcha-response=abc", "abc"),
        (b"caputchin-token=&g-recaptcha-response=abc", "abc"),
        (b"caputchin-token=abc&caputchin-token=abc", "abc"),
        (b"caputchin-token=abc&caputchin-token=%61bc", "abc"),
        (b"caputchin-token=abc&caputchin-token=", "abc"),
        (b"x=\xff\xfe&caputchin-token=abc", "abc"),
        (b"x=%zz&%=%&caputchin-token=abc", "abc"),
        (b"caputchin-token=" + b"a" * 16384, "a" * 16384),
        (b"caputchin-token=" + b"%61" * 16384, "a" * 16384),
        (b"a&" * 999 + b"caputchin-token=abc", "abc"),
    ],
)
def test_the_token_is_found_however_it_is_spelled_and_cut(body: bytes, expected: str, size: int) -> None:
    assert told(search(body, URLENCODED, BOTH, [size] * len(body))) == expected


@CUTS
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", MISSING),
        (b"name=Ann", MISSING),
        (b"caputchin-token", MISSING),
        (b"caputchin-token=", MISSING),
        (b"caputchin-token=++%20%09", MISSING),
        (b"Caputchin-Token=abc", MISSING),
        (b"caputchin-token =abc", MISSING),
        (b"+caputchin-token=abc", MISSING),
        (b"caputchin-token%00=abc", MISSING),
        (b"caputchin-token;x=abc", MISSING),
        (b"x=1;caputchin-token=abc", MISSING),
        (b"caputchin%2dtoken%3dabc", MISSING),
        (b"%2563aputchin-token=abc", MISSING),
        (b"x=caputchin-token=abc", MISSING),
        (b"caputchin-token=abc&caputchin-token=abd", AMBIGUOUS),
        (b"caputchin-token=abc&g-recaptcha-response=abc", AMBIGUOUS),
        (b"caputchin-token=abc&caputchin-token=%zz", AMBIGUOUS),
        (b"caputchin-token=a%20b", MALFORMED),
        (b"caputchin-token=a+b", MALFORMED),
        (b"caputchin-token=a;b=\xe9", MALFORMED),
        (b"caputchin-token=%C3%A9", MALFORMED),
        (b"caputchin-token=ab%00", MALFORMED),
        (b"caputchin-token=abc%", MALFORMED),
        (b"caputchin-token=abc%4", MALFORMED),
        (b"caputchin-token=abc%4g", MALFORMED),
        (b"caputchin-token=abc%%41", MALFORMED),
        (b"caputchin-token=%\nabc", MALFORMED),
        (b"caputchin-token=%\rX\n%zzabc", MALFORMED),
        (b"caputchin-token=" + b"a" * 16385, MALFORMED),
        (b"caputchin-token=" + b"a" * 500_000, MALFORMED),
        (b"caputchin-token=abc" + b"+" * 50_000, MALFORMED),
        (b"caputchin-token=abc" + b"+" * 50_000 + b"&x=y", MALFORMED),
        (b"x=y&caputchin-token=abc" + b"+" * 50_000 + b"&x=y", MALFORMED),
        (b"caputchin-token=" + b"%61" * 16385, MALFORMED),
        (b"a&" * 1000, UNREADABLE),
        (b"&" * 1000 + b"caputchin-token=abc", UNREADABLE),
        (b"caputchin-token=abc&" * 1000, UNREADABLE),
    ],
)
def test_what_is_not_exactly_one_token_is_not_found(body: bytes, expected: str, size: int) -> None:
    assert told(search(body, URLENCODED, BOTH, [size] * len(body))) == expected


def test_too_many_fields_are_refused_before_the_body_ends() -> None:
    begun = begin(request(URLENCODED), BOTH)
    assert isinstance(begun, BodySearch)
    assert begun.feed(b"a&" * 999) is None
    refused = begun.feed(b"&")
    assert refused is not None
    assert told(refused) == UNREADABLE


@pytest.mark.parametrize("piece", [b"x" * 65536, b"%" * 65536, b"caputchin-token" * 4096, b"=" * 65536])
@pytest.mark.parametrize("start", [b"", b"name=", b"caputchin-token="])
def test_a_large_field_is_not_held_and_neither_is_what_can_be_no_token(start: bytes, piece: bytes) -> None:
    begun = begin(request(URLENCODED), BOTH)
    assert isinstance(begun, BodySearch)
    begun.feed(start)
    with traced() as held:
        for _ in range(100):
            begun.feed(piece)
        assert held() < 4096
