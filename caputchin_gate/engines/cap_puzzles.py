"""Cap's puzzles: what salts and targets a challenge token stands for, and whether a nonce solves one (cap.md 3.2, 3.4).

All puzzles of a token are derived at once. Their generators are lanes of one large integer, so a step of fifty
generators costs about what a step of one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import Final, TypeAlias

Puzzle: TypeAlias = tuple[str, str]
"""A salt, and the target that the digest of salt and nonce has to begin with, both in hex."""

GREATEST_NONCE: Final = 2**53 - 1  # of the integers that a browser counts with exactly

_OFFSET: Final = 0x811C9DC5
_PRIME: Final = 0x01000193
_WORD: Final = 0xFFFFFFFF
_DIGITS_A_STEP: Final = 8


def fnv(text: str) -> int:
    """FNV-1a over UTF-16 code units; for ASCII the ordinary one."""
    state = _OFFSET
    units = text.encode() if text.isascii() else memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
    for unit in units:
        state = (state ^ unit) * _PRIME & _WORD
    return state


def derived(token: str, count: int, salt_length: int, target_length: int) -> Iterator[Puzzle]:
    """The puzzles of format 1, in their order."""
    lanes = _lanes(count, _steps(max(salt_length, target_length)))
    seeds = lanes.of(_numbered(fnv(token), count))
    targets = lanes.digits(lanes.hashed(seeds, "d"), target_length)
    return zip(lanes.digits(seeds, salt_length), targets, strict=True)


def explicit(token: str, count: int, salt_length: int, target_length: int) -> Iterator[Puzzle]:
    """The puzzles of format 2, which a challenge spells out. The salts follow from the token here too, so that
    nothing is remembered; by SHA-256, because the generator of format 1 has no more than 2**32 of them.
    """
    start, target = sha256(b"caputchin-gate cap salt" + token.encode()), "0" * target_length
    for number in range(count):
        salt = start.copy()
        salt.update(b".%d" % number)
        yield salt.hexdigest()[:salt_length], target


def all_solved(puzzles: Iterable[Puzzle], nonces: Iterable[int]) -> bool:
    """Whether each nonce solves its puzzle; the first that doesn't ends the work."""
    for (salt, target), nonce in zip(puzzles, nonces, strict=True):
        if sha256(f"{salt}{nonce}".encode()).hexdigest()[: len(target)] != target:
            return False
    return True


def hex_digits(seed: int, length: int) -> str:
    """So many digits of the xorshift generator."""
    lanes = _lanes(1, _steps(length))
    return lanes.digits(lanes.of([seed]), length)[0]


class _Lanes:
    """Generators side by side: each has room for all its steps, and what an act takes to a neighbour is masked."""

    __slots__ = ("_layout", "_low_15", "_low_19", "_low_27", "_ones", "_steps", "_words")

    def __init__(self, count: int, steps: int) -> None:
        self._steps = steps
        self._layout = Struct(">" + f"{4 * steps - 4}xI" * count)
        self._ones = self.of([1] * count)
        self._words = self._ones * _WORD
        self._low_15, self._low_19, self._low_27 = (self._ones * (2**bits - 1) for bits in (15, 19, 27))

    def of(self, seeds: Sequence[int]) -> int:
        return int.from_bytes(self._layout.pack(*seeds))

    def hashed(self, states: int, character: str) -> int:
        """The hashes, each of one more character."""
        return (states ^ self._ones * ord(character)) * _PRIME & self._words

    def digits(self, states: int, length: int) -> list[str]:
        """So many digits of each generator."""
        taken, steps = 0, _steps(length)
        for _ in range(steps):
            states ^= (states & self._low_19) << 13
            states ^= states >> 17 & self._low_15
            states ^= (states & self._low_27) << 5
            taken = taken << 32 | states
        digits = taken.to_bytes(self._layout.size).hex()
        first, lane = (self._steps - steps) * _DIGITS_A_STEP, self._steps * _DIGITS_A_STEP
        return [digits[at : at + length] for at in range(first, len(digits), lane)]


@lru_cache(8)
def _lanes(count: int, steps: int) -> _Lanes:
    return _Lanes(count, max(steps, 2))  # a product of the hash takes up to two words


def _steps(length: int) -> int:
    return -(-length // _DIGITS_A_STEP)


def _numbered(state: int, count: int) -> list[int]:
    """The hash goes on with "1", "2" and so on: each number continues from the one without its last digit."""
    found: list[int] = []
    shorter, digits = [state], b"123456789"
    while len(found) < count:
        needed = -(-(count - len(found)) // len(digits))
        shorter = [(state ^ digit) * _PRIME & _WORD for state in shorter[:needed] for digit in digits]
        found += shorter
        digits = b"0123456789"
    return found[:count]
