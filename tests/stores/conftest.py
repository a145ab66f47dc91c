"""The stores that share one contract. A new store joins the list and has to pass all of `test_store_contract.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from caputchin_gate.stores import Store
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.stores.sqlite import SqliteStore

StoreFactory = Callable[[Path], Store]


def memory(folder: Path, **options: Any) -> Store:
    return MemoryStore(**options)


def sqlite(folder: Path, **options: Any) -> Store:
    return SqliteStore(folder / "gate.db", **options)


STORE_FACTORIES: Final[dict[str, StoreFactory]] = {
    "memory": memory,
    "sqlite": sqlite,
    "sqlite-in-frequent-upkeep": partial(sqlite, upkeep_every=25),
}
SMALL_STORE_FACTORIES: Final[dict[str, StoreFactory]] = {
    "memory": partial(memory, most_claims=500),
    "sqlite": partial(sqlite, most_bytes=32 * 1024),
}


@pytest.fixture(params=STORE_FACTORIES.values(), ids=STORE_FACTORIES.keys())
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=SMALL_STORE_FACTORIES.values(), ids=SMALL_STORE_FACTORIES.keys())
def small_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that some hundred claims fill."""
    made: Store = request.param(tmp_path)
    yield made
    made.close()
