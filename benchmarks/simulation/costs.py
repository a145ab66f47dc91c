"""What a million submissions cost. Computed: the work that the gate asks for, times what a machine does in a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.simulation.assumptions import CORE, DEVICES, GPU, MILLION, Solver
from benchmarks.simulation.clients import ATTACKER, MINUTE
from benchmarks.simulation.runs import Result
from benchmarks.simulation.world import hashes_without_hardening
from caputchin_gate.difficulty import Curve, Hardening, Multipliers
from caputchin_gate.engines.altcha.version2 import ALGORITHMS
from caputchin_gate.engines.cap import Work

HOUR: Final = 3600.0
EASIEST: Final = 4096  # hashes: the first challenge of a client in its minute
SQUARINGS: Final = 75_000  # what Cap's own server asks for, and our example


@dataclass(frozen=True, slots=True)
class Attack:
    """A million submissions by the attacker of a run, at the pace that the gate has let it have.

    days:     how long that takes
    calm, hardened: hashes in all, without hardening and with it as in the run
    """

    name: str
    days: float
    calm: float
    hardened: float


def attack(result: Result) -> Attack:
    issued = [asked for asked in result.of(ATTACKER, "during") if asked.token]
    curve = Curve()
    each = MILLION / len(issued)
    return Attack(
        result.run.name,
        each * result.run.lasts / (24 * HOUR),
        each * sum(hashes_without_hardening(asked, curve) for asked in issued),
        each * sum(asked.hashes for asked in issued),
    )


def hours(work: float, solver: Solver) -> float:
    return work / solver.rate / HOUR


def dollars(work: float, solver: Solver) -> float:
    return hours(work, solver) * solver.price


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work: what the first challenge of a client takes, and how fast that is done.

    calm, critical: in the unit of this kind, on average
    visitor: seconds of a calm challenge on each of DEVICES
    core, gpu: units a second
    """

    name: str
    calm: float
    critical: float
    visitor: tuple[float, ...]
    core: float
    gpu: float

    def million(self, solver: Solver, *, critical: bool = False) -> float:
        """Dollars for a million."""
        rate = self.core if solver is CORE else self.gpu
        return (self.critical if critical else self.calm) * MILLION / rate / HOUR * solver.price

    @property
    def advantage(self) -> float:
        """How many times as fast as a phone a GPU does it."""
        return self.visitor[1] / (self.calm / self.gpu)


# What our machine measured, in one thread of Chromium 156 (browser) or of OpenSSL 3 (native), in a second.
_BROWSER_SQUARINGS: Final = 650e3  # BigInt, 2048 bits
_NATIVE_SQUARINGS: Final = 1.4e6  # from `openssl speed rsa2048`: a verification is 17 of them
_BROWSER_DIGESTS: Final = 240e3  # calls of crypto.subtle.digest
_BROWSER_ITERATIONS: Final = 2.4e6  # of PBKDF2-HMAC-SHA-256, 160 in a call of crypto.subtle
_NATIVE_ITERATIONS: Final = 5.5e6
_NATIVE_SCRYPT: Final = 0.69e6  # N in a second, r = 8
# hashcat 6.2.6 on one RTX 4090: PBKDF2-HMAC-SHA256 8,865.7 kH/s at 999 iterations, scrypt 7,126 H/s at N = 16384.
_GPU_ITERATIONS: Final = 8.8657e6 * 999
_GPU_SCRYPT: Final = 7126 * 16384.0
_GPU_CORES: Final = 40  # assumed: chains of squarings side by side, as many as so many cores do

_SLOWER: Final = tuple(DEVICES[0].rate / device.rate for device in DEVICES)  # than what was measured on the first


def kinds() -> Iterator[Kind]:
    critical = Multipliers().of(Hardening.CRITICAL)
    hardest = int(EASIEST * critical)
    yield Kind(
        "the gate's widget",
        EASIEST,
        hardest,
        tuple(EASIEST / device.rate for device in DEVICES),
        CORE.rate,
        GPU.rate,
    )
    pbkdf2 = ALGORITHMS["PBKDF2/SHA-256"]
    scrypt = ALGORITHMS["SCRYPT"]
    yield _measured("ALTCHA, `v1/SHA-256`", EASIEST, hardest, _BROWSER_DIGESTS, CORE.rate, GPU.rate)
    iterations = [cost * 16.0**digits for cost, digits in map(pbkdf2.cost_and_digits, (EASIEST, hardest))]
    yield _measured(
        "ALTCHA, `PBKDF2/SHA-256`", *iterations, _BROWSER_ITERATIONS, _NATIVE_ITERATIONS, _GPU_ITERATIONS
    )
    sizes = [cost * 16.0**digits for cost, digits in map(scrypt.cost_and_digits, (EASIEST, hardest))]
    yield _measured("ALTCHA, `SCRYPT`", *sizes, _NATIVE_SCRYPT / 2, _NATIVE_SCRYPT, _GPU_SCRYPT)
    cap = _hashes(Work()), _hashes(Work().times(critical))
    yield Kind("Cap, 50 puzzles", *cap, (0.31, 1.03, 4.58), CORE.rate, GPU.rate)
    few = _hashes(Work(puzzles=8)), _hashes(Work(puzzles=8).times(critical))
    share = few[0] / cap[0]
    yield Kind("Cap, `puzzles = 8`", *few, (0.31 * share, 1.03 * share, 4.58 * share), CORE.rate, GPU.rate)
    yield _measured(
        "Cap, `squarings = 75000`",
        SQUARINGS,
        SQUARINGS,
        _BROWSER_SQUARINGS,
        _NATIVE_SQUARINGS,
        _NATIVE_SQUARINGS * _GPU_CORES,
    )


def _measured(name: str, calm: float, critical: float, browser: float, core: float, gpu: float) -> Kind:
    return Kind(name, calm, critical, tuple(calm / browser * slower for slower in _SLOWER), core, gpu)


def _hashes(work: Work) -> float:
    return work.puzzles * 16.0**work.difficulty


def refused_after(cap: int) -> float:
    """Days that a million submissions take one client network."""
    return MILLION / (cap - 1) * MINUTE / (24 * HOUR)
