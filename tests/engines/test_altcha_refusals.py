"""ALTCHA in process: everything that is not a right solution of a challenge of ours is refused (threats.md R10)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from altcha_payloads import (
    ELSEWHERE,
    EXPIRED,
    NEVER_ISSUED,
    NEW_KEY,
    NO_PAYLOAD,
    NOT_OURS,
    NOW,
    OTHER_KEY,
    PARAMETERS,
    UNSOLVED,
    check,
    decoded,
    encoded,
    engine,
    made1,
    made2,
    salt,
    signed2,
    solved,
)

from caputchin_gate.engines import FORGED, Solved
from caputchin_gate.engines.altcha import challenges, version1, version2
from caputchin_gate.engines.altcha.challenges import LONGEST_PROOF
from caputchin_gate.engines.altcha.version2 import signed_bytes
from caputchin_gate.providers._altcha import Answer, payload_of

# What is refused, version 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"algorithm": "MD5"}, NO_PAYLOAD),
        ({"algorithm": "SHA-1"}, NO_PAYLOAD),
        ({"algorithm": "sha-256"}, NO_PAYLOAD),
        ({"algorithm": "none"}, NO_PAYLOAD),
        ({"algorithm": None}, NO_PAYLOAD),
        ({"algorithm": "SHA-512"}, NOT_OURS),
        ({"challenge": "0" * 64}, NOT_OURS),
        ({"challenge": ""}, NOT_OURS),
        ({"challenge": "\u0660" * 64}, NO_PAYLOAD),
        ({"challenge": "\ud800"}, NO_PAYLOAD),
        ({"challenge": None}, NO_PAYLOAD),
        ({"signature": "0" * 64}, NOT_OURS),
        ({"signature": ""}, NOT_OURS),
        ({"signature": "\u00e9"}, NO_PAYLOAD),
        ({"signature": None}, NO_PAYLOAD),
        ({"number": "1"}, NO_PAYLOAD),
        ({"number": 1.0}, NO_PAYLOAD),
        ({"number": True}, NO_PAYLOAD),
        ({"number": None}, NO_PAYLOAD),
        ({"number": [1]}, NO_PAYLOAD),
        ({"number": -1}, NO_PAYLOAD),
        ({"number": 10**9}, NO_PAYLOAD),
        ({"number": 10**4000}, NO_PAYLOAD),
        ({"number": 0}, UNSOLVED),
        ({"number": 2}, UNSOLVED),
        ({"number": 11}, UNSOLVED),
        ({"salt": salt(expires=NOW + 121)}, UNSOLVED),
        ({"salt": salt(issued=NOW - 1)}, UNSOLVED),
        ({"salt": salt(maxnumber=8193)}, UNSOLVED),
        ({"salt": salt().replace("ab", "cd")}, UNSOLVED),
        ({"salt": None}, NO_PAYLOAD),
        ({"salt": ["ab"]}, NO_PAYLOAD),
        ({"salt": ""}, NEVER_ISSUED),
        ({"salt": "\ud800&"}, NEVER_ISSUED),
        ({"salt": salt() + "\n"}, NEVER_ISSUED),
    ],
)
def test_nothing_of_a_version_1_payload_can_be_changed(changes: dict[str, Any], expected: object) -> None:
    assert isinstance(check(encoded(made1(salt()))), Solved)
    assert check(encoded({**made1(salt()), **changes})) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (salt(expires=None), NEVER_ISSUED),
        (salt(issued=None), NEVER_ISSUED),
        (salt(maxnumber=None), NEVER_ISSUED),
        (salt(expires=NOW + 301), NEVER_ISSUED),
        (salt(expires=NOW + 300), Solved),
        (salt(expires=NOW), NEVER_ISSUED),
        (salt(expires=NOW - 1, issued=NOW - 121), EXPIRED),
        (salt(issued=NOW + 31, expires=NOW + 60), NEVER_ISSUED),
        (salt(expires="1e9"), NEVER_ISSUED),
        (salt(expires="\u0661" * 10), NEVER_ISSUED),
        (salt(maxnumber=8191), NEVER_ISSUED),
        (salt(maxnumber=0), NEVER_ISSUED),
        (salt(maxnumber=-1), NEVER_ISSUED),
        (salt(client="ab" * 8), Solved),
        (salt(client="AB" * 8), NEVER_ISSUED),
        (salt(client="ab"), NEVER_ISSUED),
        (salt(action="x"), ELSEWHERE),
        (salt(later="x"), NEVER_ISSUED),
        (salt() + "expires=9999999999&", NEVER_ISSUED),
        (salt().replace("?", "?expires=9999999999&"), NEVER_ISSUED),
        (salt().replace("expires", "expire"), NEVER_ISSUED),
        (salt()[2:], NEVER_ISSUED),
        (salt()[:-1], NEVER_ISSUED),
        (salt(expires=None)[:-1] + f"&expires={NOW + 120}&", NEVER_ISSUED),
    ],
)
def test_a_salt_that_is_never_issued_is_refused_even_with_our_own_signature(changed: str, expected: object) -> None:
    judged = check(encoded(made1(changed)))
    assert isinstance(judged, Solved) if expected is Solved else judged == expected


def test_ghsa_6gvq_jcmp_8959_the_number_can_not_run_into_the_salt() -> None:
    """Without an end to the salt, `expires=17` and 1234 are `expires=171` and 234 as well."""
    payload = made1(f"{'ab' * 16}?issued={NOW}&maxnumber=8192&expires={NOW + 120}", 1234)
    assert check(encoded(payload)) == NEVER_ISSUED
    right = made1(salt(), 1234)
    whole = f"{right['salt']}{right['number']}"
    for cut in range(len(whole)):
        start, rest = whole[:cut], whole[cut:]
        if rest.isdecimal() and start != right["salt"]:
            assert check(encoded({**right, "salt": start, "number": int(rest)})) in (NEVER_ISSUED, UNSOLVED)


def test_no_part_of_a_challenge_is_spliced_into_another() -> None:
    old, fresh = made1(salt(expires=NOW - 480, issued=NOW - 600), 7), made1(salt(), 7)
    for swapped in range(1, 2**6 - 1):
        mixed = {name: (old, fresh)[swapped >> place & 1][name] for place, name in enumerate(sorted(fresh))}
        judged = check(encoded(mixed))
        same = all(mixed[name] == fresh[name] for name in ("challenge", "salt", "signature"))
        assert isinstance(judged, Solved) if same else judged in (NOT_OURS, UNSOLVED, EXPIRED)


# What is refused, version 2


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": "SHA-1"},
        {"algorithm": "sha-256"},
        {"algorithm": "ARGON2ID"},
        {"algorithm": "PBKDF2"},
        {"algorithm": None},
        {"cost": 0},
        {"cost": -1},
        {"cost": 17},
        {"cost": 10**9},
        {"cost": 1.0},
        {"cost": "1"},
        {"cost": None},
        {"keyLength": 16},
        {"keyLength": 64},
        {"keyLength": 10**9},
        {"keyLength": None},
        {"keyPrefix": ""},
        {"keyPrefix": "0"},
        {"keyPrefix": "00"},
        {"keyPrefix": "0" * 17},
        {"keyPrefix": "00G"},
        {"keyPrefix": "ABC"},
        {"keyPrefix": None},
        {"nonce": "ab" * 15},
        {"nonce": "AB" * 16},
        {"nonce": ""},
        {"nonce": None},
        {"salt": "cd" * 8},
        {"salt": None},
        {"expiresAt": None},
        {"expiresAt": NOW + 301},
        {"expiresAt": NOW},
        {"expiresAt": str(NOW + 120)},
        {"expiresAt": NOW + 120.0},
        {"data": None},
        {"data": {}},
        {"data": {"issuedAt": NOW + 31}},
        {"data": {"issuedAt": str(NOW)}},
        {"data": {"issuedAt": NOW, "more": 1}},
        {"data": {"issuedAt": NOW, "client": 1}},
        {"data": {"issuedAt": NOW, "client": "ab"}},
        {"data": {"issuedAt": NOW, "action": ["x"]}},
        {"memoryCost": 8},
        {"parallelism": 1},
        {"keySignature": "00" * 32},
        {"further": 1},
        {"algorithm": "SCRYPT", "cost": 16, "keyPrefix": "00"},
        {"algorithm": "SCRYPT", "cost": 16, "keyPrefix": "00", "memoryCost": 8, "parallelism": 2},
        {"algorithm": "SCRYPT", "cost": 16, "keyPrefix": "00", "memoryCost": 2**20, "parallelism": 1},
        {"algorithm": "SCRYPT", "cost": 17, "keyPrefix": "00", "memoryCost": 8, "parallelism": 1},
        {"algorithm": "SCRYPT", "cost": 1, "keyPrefix": "000", "memoryCost": 8, "parallelism": 1},
        {"algorithm": "SCRYPT", "cost": 512, "keyPrefix": "0", "memoryCost": 8, "parallelism": 1},
        {"algorithm": "PBKDF2/SHA-256", "cost": 2561, "keyPrefix": "00"},
        {"algorithm": "PBKDF2/SHA-256", "cost": 159, "keyPrefix": "00"},
        {"algorithm": "SHA-512", "keyLength": 32},
    ],
    ids=str,
)
def test_parameters_that_are_never_issued_are_refused_even_with_our_own_signature(changes: dict[str, Any]) -> None:
    assert check(encoded(made2(**changes))) == NEVER_ISSUED


def test_a_challenge_of_version_2_expires() -> None:
    assert check(encoded(made2(expiresAt=NOW - 1, data={"issuedAt": NOW - 100}))) == EXPIRED


CHANGED: Mapping[str, Any] = {
    "algorithm": "SHA-384",
    "cost": 2,
    "data": {"issuedAt": NOW - 1},
    "expiresAt": NOW + 121,
    "keyLength": 48,
    "keyPrefix": "0",
    "nonce": "ac" * 16,
    "salt": "ce" * 16,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_no_parameter_of_version_2_can_be_changed_left_out_or_added(name: str) -> None:
    right = made2()
    for changed in (
        {**PARAMETERS, name: CHANGED[name]},
        {**PARAMETERS, "more": 1},
        {key: value for key, value in PARAMETERS.items() if key != name},
    ):
        challenge = {"parameters": changed, "signature": right["challenge"]["signature"]}
        assert check(encoded({**right, "challenge": challenge})) == NOT_OURS


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"counter": 0}, UNSOLVED),
        ({"counter": 2**32 - 1}, UNSOLVED),
        ({"counter": 2**32}, NO_PAYLOAD),
        ({"counter": -1}, NO_PAYLOAD),
        ({"counter": 1.0}, NO_PAYLOAD),
        ({"counter": True}, NO_PAYLOAD),
        ({"counter": "1"}, NO_PAYLOAD),
        ({"counter": None}, NO_PAYLOAD),
        ({"counter": 10**4000}, NO_PAYLOAD),
        ({"derivedKey": "000" + "f" * 61}, UNSOLVED),
        ({"derivedKey": "000"}, UNSOLVED),
        ({"derivedKey": ""}, UNSOLVED),
        ({"derivedKey": "000" + "g" * 61}, UNSOLVED),
        ({"derivedKey": "\ud800"}, UNSOLVED),
        ({"derivedKey": None}, NO_PAYLOAD),
        ({"derivedKey": 0}, NO_PAYLOAD),
        ({"time": "ages"}, Solved),
    ],
)
def test_a_wrong_solution_of_version_2_is_refused(changes: dict[str, Any], expected: object) -> None:
    right = made2()
    judged = check(encoded({**right, "solution": {**right["solution"], **changes}}))
    assert isinstance(judged, Solved) if expected is Solved else judged == expected


@pytest.mark.parametrize(
    ("signature", "expected"), [("", NOT_OURS), ("0" * 64, NOT_OURS), ("\u00e9", NO_PAYLOAD), (None, NO_PAYLOAD)]
)
def test_a_wrong_signature_of_version_2_is_refused(signature: object, expected: object) -> None:
    assert check(encoded({**made2(), "challenge": {"parameters": PARAMETERS, "signature": signature}})) == expected


def test_a_key_that_was_derived_but_begins_wrongly_is_no_solution() -> None:
    wrong = next(n for n in count() if not version2.derived_key(PARAMETERS, n).startswith("000"))
    solution = {"counter": wrong, "derivedKey": version2.derived_key(PARAMETERS, wrong)}
    assert check(encoded({"challenge": signed2(PARAMETERS), "solution": solution})) == UNSOLVED


def test_the_solution_of_one_challenge_is_none_of_another() -> None:
    one, other = made2(), made2(nonce="ef" * 16)
    assert check(encoded({**one, "solution": other["solution"]})) == UNSOLVED


def test_cve_2025_24369_any_well_formed_hash_is_no_proof_and_the_client_sets_no_difficulty() -> None:
    """Anubis GHSA-56w8-8ppj-2p4f: the difficulty came from the client, so 0 accepted every hash."""
    for payload in (
        {**made1(salt()), "number": 5, "maxnumber": 0},
        {**made1(salt()), "number": 5, "challenge": version1.hashed("SHA-256", salt(), 5)},
        {**made2(), "solution": {"counter": 5, "derivedKey": "0" * 64}},
        {**made2(), "solution": {"counter": 5, "derivedKey": "0" * 64}, "keyPrefix": "", "difficulty": 0},
    ):
        assert check(encoded(payload)) in (NOT_OURS, UNSOLVED)


# The form of the payload


@pytest.mark.parametrize(
    "value",
    [
        "",
        "=",
        "A",
        "e30",
        "not base64!",
        "\u00e9",
        "\ud800",
        " " + encoded(made1(salt())),
        encoded(made1(salt())) + "\n",
        encoded(made1(salt())) + "====",
        "=" + encoded(made1(salt())),
        encoded(made1(salt()))[:-8],
        encoded([made1(salt())]),
        encoded(None),
        encoded("x"),
        encoded({"challenge": None, "solution": None, "test": True}),
        encoded({"challenge": {"parameters": None, "signature": "x"}, "solution": {}}),
        encoded({"challenge": {"parameters": {}}, "solution": {"counter": 0, "derivedKey": "x"}}),
        encoded({"verificationData": "verified=true", "signature": "00", "algorithm": "SHA-256", "verified": True}),
        base64.b64encode(json.dumps(made1(salt())).encode("utf-16")).decode(),
        base64.b64encode(b"\xef\xbb\xbf" + json.dumps(made1(salt())).encode()).decode(),
        base64.b64encode(json.dumps(made1(salt())).encode() + b"{}").decode(),
        base64.b64encode(b'{"number":1,' + json.dumps(made1(salt())).encode()[1:]).decode(),
        base64.b64encode(b"[" * 12_000).decode(),
        base64.b64encode(b'{"challenge":{"parameters":' * 400).decode(),
        base64.b64encode(b'{"number":' + b"9" * 5000 + b"}").decode(),
        base64.b64encode(b'{"number":NaN}').decode(),
        encoded({**made1(salt()), "padding": "x" * 12_288}),
    ],
)
def test_a_value_of_another_form_is_refused(value: str) -> None:
    assert check(value) == NO_PAYLOAD


def test_parameters_nested_as_deep_as_json_may_be_are_refused_and_break_nothing() -> None:
    for depth in (10, 300, 900, 990, 2000):
        deep = '{"a":' * depth + "1" + "}" * depth
        text = f'{{"challenge":{{"parameters":{deep},"signature":"x"}},"solution":{{"counter":1,"derivedKey":"x"}}}}'
        assert check(base64.b64encode(text.encode()).decode()) in (NO_PAYLOAD, NOT_OURS)


def test_parameters_too_deep_to_be_written_again_are_no_proof() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    solution = {"counter": 0, "derivedKey": "x"}
    assert version2.proof_in({"challenge": {"parameters": deep, "signature": "x"}, "solution": solution}) is None


@pytest.mark.parametrize("algorithm", ["v1/SHA-512", "SHA-512"])
def test_the_longest_payload_that_is_issued_for_is_read_and_longer_ones_are_not(algorithm: str) -> None:
    action = "\U0001f600" * 256  # the longest one that may be asked for, and json escapes all of it
    value = solved(engine(algorithm=algorithm), action=action)
    spelt = encoded({**decoded(value), "took": 12_345})
    assert 3 * LONGEST_PROOF // 8 < len(spelt) <= LONGEST_PROOF
    assert isinstance(check(spelt, action=action), Solved)
    assert check(encoded({**decoded(value), "more": " " * 4000}), action=action) == NO_PAYLOAD


def test_a_token_is_read_once_however_many_sites_and_keys_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What costs is reading and writing it; a signature more is cheap."""
    read, written = [], []

    def reading(value: str) -> Answer | None:
        read.append(value)
        return payload_of(value)

    def writing(parameters: Mapping[str, Any]) -> bytes:
        written.append(parameters)
        return signed_bytes(parameters)

    monkeypatch.setattr(challenges, "payload_of", reading)
    monkeypatch.setattr(version2, "signed_bytes", writing)
    garbage = encoded(made2() | {"took": "another than in other tests"})
    for number in range(100):
        assert engine(OTHER_KEY, NEW_KEY, site_key=f"site{number}").check(garbage, now=NOW, client=None) == FORGED
    assert (len(read), len(written)) == (1, 1)
