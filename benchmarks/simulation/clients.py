"""Who comes to the site: ordinary visitors, and those who attack it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.simulation.assumptions import DEVICES, SECONDS_ON_A_FORM, SENDS_TWICE, SPREAD_ON_A_FORM
from benchmarks.simulation.world import RIGHT, WRONG, Waited, World

VISITORS = "visitors"
ATTACKER = "attacker"
MINUTE = 60.0


def visitors(world: World, a_minute: Callable[[float], float], until: float, most: float) -> Iterator[float]:
    """Ordinary visitors, each from an address of their own, at random times.

    a_minute: how many come in a minute at a time of the day, never more than `most`
    """
    number = 0
    while world.now < until:
        if world.random.random() * most < a_minute(world.now):
            number += 1
            address = f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
            world.start(visitor(world, address))
        yield world.random.expovariate(most / MINUTE)


def visitor(world: World, address: str) -> Iterator[float]:
    """Touches the form, which asks for a challenge; fills it in while the device searches; sends it. Some twice."""
    (device,) = world.random.choices(DEVICES, [device.share for device in DEVICES])
    for _ in range(2):
        asked = world.ask(VISITORS, address)
        while not asked.token:  # the widget starts again by itself
            yield asked.retry_after
            asked = world.ask(VISITORS, address)
        searching = world.random.expovariate(device.rate / asked.hashes)
        filling_in = min(100, SECONDS_ON_A_FORM * world.random.lognormvariate(0, SPREAD_ON_A_FORM))
        world.waited.append(Waited(world.now, device.name, searching, max(0, searching - filling_in)))
        yield max(searching, filling_in)
        world.send(VISITORS, address, asked.token, RIGHT)
        if world.random.random() > SENDS_TWICE:
            return
        yield 10


def loud(world: World, until: float, address: str = "192.0.2.1", pause: float = 0.5) -> Iterator[float]:
    """Asks as often as it is let; when it is refused, it waits as it is told.

    What attackers solve is not sent: right tokens raise nothing, and cost the run its time.
    """
    while world.now < until:
        yield world.ask(ATTACKER, address).retry_after or pause


def forger(world: World, until: float, a_minute: float = 100, address: str = "192.0.2.2") -> Iterator[float]:
    """Solves nothing: sends one challenge again and again with a wrong solution."""
    while world.now < until:
        token = world.ask(ATTACKER, address).token
        for _ in range(50):
            world.send(ATTACKER, address, token, WRONG)
            yield MINUTE / a_minute


def botnet(world: World, until: float, size: int, every: float) -> Iterator[float]:
    """Many clients, each of which asks and sends once in `every` seconds: to the curve they are all beginners."""
    for number in range(size):
        at = world.now + world.random.random() * every
        world.start(bot(world, until, f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", every), at)
    yield from ()


def bot(world: World, until: float, address: str, every: float) -> Iterator[float]:
    while world.now < until:
        world.ask(ATTACKER, address)
        yield every


def fast_solver(world: World, until: float, addresses: int) -> Iterator[float]:
    """A GPU behind some addresses, each as loud as it is let: any work is done before the next request."""
    for number in range(addresses):
        world.start(loud(world, until, f"203.0.113.{number + 1}"), world.now + world.random.random() * MINUTE)
    yield from ()
