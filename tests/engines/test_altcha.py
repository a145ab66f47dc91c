"""ALTCHA in process (others.md 6, threats.md R10): what is issued, and what is accepted.

What is refused stands in `test_altcha_refusals.py`, what ALTCHA's own library says in `test_altcha_library.py`.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from altcha_payloads import (
    AWAY,
    ELSEWHERE,
    EXPIRED,
    HOME,
    KEY,
    NEVER_ISSUED,
    NEW_KEY,
    NOT_OURS,
    NOW,
    OTHER_KEY,
    PAGE_KEYS,
    PARAMETERS,
    RANDOM,
    VECTORS,
    check,
    decoded,
    encoded,
    engine,
    issued,
    made1,
    made2,
    respelt,
    salt,
    signed2,
    site_key,
    solved,
)

from caputchin_gate.difficulty import Hardening
from caputchin_gate.engines import FORGED, Binding, Solved
from caputchin_gate.engines.altcha import ALGORITHMS, version1, version2
from caputchin_gate.engines.altcha.challenges import AltchaChallenges
from caputchin_gate.engines.altcha.solver import solve
from caputchin_gate.engines.altcha.terms import RANDOM_BYTES
from caputchin_gate.errors import ConfigurationError

# The vectors of the page


def test_the_vector_of_version_1() -> None:
    vector = VECTORS["v1"]
    assert version1.hashed(vector["algorithm"], vector["salt"], vector["number"]) == vector["challenge"]
    proof = version1.proof_in(vector)
    assert proof is not None
    assert proof.is_signed(PAGE_KEYS)
    assert proof.is_solved()


@pytest.mark.parametrize("vector", VECTORS["v2"], ids=lambda vector: vector["parameters"]["algorithm"])
def test_the_vectors_of_version_2(vector: dict[str, Any]) -> None:
    parameters = vector["parameters"]
    solution = {"counter": vector["counter"], "derivedKey": vector["derivedKey"]}
    challenge = {"parameters": parameters, "signature": vector["signature"]}
    proof = version2.proof_in({"challenge": challenge, "solution": solution})
    assert proof is not None
    assert proof.is_signed(PAGE_KEYS)
    assert proof.is_solved()
    assert decoded(solve(challenge))["solution"] == {**solution, "time": 1}  # the smallest counter


def test_a_challenge_of_the_page_lives_too_long_for_a_gate_even_with_its_signature() -> None:
    old = VECTORS["v1"]
    assert check(encoded(made1(old["salt"], old["number"]))) == NEVER_ISSUED
    for vector in VECTORS["v2"]:
        assert check(encoded(decoded(solve(signed2(vector["parameters"]))))) == NEVER_ISSUED


# What is issued


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_issued_is_solved_and_accepted(algorithm: str) -> None:
    value = solved(engine(algorithm=algorithm), client=HOME, action="sign up & in")
    judged = engine(algorithm=algorithm).check(value, now=NOW + 5, client=HOME, action="sign up & in")
    assert isinstance(judged, Solved)
    assert (judged.site_key, judged.issued_at) == ("shop", NOW)
    assert judged.until >= NOW + 120 + 2 * 30  # threats.md R33
    assert 16 <= len(judged.claim_key) <= 32


def test_the_default_is_a_document_that_every_widget_solves() -> None:
    document = issued(engine(), client=HOME, action="a b")
    assert document.keys() == {"algorithm", "challenge", "maxnumber", "salt", "signature"}
    assert (document["algorithm"], document["maxnumber"]) == ("SHA-256", 8192)
    start, _, query = document["salt"].partition("?")
    assert (len(start), document["salt"][-1]) == (32, "&")
    names = [pair.partition("=")[0] for pair in query.split("&")]
    assert names == ["expires", "issued", "maxnumber", "client", "action", ""]


def test_a_challenge_of_version_2_has_the_parameters_of_the_page_and_no_secret_in_them() -> None:
    document = issued(engine(algorithm="PBKDF2/SHA-256"), client=HOME, action="login")
    assert document["parameters"] == {
        "algorithm": "PBKDF2/SHA-256",
        "cost": 160,
        "data": {"issuedAt": NOW, "action": "login", "client": document["parameters"]["data"]["client"]},
        "expiresAt": NOW + 120,
        "keyLength": 32,
        "keyPrefix": "00",
        "nonce": RANDOM[:16].hex(),
        "salt": RANDOM[16:].hex(),
    }
    assert document == signed2(document["parameters"])
    assert HOME not in json.dumps(document)


@pytest.mark.parametrize("algorithm", version2.ALGORITHMS)
def test_work_rises_along_the_curve_and_a_check_never_costs_more_than_the_most(algorithm: str) -> None:
    function, challenges = version2.ALGORITHMS[algorithm], engine(algorithm=algorithm)
    works = []
    for state in Hardening:
        for step in range(1, 100):
            parameters = issued(challenges, step=step, state=state)["parameters"]
            assert function.takes(parameters["cost"])
            assert set(parameters["keyPrefix"]) == {"0"}
            works.append(function.work_of(parameters["cost"], len(parameters["keyPrefix"])))
            target = challenges.curve.target(step, state)
            assert target is not None
            assert works[-1] >= 2**32 // (target + 1)
        assert works == sorted(works) or state is not Hardening.NORMAL
    assert min(works) == 4096
    assert max(works) <= 4 * 16 * 65_536


@pytest.mark.parametrize("state", Hardening)
@pytest.mark.parametrize("step", [1, 50, 99])
def test_work_rises_with_step_and_state_in_version_1(step: int, state: Hardening) -> None:
    challenges = engine()
    target = challenges.curve.target(step, state)
    assert target is not None
    assert issued(challenges, step=step, state=state)["maxnumber"] == 2 * (2**32 // (target + 1))


def test_the_secret_number_is_anywhere_up_to_the_largest() -> None:
    challenges = engine()
    numbers = [
        decoded(solved(challenges, random=n.to_bytes(RANDOM_BYTES)))["number"] for n in (0, 1, 8192, 8193, 2**128 - 1)
    ]
    assert numbers == [0, 1, 8192, 0, (2**128 - 1) % 8193]


@pytest.mark.parametrize(("step", "random"), [(0, RANDOM), (100, RANDOM), (1, b""), (1, RANDOM[1:]), (1, RANDOM * 2)])
def test_nothing_is_issued_off_the_curve_or_with_little_randomness(step: int, random: bytes) -> None:
    with pytest.raises(ValueError, match="curve"):
        issued(engine(), step=step, random=random)


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "SHA-256"])
def test_a_challenge_that_is_bound_to_nobody_says_nothing_of_its_client(algorithm: str) -> None:
    unbound = engine(algorithm=algorithm, binding="off")
    assert issued(unbound, client=HOME) == issued(unbound, client=None)


def test_no_challenge_lives_longer_than_five_minutes() -> None:
    assert issued(engine(lifetime=1000, algorithm="SHA-256"))["parameters"]["expiresAt"] == NOW + 300


def test_the_names_of_the_settings_are_those_of_the_two_versions() -> None:
    assert (*(f"v1/{name}" for name in version1.ALGORITHMS), *version2.ALGORITHMS) == ALGORITHMS


def test_mistakes_of_the_configuration() -> None:
    for keys in ((), (b"k" * 31,), (KEY, b"")):
        with pytest.raises(ConfigurationError, match="signing_key"):
            AltchaChallenges(keys, site_key="shop")
    for algorithm in ("", "SHA-1", "v1/SHA-1", "ARGON2ID", "MD5", "v1/sha-256"):
        with pytest.raises(ConfigurationError, match="algorithm"):
            engine(algorithm=algorithm)


# What is accepted


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "SHA-256"])
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-31, NEVER_ISSUED), (-30, Solved), (0, Solved), (120, Solved), (120.5, EXPIRED), (10**6, EXPIRED)],
)
def test_a_challenge_is_good_from_issue_to_expiry(algorithm: str, seconds: float, expected: object) -> None:
    judged = check(solved(engine(algorithm=algorithm)), now=NOW + seconds)
    assert isinstance(judged, Solved) if expected is Solved else judged == expected


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "v1/SHA-512", "SHA-256"])
def test_during_a_rotation_the_first_key_signs_and_all_verify(algorithm: str) -> None:
    for signing in (KEY, NEW_KEY):
        value = solved(engine(signing, algorithm=algorithm), client=HOME)
        assert isinstance(engine(NEW_KEY, KEY).check(value, now=NOW, client=HOME), Solved)
        assert engine(OTHER_KEY).check(value, now=NOW, client=HOME) == FORGED


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_issued_before_the_algorithm_was_changed_is_still_good(algorithm: str) -> None:
    assert isinstance(check(solved(engine(algorithm=algorithm)), algorithm="SHA-384"), Solved)


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "PBKDF2/SHA-256"])
@pytest.mark.parametrize(
    ("binding", "asked", "redeemed", "admitted"),
    [
        ("if-known", HOME, HOME, True),
        ("if-known", HOME, AWAY, False),
        ("if-known", HOME, None, True),
        ("if-known", None, AWAY, True),
        ("off", HOME, AWAY, True),
        ("require", HOME, HOME, True),
        ("require", HOME, AWAY, False),
        ("require", HOME, None, False),
        ("require", None, HOME, False),
        ("require", None, None, False),
    ],
)
def test_who_may_redeem_a_challenge(
    algorithm: str, binding: Binding, asked: str | None, redeemed: str | None, admitted: bool
) -> None:
    value = solved(engine(binding=binding, algorithm=algorithm), client=asked)
    judged = check(value, client=redeemed, binding=binding)
    assert isinstance(judged, Solved) if admitted else judged == ELSEWHERE


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "SHA-256"])
@pytest.mark.parametrize(
    ("asked", "demanded", "admitted"),
    [
        ("", "", True),
        ("login", "login", True),
        ("\ud800 \u00fc&=?+%", "\ud800 \u00fc&=?+%", True),
        ("login", "", False),
        ("", "login", False),
        ("login", "Login", False),
        ("login", "login ", False),
        ("login&issued=1", "login", False),
    ],
)
def test_a_challenge_is_good_for_its_action(algorithm: str, asked: str, demanded: str, admitted: bool) -> None:
    judged = check(solved(engine(algorithm=algorithm), action=asked), action=demanded)
    assert isinstance(judged, Solved) if admitted else judged == ELSEWHERE


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "SHA-256"])
def test_a_challenge_of_another_site_is_left_for_that_sites_engine(algorithm: str) -> None:
    for other in ("sho", "shopp", "", "blog"):
        assert check(solved(engine(site_key=other, algorithm=algorithm))) == NOT_OURS


def test_no_version_is_signed_with_the_key_of_the_other() -> None:
    assert check(encoded(made1(salt(), key=site_key(2)))) == NOT_OURS
    assert check(encoded({**made2(), "challenge": signed2(PARAMETERS, key=site_key(1))})) == NOT_OURS


# One challenge is one token


def claim_keys(*values: str) -> set[bytes]:
    judged = [check(value) for value in values]
    assert all(isinstance(each, Solved) for each in judged)
    return {each.claim_key for each in judged}


@pytest.mark.parametrize("algorithm", ["v1/SHA-256", "SHA-256", "PBKDF2/SHA-256"])
def test_however_a_payload_is_spelt_it_is_one_token(algorithm: str) -> None:
    assert len(claim_keys(*respelt(solved(engine(algorithm=algorithm))))) == 1


def test_every_solution_of_a_challenge_is_right_and_all_are_one_token() -> None:
    challenge = signed2(PARAMETERS)
    keys = ((counter, version2.derived_key(PARAMETERS, counter)) for counter in count())
    right = ((counter, key) for counter, key in keys if key.startswith("000"))
    solutions = [dict(zip(("counter", "derivedKey"), next(right), strict=True)) for _ in range(2)]
    assert len(claim_keys(*(encoded({"challenge": challenge, "solution": each}) for each in solutions))) == 1


def test_different_challenges_and_sites_are_different_tokens() -> None:
    assert len(claim_keys(*(solved(engine(), random=bytes([n]) * RANDOM_BYTES) for n in range(3)))) == 3
    keys = set()
    for site in ("a", "ab", "b"):
        own = engine(site_key=site)
        judged = own.check(solved(own), now=NOW, client=None)
        assert isinstance(judged, Solved)
        keys.add(judged.claim_key)
    assert len(keys) == 3


def test_no_key_shows_in_a_repr() -> None:
    shown = repr(engine()) + repr(engine()._keys)
    assert KEY.decode() not in shown
