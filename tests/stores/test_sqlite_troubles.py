"""The sqlite store when its disk, its files or another process fails it: nobody gets in twice, nothing hangs, and it
recovers by itself. What happens to a whole file stands in `test_sqlite.py` too."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest

from caputchin_gate.effects import ClaimResult, Held, StoreDown
from caputchin_gate.stores.sqlite import SqliteStore
from tests.stores.test_sqlite import unprivileged

__all__ = ["unprivileged"]  # a fixture

WON, LOST, STORE_DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
NOW = 1_800_000_000.0
LIFE = 180.0
SOON = NOW + 4  # seconds: when a token was born that can't have been claimed before NOW
LATER = NOW + 400
PATIENCE = 0.1


def keys(amount: int, seed: int = 0) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(16) for _ in range(amount)]


def claims(store: SqliteStore, wanted: list[bytes], now: float = NOW, born: float = 0.0) -> list[ClaimResult]:
    """As an event loop and threads ask, by turns."""
    results = []
    for number, key in enumerate(wanted):
        result = store.claim_now(key, now + LIFE, now, born) if number % 3 else None
        results.append(result if result is not None else store.claim(key, now + LIFE, now, born))
    return results


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gate.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(path, patience=PATIENCE, upkeep_every=100)
    yield made
    made.close()


# Files that somebody removed, replaced or damaged


@pytest.fixture(scope="module")
def another_process() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


def newly_opened(path: Path, wanted: list[bytes], now: float, born: float = 0.0) -> list[ClaimResult]:
    store = SqliteStore(path, patience=PATIENCE)
    results = claims(store, wanted, now, born)
    store.close()
    return results


def move_log_into_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def an_older_copy_is_moved_over_it(path: Path) -> None:
    move_log_into_file(path)
    os.replace(path.with_suffix(".copy"), path)


def an_older_copy_gets_its_log(path: Path) -> None:
    os.replace(path.with_suffix(".copy"), path)


def its_log_is_removed(path: Path) -> None:
    os.unlink(f"{path}-wal")


def its_index_is_removed(path: Path) -> None:
    os.unlink(f"{path}-shm")


def all_but_the_file_is_removed(path: Path) -> None:
    its_log_is_removed(path)
    its_index_is_removed(path)


def its_log_is_emptied(path: Path) -> None:
    os.truncate(f"{path}-wal", 0)


def its_log_is_cut(path: Path) -> None:
    os.truncate(f"{path}-wal", os.stat(f"{path}-wal").st_size // 2)


def its_log_is_overwritten(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"no log" * 10_000)


def it_is_emptied(path: Path) -> None:
    move_log_into_file(path)
    os.truncate(path, 0)


def it_is_cut(path: Path) -> None:
    os.truncate(path, os.stat(path).st_size // 2)


def it_is_overwritten(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


HEAL = (an_older_copy_is_moved_over_it, its_index_is_removed, all_but_the_file_is_removed, it_is_emptied)
DAMAGE = (
    an_older_copy_gets_its_log,
    its_log_is_removed,
    its_log_is_emptied,
    its_log_is_cut,
    its_log_is_overwritten,
    it_is_cut,
    it_is_overwritten,
)


@pytest.mark.parametrize("upkeep_every", [100, 10_000], ids=["log in the file", "all in the log"])
@pytest.mark.parametrize("happen", [*HEAL, *DAMAGE])
def test_whatever_happens_to_the_files_no_spent_token_gets_in_again(
    path: Path, another_process: ProcessPoolExecutor, happen: Callable[[Path], None], upkeep_every: int
) -> None:
    spent = keys(450)
    store = SqliteStore(path, patience=PATIENCE, upkeep_every=upkeep_every)
    assert set(claims(store, spent[:150])) == {WON}
    move_log_into_file(path)
    shutil.copy(path, path.with_suffix(".copy"))
    assert set(claims(store, spent[150:])) == {WON}
    happen(path)
    # Not in the order in which they came: what is missing is looked for before SQLite comes upon the damage.
    again = random.Random(1).sample(spent, len(spent))
    assert WON not in claims(store, again[:200])
    assert WON not in another_process.submit(newly_opened, path, again, NOW).result()
    assert WON not in claims(store, again[200:])
    if happen in DAMAGE:
        for file in path.parent.glob("gate.db*"):  # what the operator has to do
            file.unlink()
        assert WON not in claims(store, again)
    fresh = keys(20, seed=2)
    assert set(claims(store, fresh, LATER, SOON)) == {WON}
    assert set(another_process.submit(newly_opened, path, fresh, LATER, SOON).result()) == {LOST}
    store.close()


def test_an_older_copy_that_is_put_there_while_nothing_is_open_is_noticed_too(path: Path) -> None:
    store = SqliteStore(path)
    assert set(claims(store, keys(10, seed=1))) == {WON}
    store.close()
    shutil.copy(path, path.with_suffix(".copy"))
    assert set(claims(store, keys(10))) == {WON}
    store.close()
    an_older_copy_is_moved_over_it(path)
    assert set(claims(store, keys(10))) == {LOST}
    assert set(claims(store, keys(10, seed=2), LATER, SOON)) == {WON}
    store.close()


def test_a_trouble_that_lasts_is_logged_once_and_says_what_it_is(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    it_is_overwritten(path)
    assert set(claims(store, keys(30))) == {STORE_DOWN}
    assert caplog.text.count(f"the store, {path}, can't be used: file is not a database") == 1


# A folder that may not be written


def test_a_folder_that_becomes_read_only_refuses_at_most_and_never_for_longer(unprivileged: Path) -> None:
    path = unprivileged / "gate.db"
    store, fresh = SqliteStore(path, patience=PATIENCE), SqliteStore(path, patience=PATIENCE)
    assert set(claims(store, keys(10))) == {WON}
    unprivileged.chmod(0o500)
    assert set(claims(store, keys(10, seed=1))) <= {WON, STORE_DOWN}
    assert set(claims(store, keys(10))) <= {LOST, STORE_DOWN}
    store.close()
    unprivileged.chmod(0o700)
    for companion in unprivileged.glob("gate.db-*"):
        companion.unlink()
    unprivileged.chmod(0o500)
    assert set(claims(fresh, keys(10))) == {STORE_DOWN}  # there is no place for the log
    unprivileged.chmod(0o700)
    assert set(claims(fresh, keys(10))) == {LOST}
    assert set(claims(fresh, keys(10, seed=2))) == {WON}
    fresh.close()


# Another process that holds the lock


def hold(path: Path, pipe: Pipe) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        pipe.send("held")
        pipe.recv()
        database.execute("COMMIT")


@pytest.mark.parametrize("ends_by", ["letting go", "being killed"])
def test_many_threads_are_refused_in_time_while_another_process_holds_the_lock(path: Path, ends_by: str) -> None:
    store = SqliteStore(path, patience=PATIENCE)
    assert set(claims(store, keys(10))) == {WON}
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    holder = context.Process(target=hold, args=(path, theirs))
    holder.start()
    assert mine.recv() == "held"
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda key: store.claim(key, NOW + LIFE, NOW), keys(24, seed=1)))
        others = list(threads.map(lambda key: store.swap(key, None, b"a", NOW + LIFE, NOW), keys(8, seed=1)))
        counts = list(threads.map(lambda key: store.count(key, 60.0, NOW, 3), keys(8, seed=1)))
    assert time.monotonic() - begun < 5 * 2 * PATIENCE + 5  # eight at once, each at most twice the patience
    assert set(results) == {STORE_DOWN}
    assert others + counts == [StoreDown()] * 16
    assert [store.count(keys(1)[0], 60.0, NOW, 0)] != [StoreDown()]  # looking needs no lock
    if ends_by == "letting go":
        mine.send("let go")
    else:
        holder.kill()
    holder.join()
    assert set(claims(store, keys(24, seed=1))) == {WON}  # and no refused claim was made
    assert store.swap(keys(1)[0], None, b"a", NOW + LIFE, NOW) == Held(b"a", True)
    store.close()


# No room


def can_mount() -> bool:
    asked = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"], check=False
    )
    return asked.returncode == 0


# A limit on the size of files needs no rights, and makes each write fail. Really full is a file system of our own,
# for which the machine has to let us mount one.
@pytest.mark.parametrize("room", ["limit", *(["disk"] if can_mount() else [])])
def test_without_room_on_the_disk_it_refuses_and_with_room_it_goes_on_by_itself(tmp_path: Path, room: str) -> None:
    alone = ["unshare", "--map-root-user", "--mount"] if room == "disk" else []
    command = [*alone, sys.executable, "-m", "tests.stores.no_room", room, str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)


# Upkeep


@pytest.mark.parametrize(("table", "rows"), [("records", 1_000_000), ("counters", 100_000), ("claims", 100_000)])
def test_a_million_rows_that_are_over_are_swept_while_others_are_served(path: Path, table: str, rows: int) -> None:
    store = SqliteStore(path, upkeep_every=0)
    assert store.claim(b"first", NOW + LIFE, NOW) is WON
    values = {"records": "(key, until, value)", "counters": "(key, until, count)", "claims": "(key, until)"}[table]
    row = {"records": "randomblob(16), :until, x'01'", "counters": "randomblob(16), :until, 1"}
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            f"""WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
            INSERT INTO {table} {values} SELECT {row.get(table, "randomblob(16), :until")} FROM numbers""",
            {"until": NOW + LIFE, "rows": rows},
        )
    longest = 0.0
    for number in range(600 * rows // 1_000_000):
        begun = time.thread_time()
        assert store.swap(number.to_bytes(16), None, b"live", LATER + LIFE, LATER) == Held(b"live", True)
        longest = max(longest, time.thread_time() - begun)
    store.close()
    with closing(sqlite3.connect(path)) as database:
        (left,) = database.execute(f"SELECT count(*) FROM {table} WHERE until <= ?", (NOW + LIFE,)).fetchone()
        (live,) = database.execute("SELECT count(*) FROM records WHERE value = ?", (b"live",)).fetchone()
    assert (left, live) == (0, 600 * rows // 1_000_000)
    assert longest < 0.2  # of the CPU, for 2,048 rows at a time


def test_of_claims_by_many_threads_none_is_won_twice_while_the_files_come_and_go(path: Path) -> None:
    store = SqliteStore(path, patience=1.0, upkeep_every=20)
    won = Counter[bytes]()

    def visit(seed: int) -> None:
        source = random.Random(seed)
        for key in source.sample(keys(300), 300):
            result = store.claim_now(key, NOW + LIFE, NOW) if source.random() < 0.5 else None
            if (result if result is not None else store.claim(key, NOW + LIFE, NOW)) is WON:
                won[key] += 1

    with ThreadPoolExecutor(8) as threads:
        visits = [threads.submit(visit, seed) for seed in range(8)]
        for happen in (
            partial(its_index_is_removed, path),
            partial(its_log_is_removed, path),
            store.close,
            partial(all_but_the_file_is_removed, path),
        ):
            taken = sum(won.values())
            while sum(won.values()) < taken + 10 and not all(visit.done() for visit in visits):
                time.sleep(0.001)
            with suppress(FileNotFoundError):  # it is just being opened
                happen()
        for visit_ in visits:
            visit_.result()
    assert max(won.values()) == 1
    store.close()
