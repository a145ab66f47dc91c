"""ALTCHA in process: every payload near a right one, and every one far from it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from altcha_payloads import NO_PAYLOAD, NOW, check, encoded, made1, made2, salt
from hypothesis import given
from hypothesis import strategies as some

from caputchin_gate.engines import Solved
from caputchin_gate.engines.altcha import version1

# Every payload near a right one


NAMES = ["algorithm", "challenge", "number", "salt", "signature", "took", "parameters", "solution", "counter", "cost"]
scalars = some.sampled_from([None, True, False, 0, 1, -1, 2**32, 1.5, 1e308, "", "0", "x" * 300, "SHA-512", "\ud800"])
values = scalars | some.text(max_size=8) | some.lists(scalars, max_size=3)
values |= some.dictionaries(some.sampled_from(NAMES), scalars, max_size=3)
RIGHT = {"v1": made1(salt(), 4242), "v2": made2()}
STALE = {"v1": made1(salt(expires=NOW - 480, issued=NOW - 600), 77), "v2": made2(nonce="99" * 16)}


def places(payload: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [(*path, name) for name in payload]
    inner = [places(value, (*path, name)) for name, value in payload.items() if isinstance(value, dict)]
    return found + [place for each in inner for place in each]


def put(payload: Mapping[str, Any], path: tuple[str, ...], change: Callable[[dict[str, Any], str], None]) -> Any:
    copied: dict[str, Any] = json.loads(json.dumps(payload))
    holder = copied
    for name in path[:-1]:
        holder = holder[name]
    change(holder, path[-1])
    return copied


def means_the_same(payload: Any, right: Mapping[str, Any]) -> bool:
    """Whether all that counts is as it was: the rest is not read."""
    try:
        if "number" in right:
            return all(same(payload[name], right[name]) for name in version1.Proof._fields)
        counts = (("challenge", "parameters"), ("challenge", "signature"), ("solution", "counter"))
        kept = all(same(payload[one][two], right[one][two]) for one, two in counts)
        return kept and same(payload["solution"]["derivedKey"], right["solution"]["derivedKey"])
    except (KeyError, TypeError):
        return False


def same(one: object, other: object) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(some.data())
def test_a_payload_with_one_member_missing_replaced_or_spliced_passes_only_if_nothing_that_counts_changed(
    data: some.DataObject,
) -> None:
    version = data.draw(some.sampled_from(("v1", "v2")))
    right, stale = RIGHT[version], STALE[version]
    path = data.draw(some.sampled_from(places(right)))
    kind = data.draw(some.sampled_from(("missing", "replaced", "spliced", "elsewhere", "cut", "longer")))
    other = data.draw(values)

    def change(holder: dict[str, Any], name: str) -> None:
        match kind, holder[name]:
            case "missing", _:
                del holder[name]
            case "replaced", _:
                holder[name] = other
            case "spliced", _:
                from_stale: Any = stale
                for step in path:
                    from_stale = from_stale[step]
                holder[name] = from_stale
            case "elsewhere", _:
                holder[data.draw(some.sampled_from(NAMES))] = holder[name]
            case "cut", str(text):
                holder[name] = text[: data.draw(some.integers(0, len(text)))]
            case _, str(text):
                holder[name] = text + data.draw(some.text(max_size=4))
            case _:
                holder[name] = other

    payload = put(right, path, change)
    judged = check(encoded(payload))
    assert isinstance(judged, Solved) == means_the_same(payload, right)


@given(some.sampled_from(("v1", "v2")), some.data())
def test_a_member_that_stands_twice_is_refused_wherever_it_stands(version: str, data: some.DataObject) -> None:
    text = json.dumps(RIGHT[version])
    path = data.draw(some.sampled_from(places(RIGHT[version])))
    written = f"{json.dumps(path[-1])}: "
    doubled = f"{written}{json.dumps(data.draw(values))}, {written}"
    at = [place for place in range(len(text)) if text.startswith(written, place)]
    place = data.draw(some.sampled_from(at))
    twice = text[:place] + doubled + text[place + len(written) :]
    assert check(base64.b64encode(twice.encode()).decode()) == NO_PAYLOAD


@given(some.integers(0, 2000), some.sampled_from(("v1", "v2")))
def test_no_bit_of_a_payload_matters_without_the_gate_noticing(place: int, version: str) -> None:
    raw = bytearray(json.dumps(RIGHT[version]).encode())
    raw[place // 8 % len(raw)] ^= 1 << place % 8
    judged = check(base64.b64encode(raw).decode())
    try:
        assert isinstance(judged, Solved) == means_the_same(json.loads(raw.decode()), RIGHT[version])
    except ValueError:
        assert judged == NO_PAYLOAD


@given(some.text(max_size=60) | some.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()))
def test_no_text_breaks_the_check_and_none_passes(value: str) -> None:
    assert check(value) == NO_PAYLOAD
