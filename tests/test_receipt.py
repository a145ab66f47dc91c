"""The receipt itself: what is signed, where it is good, how long, and how it has to be spelt.

`forge` makes receipts with the signing key in hand, from the description alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.receipt import ID_BYTES, Receipt, Receipts

KEY, OTHER_KEY, NEW_KEY = b"k" * 32, b"o" * 32, b"n" * 32
NOW = 1_800_000_000
LIFETIME = 120
RECEIPT_ID = bytes(range(ID_BYTES))
HOME, AWAY = "203.0.113.9", "198.51.100.7"
MATCH, ASKED = "POST /signup", '[["caputchin"], [], [null]]'
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def receipts(*keys: bytes, **changed: Any) -> Receipts:
    return Receipts(keys or (KEY,), **({"match": MATCH, "asked": ASKED, "lifetime": LIFETIME, "uses": 3} | changed))


ROUTE = receipts()


def issue(by: Receipts = ROUTE, *, now: float = NOW, client: str | None = HOME, secure: bool = False) -> str:
    return by.issue(now=now, receipt_id=RECEIPT_ID, client=client, secure=secure)


def value_of(set_cookie: str) -> str:
    return set_cookie.partition(";")[0].partition("=")[2]


def check(
    value: str, by: Receipts = ROUTE, *, now: float = NOW, client: str | None = HOME, name: str | None = None
) -> Receipt | None:
    return by.check([f"{name or by.cookie}={value}"], now=now, client=client)


def forge(
    *,
    key: bytes = KEY,
    issued_at: int = NOW,
    match: str = MATCH,
    asked: str = ASKED,
    client: str = HOME,
    purpose: bytes = b"receipt",
    mac_bytes: int = 16,
) -> str:
    body = issued_at.to_bytes(4) + RECEIPT_ID
    route = hashlib.sha256(hashlib.sha256(match.encode()).digest() + asked.encode()).digest()
    own_key = hmac.digest(key, b"caputchin-gate " + purpose, "sha256")
    mac = hmac.digest(own_key, route + body + client.encode(), "sha256")
    return base64.urlsafe_b64encode(body + mac[:mac_bytes]).decode()


VALUE = value_of(issue())


# What is signed


def test_a_receipt_is_what_its_description_says() -> None:
    assert forge() == VALUE
    assert check(VALUE) is not None


def test_the_cookie_is_for_this_site_alone_and_for_no_script() -> None:
    assert issue() == f"{ROUTE.cookie}={VALUE}; Max-Age=120; Path=/; HttpOnly; SameSite=Strict"
    assert issue(secure=True) == issue() + "; Secure"


@pytest.mark.parametrize(
    "forged",
    [
        {"key": OTHER_KEY},
        {"match": "POST /login"},
        {"asked": '[["procaptcha"], [], [null]]'},
        {"client": AWAY},
        {"client": ""},
        {"purpose": b"receipt use"},
        {"purpose": b"native challenge"},
    ],
)
def test_a_receipt_with_anything_else_signed_is_none(forged: dict[str, Any]) -> None:
    assert check(forge(**forged)) is None


@given(st.integers(0, 47), st.sampled_from(ALPHABET))
def test_a_receipt_with_one_character_changed_is_none(place: int, character: str) -> None:
    changed = VALUE[:place] + character + VALUE[place + 1 :]
    assert (check(changed) is not None) == (changed == VALUE)


@given(st.integers(1, 35))
def test_two_receipts_spliced_are_none(cut: int) -> None:
    other = value_of(ROUTE.issue(now=NOW + 1, receipt_id=bytes(reversed(RECEIPT_ID)), client=HOME, secure=False))
    first, second = (base64.urlsafe_b64decode(value) for value in (VALUE, other))
    for one, another in ((first, second), (second, first)):
        spliced = one[:cut] + another[cut:]
        assert spliced in (first, second) or check(base64.urlsafe_b64encode(spliced).decode()) is None


@given(st.binary(min_size=36, max_size=36))
def test_random_bytes_are_no_receipt(content: bytes) -> None:
    assert check(base64.urlsafe_b64encode(content).decode()) is None


def test_an_id_has_128_bits() -> None:
    with pytest.raises(ValueError, match="length"):
        ROUTE.issue(now=NOW, receipt_id=b"short", client=None, secure=False)


# Where it is good


@pytest.mark.parametrize(
    ("issued_to", "brought_by", "good"),
    [
        (HOME, HOME, True),
        (HOME, AWAY, False),
        (HOME, None, False),
        (None, HOME, False),
        (None, None, True),
        ("2001:db8::/64", "2001:db8::/64", True),
        ("2001:db8::/64", "2001:db8:0:1::/64", False),
    ],
)
def test_a_receipt_is_good_for_the_network_it_was_given_to(
    issued_to: str | None, brought_by: str | None, good: bool
) -> None:
    assert (check(value_of(issue(client=issued_to)), client=brought_by) is not None) == good


@pytest.mark.parametrize(
    "changed", [{"match": "POST /signup/"}, {"match": "post /signup"}, {"asked": "[]"}, {"match": "", "asked": MATCH}]
)
def test_a_receipt_is_good_on_the_route_it_was_earned_on(changed: dict[str, Any]) -> None:
    assert check(VALUE, receipts(**changed)) is None
    assert check(VALUE, receipts(**changed), name=ROUTE.cookie) is None


def test_two_routes_have_two_cookies() -> None:
    assert receipts(match="POST /login").cookie != ROUTE.cookie == receipts(NEW_KEY, asked="[]", lifetime=10).cookie


def test_keys_rotate_and_the_first_signs() -> None:
    rotated = receipts(NEW_KEY, KEY)
    assert check(VALUE, rotated) == check(VALUE)
    assert check(value_of(issue(rotated))) is None
    assert check(value_of(issue(rotated)), receipts(NEW_KEY)) is not None
    assert check(VALUE, receipts(NEW_KEY)) is None


# How long


@pytest.mark.parametrize(
    ("after", "good"),
    [
        (0, True),
        (LIFETIME - 0.001, True),
        (LIFETIME, False),  # no leeway: a receipt never lives longer than it says
        (LIFETIME + 29, False),
        (-30, True),  # issued by a machine whose clock is ahead
        (-30.001, False),
    ],
)
def test_the_end_of_its_life_has_no_leeway(after: float, good: bool) -> None:
    assert (check(VALUE, now=NOW + after) is not None) == good


def test_the_shorter_of_two_settings_counts() -> None:
    assert check(VALUE, receipts(lifetime=60), now=NOW + 60) is None


@pytest.mark.parametrize("lifetime", [10, LIFETIME, 300])
def test_a_use_is_remembered_for_longer_than_any_clock_or_setting_lets_the_receipt_live(lifetime: int) -> None:
    receipt = check(VALUE, receipts(lifetime=lifetime), now=NOW + 7)
    assert receipt is not None
    assert (receipt.until, receipt.born) == (NOW + 300 + 60, NOW - 5)


# Its uses


def test_each_use_of_each_receipt_is_a_claim_of_its_own() -> None:
    receipt = check(VALUE)
    other = check(value_of(ROUTE.issue(now=NOW, receipt_id=bytes(ID_BYTES), client=HOME, secure=False)))
    assert receipt is not None
    assert other is not None
    keys = (*receipt.uses, *other.uses)
    assert len(set(keys)) == 6
    assert all(len(key) == 16 for key in keys)
    assert not any(key in base64.urlsafe_b64decode(VALUE) or RECEIPT_ID in key for key in keys)


def test_more_uses_begin_with_the_same_ones() -> None:
    """So changing the setting gives nobody a use again."""
    few, many = check(VALUE, receipts(uses=1)), check(VALUE, receipts(uses=10))
    assert few is not None
    assert many is not None
    assert (few.uses, len(many.uses)) == (many.uses[:1], 10)


# How it is spelt


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["{name}"],
        ["{name}="],
        ["{name}=={value}"],
        ['{name}="{value}"'],
        ["{name}={value}="],
        ["{name}={value}A"],
        ["{name}={short}"],
        ["{name}={short}\n"],
        ["{name}={short}+"],
        ["{name}={short}/"],
        ["{name}={short}="],
        ["{name}={short}\u0130"],
        ["{name}={value}, a=b"],
        ["a=b, {name}={value}"],
        ["{upper}={value}"],
        ["x{name}={value}"],
        ["{name}\x00={value}"],
        ["{name}={value}; {name}={value}"],
        ["{name}={value}; {name}=x"],
        ["{name}=; {name}={value}"],
        ["{name}={value}", "{name}={value}"],
        ["a=b; {name}={value}", "c=d; {name}="],
    ],
)
def test_what_can_be_read_in_two_ways_is_no_receipt(headers: list[str]) -> None:
    filled = [
        header.format(name=ROUTE.cookie, upper=ROUTE.cookie.upper(), value=VALUE, short=VALUE[:-1])
        for header in headers
    ]
    assert ROUTE.check(filled, now=NOW, client=HOME) is None


@pytest.mark.parametrize(
    "headers",
    [
        ["{name}={value}"],
        ["a=b;{name}={value};c=d"],
        ["a=b;  \t{name} = {value} ; c"],
        ["{other}={value}; {name}={value}"],
        ["a=b", "{name}={value}", "c=d"],
        ['session="a b"; {name}={value}'],
    ],
)
def test_a_receipt_is_found_among_other_cookies(headers: list[str]) -> None:
    other = receipts(match="POST /login").cookie
    filled = [header.format(name=ROUTE.cookie, value=VALUE, other=other) for header in headers]
    assert ROUTE.check(filled, now=NOW, client=HOME) is not None


@given(st.lists(st.text(st.characters(max_codepoint=255))))
def test_no_cookie_header_breaks_the_search(headers: list[str]) -> None:
    assert ROUTE.check(headers, now=NOW, client=HOME) is None
    assert ROUTE.check([*headers, f"{ROUTE.cookie}={VALUE}"], now=NOW, client=HOME) is not None
