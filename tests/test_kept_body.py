"""What was read before the decision reaches the application: every byte, once, in order, within the budgets."""

from __future__ import annotations

import gc
import resource
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caputchin_gate.kept_body import BEGINNING, BLOCK, MODEST, Budget, KeptBody

MEBIBYTE = 2**20


@pytest.fixture
def memory() -> Budget:
    return Budget(8 * MEBIBYTE)


@pytest.fixture
def disk() -> Budget:
    return Budget(8 * MEBIBYTE)


def open_files() -> list[Path]:
    return [Path(entry) for entry in Path("/proc/self/fd").iterdir()]


@given(st.lists(st.binary(min_size=1, max_size=9000), max_size=12), st.integers(0, 30_000))
def test_the_pieces_come_back_whole_and_in_order_wherever_they_were_kept(pieces: list[bytes], max_memory: int) -> None:
    memory, disk = Budget(), Budget()
    kept = KeptBody(memory, disk)
    for piece in pieces:
        is_for_memory = not kept.spilled and memory.used + len(piece) <= max_memory
        assert kept.keep_in_memory(piece, max_memory) == is_for_memory
        assert is_for_memory or kept.keep_in_file(piece)
    assert kept.size == sum(map(len, pieces)) == memory.used + disk.used
    assert memory.used <= max_memory
    assert b"".join(kept.pieces()) == b"".join(pieces)
    assert memory.used == disk.used == 0
    assert list(kept.pieces()) == []


def test_a_body_within_its_memory_touches_no_file(memory: Budget, disk: Budget) -> None:
    before = len(open_files())
    kept = KeptBody(memory, disk)
    assert kept.keep(b"x" * 1000, 1000)
    assert not kept.spilled
    assert len(open_files()) == before


def test_what_exceeds_the_memory_goes_to_a_file_without_a_name(memory: Budget, disk: Budget) -> None:
    kept = KeptBody(memory, disk)
    assert kept.keep(b"a" * 1000, 1000)
    assert not kept.keep_in_memory(b"b", 1000)
    assert kept.keep(b"b" * 5000, 1000)
    assert kept.spilled
    assert not kept.keep_in_memory(b"", 10**9), "what follows a spilled piece must stay behind it"
    assert (memory.used, disk.used) == (1000, 5000)
    assert any("deleted" in str(file.readlink()) for file in open_files() if file.is_symlink())
    assert b"".join(kept.pieces()) == b"a" * 1000 + b"b" * 5000


def test_of_a_body_that_will_need_a_file_only_the_beginning_stays_in_memory(memory: Budget, disk: Budget) -> None:
    kept = KeptBody(memory, disk)
    kept.expected = MEBIBYTE + 1
    for _ in range(8):
        assert kept.keep(b"x" * BLOCK, MEBIBYTE)
    assert (memory.used, disk.used) == (BEGINNING, 8 * BLOCK - BEGINNING)
    assert b"".join(kept.pieces()) == b"x" * 8 * BLOCK


def test_a_body_in_one_piece_is_handed_over_as_it_came(memory: Budget, disk: Budget) -> None:
    kept = KeptBody(memory, disk)
    piece = b"x" * 1000
    assert kept.keep(piece, MEBIBYTE)
    assert kept.only_piece() is piece
    assert memory.used == 0
    assert kept.only_piece() == b""


def test_a_body_in_several_pieces_or_in_a_file_is_not_handed_over_as_one(memory: Budget, disk: Budget) -> None:
    for pieces, max_memory in ((2, MEBIBYTE), (1, 0)):
        kept = KeptBody(memory, disk)
        assert all(kept.keep(b"x" * 1000, max_memory) for _ in range(pieces))
        assert kept.only_piece() is None
        assert b"".join(kept.pieces()) == b"x" * 1000 * pieces


def test_closing_gives_everything_back_and_may_be_done_twice(memory: Budget, disk: Budget) -> None:
    before = len(open_files())
    kept = KeptBody(memory, disk)
    kept.keep(b"a" * 1000, 1500)
    kept.keep(b"b" * 1000, 1500)
    kept.close()
    kept.close()
    assert memory.used == disk.used == 0
    assert len(open_files()) == before
    assert list(kept.pieces()) == []


def test_a_body_nobody_closed_gives_its_bytes_back_all_the_same(memory: Budget, disk: Budget) -> None:
    kept = KeptBody(memory, disk)
    kept.keep(b"a" * 1000, 1500)
    kept.keep(b"b" * 1000, 1500)
    pieces = kept.pieces()
    next(pieces)
    del kept, pieces
    gc.collect()
    assert memory.used == disk.used == 0


def test_memory_is_given_back_while_the_body_is_handed_over(memory: Budget, disk: Budget) -> None:
    kept = KeptBody(memory, disk)
    for _ in range(4):
        kept.keep(b"x" * BLOCK, MEBIBYTE)
    used = []
    for _ in kept.pieces():
        used.append(memory.used)
    assert used == [3 * BLOCK, 2 * BLOCK, BLOCK, 0]


def test_what_finds_no_room_in_memory_goes_to_a_file() -> None:
    memory, disk = Budget(1500), Budget(1500)
    first, second = KeptBody(memory, disk), KeptBody(memory, disk)
    assert first.keep(b"x" * 1000, MEBIBYTE)
    assert not second.keep_in_memory(b"y" * 1000, MEBIBYTE)
    assert second.keep(b"y" * 1000, MEBIBYTE)
    assert second.spilled
    assert (memory.used, disk.used) == (1000, 1000)
    assert b"".join(second.pieces()) == b"y" * 1000


def test_full_budgets_refuse_and_count_nothing() -> None:
    memory, disk = Budget(1500), Budget(1500)
    kept = [KeptBody(memory, disk) for _ in range(3)]
    assert [body.keep(b"x" * 1000, MEBIBYTE) for body in kept] == [True, True, False]
    assert kept[2].size == 0
    assert (memory.used, disk.used) == (1000, 1000)
    kept[0].close()
    assert kept[2].keep(b"y" * 1000, MEBIBYTE)


def test_large_bodies_leave_room_for_modest_ones_in_memory_and_on_disk() -> None:
    memory, disk = Budget(MEBIBYTE), Budget(MEBIBYTE)
    large = [KeptBody(memory, disk) for _ in range(4)]
    while any([body.keep(b"x" * 5000, MEBIBYTE) for body in large]):  # noqa: C419 (each of them takes)
        pass
    for budget in (memory, disk):
        assert budget.limit - budget.used >= budget.limit // 4
    modest = [KeptBody(memory, disk) for _ in range(2 * (MEBIBYTE // 4) // MODEST)]
    assert all(body.keep(b"y" * MODEST, MEBIBYTE) for body in modest)
    assert not all(body.keep(b"y", MEBIBYTE) for body in modest)


@pytest.fixture
def file_size_limit() -> Iterator[int]:
    """Stands for a full disk: writing beyond it fails as a write to a full disk does."""
    limit = 100_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_no_room_and_no_exception(memory: Budget, disk: Budget, file_size_limit: int) -> None:
    kept = KeptBody(memory, disk)
    assert kept.keep(b"x" * (file_size_limit - 10), 0)
    assert not kept.keep(b"y" * 1000, 0)
    kept.close()
    assert disk.used == 0


def test_many_tiny_pieces_cost_little_more_than_their_bytes(memory: Budget, disk: Budget) -> None:
    kept = KeptBody(memory, disk)
    pieces = [bytes([number % 251, number % 7]) for number in range(200_000)]
    tracemalloc.start()
    for piece in pieces:
        kept.keep(piece, MEBIBYTE)
    cost, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cost < 1.3 * kept.size
    assert b"".join(kept.pieces()) == b"".join(pieces)


def test_threads_never_take_more_than_the_budget_and_leave_nothing_behind() -> None:
    budget = Budget(50)
    excess = []

    def work() -> None:
        for _ in range(2000):
            if budget.take(20):
                if budget.used > budget.limit:
                    excess.append(budget.used)
                budget.give(20)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not excess
    assert budget.used == 0
