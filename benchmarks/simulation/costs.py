"""What a million submissions cost. Computed: the work that the gate asks for, times what a machine does in a second."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.simulation.assumptions import CORE, DEVICES, GPU, MILLION, Solver
from benchmarks.simulation.clients import ATTACKER, MINUTE
from benchmarks.simulation.course import STEPS, course
from benchmarks.simulation.runs import Result
from benchmarks.simulation.world import hashes_without_hardening
from caputchin_gate.difficulty import Curve, Hardening, Multipliers
from caputchin_gate.engines.altcha.version2 import ALGORITHMS
from caputchin_gate.engines.cap_work import MULTIPLIERS, Work

HOUR: Final = 3600.0
EASIEST: Final = 4096  # hashes: the first challenge of a client in its minute
SQUARINGS: Final = 75_000


@dataclass(frozen=True, slots=True)
class Attack:
    """A million submissions by the attacker of a run, at the pace that the gate has let it have.

    days:     how long that takes
    calm, hardened: hashes in all, without hardening and with it
    """

    name: str
    days: float
    calm: float
    hardened: float


def attack(result: Result) -> Attack:
    """The pace is that of the run. Which states the site is in after it, follows from what counts of that pace."""
    issued = [asked for asked in result.of(ATTACKER, "during") if asked.token]
    minutes = MILLION / len(issued) * result.run.lasts / MINUTE
    states, multipliers = course(*result.paces(), minutes), Multipliers()
    later = states[int(result.run.lasts / MINUTE * STEPS) :]
    curve = Curve()
    calm = statistics.fmean(hashes_without_hardening(asked, curve) for asked in issued)
    rest = (MILLION - len(issued)) * calm * statistics.fmean(map(multipliers.of, later))
    return Attack(
        result.run.name, minutes * MINUTE / (24 * HOUR), MILLION * calm, sum(one.hashes for one in issued) + rest
    )


def hours(work: float, solver: Solver) -> float:
    return work / solver.rate / HOUR


def dollars(work: float, solver: Solver) -> float:
    return hours(work, solver) * solver.price


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work: what the first challenge of a client takes, and how fast that is done.

    calm, critical: in the unit of this kind, on average
    browser: seconds of a calm and of a critical challenge on a laptop
    slower: how many times that each of DEVICES takes
    core, gpu: units a second
    """

    name: str
    calm: float
    critical: float
    browser: tuple[float, float]
    core: float
    gpu: float
    slower: tuple[float, ...] = tuple(DEVICES[0].rate / device.rate for device in DEVICES)

    def million(self, solver: Solver, *, critical: bool = False) -> float:
        """Dollars for a million."""
        rate = self.core if solver is CORE else self.gpu
        return (self.critical if critical else self.calm) * MILLION / rate / HOUR * solver.price

    @property
    def calm_seconds(self) -> tuple[float, ...]:
        """On each of DEVICES."""
        return tuple(self.browser[0] * slower for slower in self.slower)

    @property
    def critical_seconds(self) -> tuple[float, ...]:
        return tuple(self.browser[1] * slower for slower in self.slower)

    @property
    def advantage(self) -> float:
        """How many times as fast as a phone a GPU does it, when it is critical."""
        _, phone, _ = self.critical_seconds
        return phone / (self.critical / self.gpu)


# What one machine measured, in one thread of Chromium 156 (browser) or of OpenSSL 3 (native).
_BROWSER_SQUARING: Final = 1.54e-6  # seconds, BigInt, 2048 bits
_NATIVE_SQUARINGS: Final = 1.4e6  # a second, from `openssl speed rsa2048`: a verification is 17 of them
_BROWSER_DIGEST: Final = 4.2e-6  # seconds for a call of crypto.subtle.digest
_BROWSER_DERIVATION: Final = 46e-6  # seconds for two calls of crypto.subtle, the iterations not counted
_BROWSER_ITERATION: Final = 0.127e-6  # seconds, PBKDF2-HMAC-SHA-256
_NATIVE_ITERATIONS: Final = 5.5e6  # a second
_NATIVE_SCRYPT: Final = 0.69e6  # N a second, r = 8
# hashcat 6.2.6 on one RTX 4090: PBKDF2-HMAC-SHA256 8,865.7 kH/s at 999 iterations, scrypt 7,126 H/s at N = 16384.
_GPU_ITERATIONS: Final = 8.8657e6 * 999
_GPU_SCRYPT: Final = 7126 * 16384.0
_GPU_CORES: Final = 40  # assumed: chains of squarings side by side, as many as so many cores do
_CAP_SECONDS: Final = (0.31, 1.03, 4.58)  # of 50 puzzles: Cap's benchmark page, M3 laptop, Pixel 7, Galaxy A11


def kinds() -> Iterator[Kind]:
    critical = Multipliers().of(Hardening.CRITICAL)
    works = EASIEST, int(EASIEST * critical)
    yield Kind("the gate's widget", *works, _each(works, 1 / DEVICES[0].rate), CORE.rate, GPU.rate)
    yield Kind("ALTCHA, `v1/SHA-256`", *works, _each(works, _BROWSER_DIGEST), CORE.rate, GPU.rate)
    yield _pbkdf2(works)
    costs = [(cost, 16**digits) for cost, digits in map(ALGORITHMS["SCRYPT"].cost_and_digits, works)]
    sizes = _pair(cost * tries for cost, tries in costs)
    yield Kind("ALTCHA, `SCRYPT`", *sizes, _each(sizes, 2 / _NATIVE_SCRYPT), _NATIVE_SCRYPT, _GPU_SCRYPT)
    yield _cap("Cap, 50 puzzles", Work())
    yield _cap("Cap, `puzzles = 8`", Work(puzzles=8))
    chains = _pair((SQUARINGS, SQUARINGS))  # it does not harden
    gpu = _NATIVE_SQUARINGS * _GPU_CORES
    yield Kind("Cap, `squarings = 75000`", *chains, _each(chains, _BROWSER_SQUARING), _NATIVE_SQUARINGS, gpu)


def _pbkdf2(works: tuple[int, int]) -> Kind:
    costs = [(cost, 16**digits) for cost, digits in map(ALGORITHMS["PBKDF2/SHA-256"].cost_and_digits, works)]
    iterations = _pair(cost * tries for cost, tries in costs)
    seconds = _pair(tries * (_BROWSER_DERIVATION + cost * _BROWSER_ITERATION) for cost, tries in costs)
    return Kind("ALTCHA, `PBKDF2/SHA-256`", *iterations, seconds, _NATIVE_ITERATIONS, _GPU_ITERATIONS)


def _cap(name: str, work: Work) -> Kind:
    """Cap's widget uses all cores of a device, so its own benchmark says how long."""
    calm, critical = (
        one.puzzles * 16.0**one.difficulty for one in (work, work.times(MULTIPLIERS.of(Hardening.CRITICAL)))
    )
    usual = Work().puzzles * 16.0 ** Work().difficulty
    laptop, *_ = _CAP_SECONDS
    slower = tuple(seconds / laptop for seconds in _CAP_SECONDS)
    return Kind(name, calm, critical, _each((calm, critical), laptop / usual), CORE.rate, GPU.rate, slower)


def _each(units: tuple[float, float], seconds: float) -> tuple[float, float]:
    calm, critical = units
    return calm * seconds, critical * seconds


def _pair(figures: Iterable[float]) -> tuple[float, float]:
    calm, critical = figures
    return calm, critical


def refused_after(cap: int) -> float:
    """Days that a million submissions take one client network."""
    return MILLION / (cap - 1) * MINUTE / (24 * HOUR)
