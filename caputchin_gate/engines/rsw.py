"""Cap's `rsw` challenge: repeated squaring modulo a product of two primes, which can't be done in parallel (cap.md 5).

Who knows the primes takes a short cut. Even that one is too long for every challenge, so it is taken once, for a base
of ours: a challenge is a random power of the base, and its answer the same power of the base's answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256, shake_256
from typing import Final

BITS: Final = 2048
SECRET_BYTES: Final = 32

_WINDOW: Final = 4  # bits of an exponent that one multiplication takes


@dataclass(frozen=True, slots=True)
class Lock:
    """What a browser gets: square `base` so many times modulo `modulus`. Both are hex of the modulus' length."""

    modulus: str
    base: str
    squarings: int


class TimeLock:
    """Makes challenges and their answers. The primes follow from `seed`, a secret: every worker has the same."""

    def __init__(self, seed: bytes, squarings: int, bits: int = BITS) -> None:
        first, second = (_prime(seed + name, bits // 2) for name in (b" first", b" second"))
        modulus, order = first * second, (first - 1) * (second - 1)
        base = pow(int.from_bytes(shake_256(seed + b" base").digest(bits // 8)), 2, modulus)
        self.squarings = squarings
        self._digits = bits // 4
        self._modulus = modulus
        self._bases = _Powers(base, modulus)
        self._answers = _Powers(pow(base, pow(2, squarings, order), modulus), modulus)

    def lock(self, secret: bytes) -> tuple[Lock, str]:
        """The challenge that belongs to 32 secret bytes, and its answer."""
        base, answer = self._bases.power(secret), self._answers.power(secret)
        return Lock(self._hex(self._modulus), self._hex(base), self.squarings), f"{answer:x}"

    def _hex(self, number: int) -> str:
        return f"{number:0{self._digits}x}"


class _Powers:
    """Powers of one number, for exponents of 256 bits: all that a window of bits can contribute is worked out."""

    def __init__(self, base: int, modulus: int) -> None:
        self._modulus = modulus
        self._windows: list[list[int]] = []
        for _ in range(SECRET_BYTES * 8 // _WINDOW):
            window = [1]
            for _ in range(2**_WINDOW):
                window.append(window[-1] * base % modulus)
            base = window.pop()
            self._windows.append(window)

    def power(self, exponent: bytes) -> int:
        product, left = 1, int.from_bytes(exponent)
        for window in self._windows:
            product = product * window[left % 2**_WINDOW] % self._modulus
            left >>= _WINDOW
        return product


def canonical(answer: str) -> str:
    """An answer as it is compared: hex without prefix, leading zeros and capitals."""
    return answer.lower().removeprefix("0x").lstrip("0")


# Primes. They follow from a secret that nobody else chose any part of, so fixed bases are a sound test.

_SMALL: Final = tuple(n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))


def _prime(seed: bytes, bits: int) -> int:
    """The first prime after a number of so many bits, whose highest two are set."""
    start = int.from_bytes(shake_256(sha256(seed).digest()).digest(bits // 8)) | 3 << bits - 2 | 1
    rests = [start % small for small in _SMALL]
    step = 0
    while True:
        if all((rest + step) % small for rest, small in zip(rests, _SMALL, strict=True)) and _is_prime(start + step):
            return start + step
        step += 2


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_is_like_prime(base, odd, twos, number) for base in (2, *_SMALL[:15]))


def _is_like_prime(base: int, odd: int, twos: int, number: int) -> bool:
    power = pow(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
