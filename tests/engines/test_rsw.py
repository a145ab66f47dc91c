"""Cap's repeated squaring: the vectors of cap.md 5, and the short cut against the long way."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from caputchin_gate.engines.rsw import TimeLock, canonical
from caputchin_gate.engines.solver import solve_cap

VECTORS = json.loads((Path(__file__).parent / "cap_vectors.json").read_text())["rsw"]


def the_long_way(modulus: str, base: str, squarings: int) -> str:
    payload = {"N": modulus, "x": base, "t": squarings}
    (solution,) = solve_cap({"format": 2, "challenges": [{"protocol": "rsw", "payload": payload}]})
    return str(solution["y"])


@cache
def small_lock(seed: bytes = b"s" * 32, squarings: int = 1000) -> TimeLock:
    return TimeLock(seed, squarings, bits=256)


@pytest.mark.parametrize(("squarings", "answer"), VECTORS["cases"])
def test_the_long_way_gives_the_answers_of_the_page(squarings: int, answer: str) -> None:
    assert the_long_way(VECTORS["N"], VECTORS["x"], squarings) == answer


@pytest.mark.parametrize(("squarings", "answer"), VECTORS["cases"])
def test_who_knows_the_primes_gets_there_sooner(squarings: int, answer: str) -> None:
    p, q = VECTORS["p"], VECTORS["q"]
    assert p * q == int(VECTORS["N"], 16)
    assert f"{pow(int(VECTORS['x'], 16), pow(2, squarings, (p - 1) * (q - 1)), p * q):x}" == answer


@pytest.mark.parametrize("secret", [bytes(31) + b"\x02", b"\xff" * 32, bytes(range(32))])
@pytest.mark.parametrize("squarings", [1, 1000])
def test_the_answer_we_know_is_the_one_a_browser_finds(secret: bytes, squarings: int) -> None:
    lock, answer = small_lock(squarings=squarings).lock(secret)
    assert the_long_way(lock.modulus, lock.base, lock.squarings) == answer


def test_every_secret_has_its_own_challenge_with_one_modulus() -> None:
    locks = [small_lock().lock(bytes([number]) * 32) for number in range(1, 50)]
    assert len({lock.base for lock, _ in locks}) == len({answer for _, answer in locks}) == 49
    assert len({lock.modulus for lock, _ in locks}) == 1


def test_workers_with_one_seed_agree_and_another_seed_has_other_primes() -> None:
    secret = b"n" * 32
    assert TimeLock(b"s" * 32, 1000, bits=256).lock(secret) == small_lock().lock(secret)
    assert small_lock(b"t" * 32).lock(secret)[0].modulus != small_lock().lock(secret)[0].modulus


def test_a_real_lock_has_2048_bits_and_shows_all_of_its_digits() -> None:
    lock, answer = TimeLock(b"s" * 32, 75_000).lock(b"n" * 32)
    assert (len(lock.modulus), len(lock.base)) == (512, 512)
    assert int(lock.modulus, 16).bit_length() == 2048
    modulus = int(lock.modulus, 16)
    assert all(modulus % small for small in range(2, 10_000))
    assert 1 < int(answer, 16) < modulus


@pytest.mark.parametrize("spelling", ["bd86d016c6", "BD86D016C6", "0xbd86d016c6", "0X00BD86d016c6", "000bd86d016c6"])
def test_an_answer_is_compared_without_its_spelling(spelling: str) -> None:
    assert canonical(spelling) == "bd86d016c6"
