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
    salt_seeds = _numbered(fnv(token), count)
    target_seeds = [(seed ^ 0x64) * _PRIME & _WORD for seed in salt_seeds]  # 0x64 is "d"
    return zip(hex_digits(salt_seeds, salt_length), hex_digits(target_seeds, target_length), strict=True)


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
        if not sha256(f"{salt}{nonce}".encode()).hexdigest().startswith(target):
            return False
    return True


def hex_digits(seeds: Sequence[int], length: int) -> list[str]:
    """So many digits of the xorshift generator, for each of the seeds."""
    lanes = _lanes(len(seeds), -(-length // _DIGITS_A_STEP))
    states, steps = int.from_bytes(lanes.layout.pack(*seeds)), 0
    for _ in range(lanes.steps):
        states ^= (states & lanes.low_19) << 13
        states ^= states >> 17 & lanes.low_15
        states ^= (states & lanes.low_27) << 5
        steps = steps << 32 | states
    digits = steps.to_bytes(lanes.layout.size).hex()
    return [digits[at : at + length] for at in range(0, len(digits), lanes.steps * _DIGITS_A_STEP)]


class _Lanes:
    """Generators side by side: each has room for all its steps, and what a shift takes to a neighbour is masked."""

    __slots__ = ("layout", "low_15", "low_19", "low_27", "steps")

    def __init__(self, count: int, steps: int) -> None:
        self.steps = steps
        self.layout = Struct(">" + f"{4 * steps - 4}xI" * count)
        ones = int.from_bytes(self.layout.pack(*[1] * count))
        self.low_15, self.low_19, self.low_27 = (ones * (2**bits - 1) for bits in (15, 19, 27))


@lru_cache(8)
def _lanes(count: int, steps: int) -> _Lanes:
    return _Lanes(count, steps)


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
