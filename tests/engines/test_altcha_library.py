"""ALTCHA's own Python library beside ours: what one of them issues or solves, the other one verifies.

The library looks at its own clock, so these challenges are of the present.
"""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from altcha import v1 as library1
from altcha import v2 as library2
from altcha_payloads import HOME, RANDOM, engine, site_key
from hypothesis import given
from hypothesis import strategies as some

from caputchin_gate.difficulty import Hardening
from caputchin_gate.engines import Solved
from caputchin_gate.engines.altcha import ALGORITHMS, version1, version2
from caputchin_gate.engines.altcha.server_signature import ServerSignatures
from caputchin_gate.engines.altcha.solver import solve
from caputchin_gate.secret import Secret

VERSION_1 = [algorithm for algorithm in ALGORITHMS if algorithm.startswith("v1/")]
VERSION_2 = [algorithm for algorithm in ALGORITHMS if not algorithm.startswith("v1/")]


def library_solves(document: Any) -> str:
    """The payload that the library makes of a challenge document, with its own solver."""
    if "parameters" in document:
        challenge = library2.Challenge.from_dict(document)
        solution = library2.solve_challenge(challenge)
        assert solution is not None
        return library2.Payload(challenge, solution).to_base64()
    members = [document[name] for name in ("challenge", "salt", "algorithm", "maxnumber")]
    found = library1.solve_challenge(*members)
    assert found is not None
    return library1.Payload(
        document["algorithm"], document["challenge"], found.number, document["salt"], document["signature"]
    ).to_base64()


def library_verifies(value: str) -> bool:
    if "number" in json.loads(base64.b64decode(value)):
        verified, _ = library1.verify_solution(value, site_key(1))
        return verified
    return library2.verify_solution(value, site_key(2)).verified


def we_verify(value: str, **asked: Any) -> bool:
    return isinstance(engine().check(value, now=time.time(), **{"client": None, **asked}), Solved)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_challenges_solved_by_the_library_verify_with_both(algorithm: str) -> None:
    asked: dict[str, Any] = {"client": HOME, "action": "sign up & \u00fc"}
    document = engine(algorithm=algorithm).issue(now=time.time(), random=RANDOM, step=1, **asked)
    value = library_solves(document)
    assert library_verifies(value)
    assert we_verify(value, **asked)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_challenges_solved_by_us_verify_with_the_library(algorithm: str) -> None:
    value = solve(engine(algorithm=algorithm).issue(now=time.time(), random=RANDOM, step=50, client=None))
    assert library_verifies(value)
    assert we_verify(value)


@pytest.mark.parametrize("algorithm", VERSION_1)
def test_challenges_of_the_library_verify_with_us_in_version_1(algorithm: str) -> None:
    now = int(time.time())
    challenge = library1.create_challenge(
        library1.ChallengeOptions(
            algorithm=algorithm.removeprefix("v1/"),  # type: ignore[arg-type]
            hmac_key=site_key(1),
            max_number=8192,
            salt_length=16,
            expires=datetime.fromtimestamp(now + 60, UTC),
            params={"issued": str(now), "maxnumber": "8192", "action": "log in"},
        )
    )
    document = {**challenge.to_dict(), "maxnumber": challenge.max_number}
    for value in (library_solves(document), solve(document)):
        assert library_verifies(value)
        assert we_verify(value, action="log in")


@pytest.mark.parametrize("algorithm", VERSION_2)
def test_challenges_of_the_library_verify_with_us_in_version_2(algorithm: str) -> None:
    now, function = int(time.time()), version2.ALGORITHMS[algorithm]
    cost, digits = function.cost_and_digits(4096)
    fixed = function.fixed
    challenge = library2.create_challenge(
        algorithm,
        cost,
        key_length=function.key_length,
        key_prefix="ABC0"[:digits],
        memory_cost=fixed.get("memoryCost"),
        parallelism=fixed.get("parallelism"),
        expires_at=now + 60,
        data={"issuedAt": now, "action": "\u00fc"},
        hmac_secret=site_key(2),
    ).to_dict()
    for value in (library_solves(challenge), solve(challenge)):
        assert library_verifies(value)
        assert we_verify(value, action="\u00fc")


def test_a_challenge_of_the_library_that_tells_nothing_of_its_work_is_none_for_a_gate() -> None:
    """Its numbers may all be small, and a counter that the server chose may be the first."""
    expires = datetime.fromtimestamp(int(time.time()) + 60, UTC)
    simple = library1.create_challenge(
        library1.ChallengeOptions(hmac_key=site_key(1), max_number=10, salt_length=16, expires=expires)
    )
    chosen = library2.create_challenge(
        "SHA-256",
        1,
        counter=0,
        expires_at=expires,
        data={"issuedAt": int(time.time())},
        hmac_secret=site_key(2),
        hmac_key_secret="another secret",
    )
    for document in ({**simple.to_dict(), "maxnumber": 10}, chosen.to_dict()):
        value = library_solves(document)
        assert library_verifies(value)
        assert not we_verify(value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_library_refuses_we_refuse(algorithm: str) -> None:
    value = solve(engine(algorithm=algorithm).issue(now=time.time() - 600, random=RANDOM, step=1, client=None))
    assert not library_verifies(value)
    assert not we_verify(value)


@pytest.mark.parametrize("state", Hardening)
def test_the_hardest_challenges_are_still_challenges_of_altcha(state: Hardening) -> None:
    """Nobody has the time to solve them here, so the signature alone is compared."""
    for algorithm in VERSION_2:
        document = engine(algorithm=algorithm).issue(now=time.time(), random=RANDOM, step=99, state=state, client=HOME)
        solution = library2.Solution(0, "00" * 32)
        payload = library2.Payload(library2.Challenge.from_dict(dict(document)), solution)
        judged = library2.verify_solution(payload, site_key(2))
        assert (judged.invalid_signature, judged.expired, judged.invalid_solution) == (False, False, True)


texts = some.text(some.characters(exclude_categories=("Cs",), exclude_characters="\x7f"), max_size=8)


@given(some.dictionaries(texts.filter(lambda name: not name.isdecimal()), texts | some.integers(0, 2**40), max_size=4))
def test_both_sign_the_same_text(data: dict[str, Any]) -> None:
    challenge = library2.create_challenge("SHA-256", 1, data=data or None, hmac_secret=site_key(2)).to_dict()
    proof = version2.proof_in({"challenge": challenge, "solution": {"counter": 0, "derivedKey": ""}})
    assert proof is not None
    assert proof.is_signed(engine()._keys[0]) or any(ord(letter) > 0xFFFF for name in data for letter in name)


@given(some.text(max_size=20), some.integers(0, 10**8))
def test_both_hash_the_same_in_version_1(salt: str, number: int) -> None:
    text = salt.encode("utf-8", "replace").decode() + "&"
    for algorithm in version1.ALGORITHMS:
        ours = version1.hashed(algorithm, text, number)
        assert ours == library1.hash_hex(algorithm, f"{text}{number}".encode())  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["SHA-256", "SHA-512"])
def test_a_statement_that_we_accept_is_one_that_the_library_accepts(algorithm: str) -> None:
    data = f"expire={int(time.time()) + 60}&id=abc&time={int(time.time())}&verified=true"
    secret = "sec_of_the_test"
    digest = library1.hash_algorithm(algorithm)  # type: ignore[arg-type]
    digest.update(data.encode())
    signature = library1.hmac_hex(algorithm, digest.digest(), secret)  # type: ignore[arg-type]
    members = {"algorithm": algorithm, "verificationData": data, "signature": signature, "verified": True}
    value = base64.b64encode(json.dumps(members).encode()).decode()
    assert library1.verify_server_signature(value, secret)[0]
    assert isinstance(ServerSignatures(Secret(secret)).check(value, now=time.time(), client=None), Solved)
