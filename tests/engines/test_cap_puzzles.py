"""Cap's puzzles: the vectors of cap.md 3.3 and 5, and a second, plain writing of the generator to compare with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caputchin_gate.engines.cap_puzzles import all_solved, derived, explicit, fnv, hex_digits
from caputchin_gate.engines.solver import solve_cap

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "cap_vectors.json").read_text())


def prng(seed: str, length: int) -> str:
    return hex_digits(fnv(seed), length)


@pytest.mark.parametrize(("text", "expected"), VECTORS["fnv1a_utf16"])
def test_the_hash_of_seeds_is_that_of_the_page(text: str, expected: int) -> None:
    assert fnv(text) == expected


@pytest.mark.parametrize(("seed", "length", "expected"), VECTORS["prng"])
def test_the_generator_is_that_of_the_page(seed: str, length: int, expected: str) -> None:
    assert prng(seed, length) == expected


@pytest.mark.parametrize("vector", VECTORS["puzzles"], ids=["opaque token", "token of the reference"])
def test_a_token_stands_for_the_puzzles_of_the_page(vector: dict[str, Any]) -> None:
    puzzles = list(derived(vector["token"], vector["c"], vector["s"], vector["d"]))
    assert puzzles == list(zip(vector["salts"], vector["targets"], strict=True))
    assert all_solved(puzzles, vector["smallest_nonces"])
    challenge = {"challenge": {name: vector[name] for name in "csd"}, "token": vector["token"]}
    assert solve_cap(challenge) == vector["smallest_nonces"]


@pytest.mark.parametrize("wrong", [0, 1, 2])
@pytest.mark.parametrize("vector", VECTORS["puzzles"])
def test_one_wrong_nonce_is_enough(vector: dict[str, Any], wrong: int) -> None:
    nonces = [nonce + (place == wrong) for place, nonce in enumerate(vector["smallest_nonces"])]
    assert not all_solved(derived(vector["token"], vector["c"], vector["s"], vector["d"]), nonces)


def test_the_token_of_the_reference_is_the_one_that_its_secret_signs() -> None:
    """It says nothing about our tokens; it shows that the vector was read as it was meant."""
    said = VECTORS["jwt"]
    message = ".".join(unpadded(said[part].encode()) for part in ("header_text", "payload_text"))
    signature = hmac.digest(said["secret"].encode(), message.encode(), "sha256")
    assert signature.hex() == said["signature_hex"]
    assert f"{message}.{unpadded(signature)}" == VECTORS["puzzles"][1]["token"]


def unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


DIGESTS = {  # of the first vector: puzzle, smallest nonce, how the digest begins
    1: (42813, "d7f84bfcaf98e8c7"),
    2: (96488, "40b369edd1eac498"),
    3: (35910, "340bf06afc571e42"),
}


@pytest.mark.parametrize(("number", "solved"), DIGESTS.items())
def test_a_solution_is_over_text_and_begins_with_the_target(number: int, solved: tuple[int, str]) -> None:
    salt, target = list(derived(VECTORS["puzzles"][0]["token"], 3, 32, 4))[number - 1]
    digest = hashlib.sha256(f"{salt}{solved[0]}".encode()).hexdigest()
    assert digest.startswith(solved[1])
    assert digest.startswith(target)


# Against a plain writing of cap.md 3.2


def plain(seed: str, length: int) -> str:
    x = 2166136261
    units = seed.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        x = ((x ^ (high << 8 | low)) * 16777619) % 2**32
    digits = ""
    while len(digits) < length:
        x ^= (x << 13) % 2**32
        x ^= x >> 17
        x = (x ^ x << 5) % 2**32
        digits += f"{x:08x}"
    return digits[:length]


@given(st.text(max_size=30), st.integers(1, 300))
def test_any_seed_gives_what_the_plain_generator_gives(seed: str, length: int) -> None:
    assert prng(seed, length) == plain(seed, length)


@settings(deadline=None)
@given(st.text(max_size=20), st.integers(1, 130), st.integers(1, 50), st.integers(1, 20))
def test_puzzles_side_by_side_are_those_made_one_by_one(token: str, count: int, salt: int, target: int) -> None:
    assert list(derived(token, count, salt, target)) == [
        (plain(f"{token}{number}", salt), plain(f"{token}{number}d", target)) for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 99, 100, 101, 999, 1000])
def test_numbers_of_any_length_continue_the_hash(count: int) -> None:
    last = list(derived("token", count, 8, 4))[-1]
    assert last == (plain(f"token{count}", 8), plain(f"token{count}d", 4))


@given(st.text(max_size=20), st.integers(1, 64), st.integers(1, 64))
def test_a_shorter_salt_is_the_beginning_of_a_longer_one(seed: str, one: int, other: int) -> None:
    shorter, longer = sorted((one, other))
    assert prng(seed, longer).startswith(prng(seed, shorter))


@pytest.mark.parametrize("difficulty", [1, 2, 3, 5])
def test_a_target_of_odd_length_counts_its_last_digit(difficulty: int) -> None:
    puzzle = ("a salt", hashlib.sha256(b"a salt7").hexdigest()[:difficulty])
    assert all_solved([puzzle], [7])
    off_by_one = puzzle[1][:-1] + f"{(int(puzzle[1][-1], 16) + 1) % 16:x}"
    assert not all_solved([("a salt", off_by_one)], [7])


def test_the_salts_of_format_2_differ_from_token_to_token_and_its_targets_are_zeros() -> None:
    puzzles = [puzzle for token in ("A" * 84, "B" * 84) for puzzle in explicit(token, 100, 44, 5)]
    assert len({salt for salt, _ in puzzles}) == 200
    assert all(len(salt) == 44 and int(salt, 16) >= 0 for salt, _ in puzzles)
    assert {target for _, target in puzzles} == {"00000"}
