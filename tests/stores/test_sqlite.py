"""The sqlite store: many processes, and a file to which things happen."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from caputchin_gate.effects import ClaimResult, Counted, StoreDown
from caputchin_gate.errors import ConfigurationError
from caputchin_gate.stores import open_store
from caputchin_gate.stores.memory import MemoryStore
from caputchin_gate.stores.sqlite import SqliteStore, default_path

WON, LOST, STORE_DOWN = ClaimResult.WON, ClaimResult.LOST, ClaimResult.STORE_DOWN
NOW = 1_800_000_000.0
LIFE = 180.0
KEYS = [random.Random(seed).randbytes(16) for seed in range(200)]
KEY, OTHER, THIRD = KEYS[:3]
COUNTED = b"counted by all"
IMPATIENT = 0.1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gate.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(path, patience=IMPATIENT)
    yield made
    made.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else writes, and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


# Many processes


def at_once(barrier: Barrier) -> None:
    global start
    start = barrier


def contend(path: Path, seed: int) -> tuple[list[bytes], bytes]:
    """What one process wins of all keys, and the signing key it finds."""
    store = SqliteStore(path, patience=10.0, upkeep_every=50)
    start.wait(timeout=30)
    signing_key = store.signing_key()
    won = []
    for key in random.Random(seed).sample(KEYS, len(KEYS)):
        result = store.claim_now(key, NOW + LIFE, NOW)
        result = store.claim(key, NOW + LIFE, NOW) if result is None else result
        assert result in (WON, LOST)
        if result is WON:
            won.append(key)
        assert isinstance(store.count(COUNTED, 60.0, NOW), Counted)
    return won, signing_key


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_of_four_processes_that_begin_with_no_file_one_wins_each_key(path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(4, context, at_once, (context.Barrier(4),)) as processes:
        results = list(processes.map(contend, [path] * 4, range(4), timeout=60))
    assert Counter(key for won, _ in results for key in won) == Counter(KEYS)
    assert len({signing_key for _, signing_key in results}) == 1
    store = SqliteStore(path)
    assert store.count(COUNTED, 60.0, NOW) == Counted(4 * len(KEYS) + 1, NOW + 60)
    store.close()
    assert is_whole(path)


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def in_child(act: Callable[[], bool]) -> bool:
    """What `act` says in a forked process."""
    child = os.fork()
    if child == 0:
        right = False
        try:
            right = act()
        finally:
            os._exit(0 if right else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_opens_its_own_connection_and_shares_the_claims(store: SqliteStore, path: Path) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    assert in_child(
        lambda: (
            store.claim_now(KEY, NOW + LIFE, NOW) is None
            and store.claim(KEY, NOW + LIFE, NOW) is LOST
            and store.claim(OTHER, NOW + LIFE, NOW) is WON
        )
    )
    assert store.claim(OTHER, NOW + LIFE, NOW) is LOST
    assert store.claim(THIRD, NOW + LIFE, NOW) is WON
    assert is_whole(path)


def test_a_child_forked_while_another_thread_uses_the_store_is_not_stuck(store: SqliteStore) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    with store._process.patient.lock, store._process.hasty.lock, store._process.upkeep.lock:
        assert in_child(lambda: store.claim(OTHER, NOW + LIFE, NOW) is WON)


def test_a_child_forked_while_another_thread_uses_the_memory_store_is_not_stuck() -> None:
    store = MemoryStore()
    with store._lock:
        assert in_child(lambda: store.claim(OTHER, NOW + LIFE, NOW) is WON)
    assert store.claim(OTHER, NOW + LIFE, NOW) is WON


def test_claims_and_signing_key_outlive_the_process(path: Path) -> None:
    first, second = SqliteStore(path), SqliteStore(path)
    key = first.signing_key()
    assert first.claim(KEY, NOW + LIFE, NOW) is WON
    first.close()
    assert second.signing_key() == key
    assert second.claim(KEY, NOW + LIFE, NOW) is LOST
    second.close()


# Waiting


def test_a_locked_file_never_holds_up_an_event_loop_and_others_only_for_a_bounded_time(
    store: SqliteStore, path: Path
) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    assert store.claim_now(OTHER, NOW + LIFE, NOW) is WON
    with locked(path):
        before = time.monotonic()
        assert [store.claim_now(THIRD, NOW + LIFE, NOW) for _ in range(20)] == [None] * 20
        assert store.count_now(KEY, 60.0, NOW) is None
        assert time.monotonic() - before < 20 * IMPATIENT
        before = time.monotonic()
        assert store.claim(THIRD, NOW + LIFE, NOW) is STORE_DOWN
        assert store.count(KEY, 60.0, NOW) == StoreDown()
        assert time.monotonic() - before < 20 * IMPATIENT
        assert store.claimed(KEY, NOW) is True  # reading needs no lock
    assert store.claim_now(THIRD, NOW + LIFE, NOW) is WON


def test_a_claim_waits_for_a_lock_that_is_given_back_in_time(path: Path) -> None:
    store = SqliteStore(path, patience=30.0)
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    results: list[ClaimResult] = []
    with locked(path):
        waiting = threading.Thread(target=lambda: results.append(store.claim(OTHER, NOW + LIFE, NOW)))
        waiting.start()
        assert store.claim_now(THIRD, NOW + LIFE, NOW) is None
        assert results == []
    waiting.join()
    assert results == [WON]
    store.close()


def test_threads_that_wait_for_a_stuck_thread_give_up(store: SqliteStore) -> None:
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    with store._process.patient.lock:
        assert store.claim(OTHER, NOW + LIFE, NOW) is STORE_DOWN
        assert store.claim_now(OTHER, NOW + LIFE, NOW) is WON


def test_a_file_that_is_locked_when_it_is_first_opened_is_a_passing_trouble(store: SqliteStore, path: Path) -> None:
    path.touch()
    with locked(path):
        assert store.claim(KEY, NOW + LIFE, NOW) is STORE_DOWN
        with pytest.raises(ConfigurationError, match="locked"):
            store.signing_key()
    assert store.claim(KEY, NOW + LIFE, NOW) is WON


def test_the_log_is_moved_into_the_file_by_callers_that_may_wait(path: Path) -> None:
    store = SqliteStore(path, upkeep_every=100)
    waits = 0
    for number in range(3000):
        key = number.to_bytes(16)
        if store.claim_now(key, NOW + LIFE, NOW) is None:
            waits += 1
            assert store.claim(key, NOW + LIFE, NOW) is WON
    assert 25 <= waits <= 60
    assert os.stat(f"{path}-wal").st_size < 3000 * 1024 / 4
    store.close()


# Troubles


def test_a_full_file_refuses_for_real_and_serves_again_when_there_is_room(path: Path) -> None:
    store = SqliteStore(path, most_bytes=24 * 1024)
    results = [store.claim(number.to_bytes(16), NOW + LIFE, NOW) for number in range(1000)]
    assert results[0] is WON
    assert results[-1] is STORE_DOWN
    assert path.stat().st_size <= 24 * 1024
    assert {store.claim_now(number.to_bytes(16), NOW + LIFE, NOW) for number in range(900, 1000)} <= {None, WON, LOST}
    assert store.claim(KEY, NOW + 1000 + LIFE, NOW + 1000) is WON
    store.close()


def deleted(path: Path) -> None:
    for file in path.parent.glob("gate.db*"):
        file.unlink()


def replaced(path: Path) -> None:
    deleted(path)
    SqliteStore(path).signing_key()


@pytest.mark.parametrize("happen", [deleted, replaced])
def test_a_file_that_was_deleted_under_the_gate_gives_no_spent_token_back(
    store: SqliteStore, path: Path, happen: Callable[[Path], None]
) -> None:
    key = store.signing_key()
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    assert store.claim_now(OTHER, NOW + LIFE, NOW) is WON
    happen(path)
    assert store.claim_now(OTHER, NOW + LIFE, NOW) is None
    assert store.claim(KEY, NOW + LIFE, NOW) is LOST
    assert store.claim_now(OTHER, NOW + LIFE, NOW) is not WON
    assert store.claim(KEY, NOW + 7200, NOW + 3600, born=NOW - 5) is LOST  # Cap's tokens may live for two hours
    assert store.claim(KEY, NOW + 7200, NOW + 3600) is LOST  # nobody knows since when it is out
    assert store.claimed(THIRD, NOW + 4, NOW + 3.5) is False
    assert store.claim(THIRD, NOW + 4 + LIFE, NOW + 4, born=NOW + 3.5) is WON
    assert store.claimed(THIRD, NOW + 4, NOW + 3.5) is True
    assert SqliteStore(path).claim(THIRD, NOW + 4 + LIFE, NOW + 4, born=NOW + 3.5) is LOST
    assert SqliteStore(path).claim(OTHER, NOW + 7200, NOW + 3600, born=NOW) is LOST
    assert store.claim(OTHER, NOW + 7500, NOW + 7300) is WON
    assert happen is replaced or SqliteStore(path).signing_key() == key


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE auth_user (id INTEGER)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1000000")


@pytest.mark.parametrize("happened", [overwritten, foreign, newer])
def test_a_file_that_is_no_store_is_left_alone_and_named(
    store: SqliteStore, path: Path, happened: Callable[[Path], None]
) -> None:
    happened(path)
    content = path.read_bytes()
    assert store.claim(KEY, NOW + LIFE, NOW) is STORE_DOWN
    assert store.claimed(KEY, NOW) == StoreDown()
    assert store.count(KEY, 60.0, NOW) == StoreDown()
    with pytest.raises(ConfigurationError, match=r"^store: .*gate\.db can't be used"):
        store.signing_key()
    assert path.read_bytes() == content
    path.unlink()
    assert store.claim(KEY, NOW + LIFE, NOW) is WON


def test_an_empty_file_becomes_a_store(store: SqliteStore, path: Path) -> None:
    emptied(path)
    assert store.claim(KEY, NOW + LIFE, NOW) is WON


def test_a_store_whose_pages_are_destroyed_refuses_and_works_again_with_a_new_file(path: Path) -> None:
    store = SqliteStore(path)
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    store.close()
    overwritten(path)
    assert store.claim(OTHER, NOW + LIFE, NOW) is STORE_DOWN
    assert store.claim_now(OTHER, NOW + LIFE, NOW) is None
    deleted(path)
    assert store.claim(KEY, NOW + LIFE, NOW) is LOST
    assert store.claim(OTHER, NOW + 4 + LIFE, NOW + 4, born=NOW + 3.5) is WON
    store.close()


def test_a_missing_folder_is_a_trouble_that_ends_when_the_folder_comes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "later" / "gate.db")
    assert store.claim_now(KEY, NOW + LIFE, NOW) is None
    assert store.claim(KEY, NOW + LIFE, NOW) is STORE_DOWN
    (tmp_path / "later").mkdir()
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    store.close()


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user whom file modes bind: root reads and writes what it likes."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, nobody, nobody)
        os.seteuid(nobody)
        try:
            yield folder
        finally:
            os.seteuid(0)


def test_a_read_only_file_is_a_trouble_that_ends_when_it_may_be_written(unprivileged: Path) -> None:
    path = unprivileged / "gate.db"
    store = SqliteStore(path)
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    store.close()
    path.chmod(0o400)
    assert store.claim(OTHER, NOW + LIFE, NOW) is STORE_DOWN
    path.chmod(0o600)
    assert [store.claim(key, NOW + LIFE, NOW) for key in (KEY, OTHER)] == [LOST, WON]
    store.close()


# The place


def test_by_default_the_store_is_a_private_file_in_the_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    store = open_store("sqlite")
    assert not (tmp_path / "state").exists()
    store.signing_key()
    store.claim(KEY, NOW + LIFE, NOW)
    folder = tmp_path / "state" / "caputchin-gate"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert files == dict.fromkeys(("gate.db", "gate.db-wal", "gate.db-shm"), 0o600)
    store.close()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/jo"}, "/state/caputchin-gate/gate.db"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/jo"}, "/home/jo/.local/state/caputchin-gate/gate.db"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/jo"}, "/home/jo/.local/state/caputchin-gate/gate.db"),
    ],
)
def test_the_default_place_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_path() == Path(expected)


def test_a_default_place_that_may_not_be_written_says_what_to_set(
    unprivileged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unprivileged.chmod(0o500)
    monkeypatch.setenv("XDG_STATE_HOME", str(unprivileged))
    store = open_store("sqlite")
    with pytest.raises(ConfigurationError) as raised:
        store.signing_key()
    assert "caputchin-gate" in str(raised.value)
    assert '"sqlite:///' in str(raised.value)
    assert store.claim(KEY, NOW + LIFE, NOW) is STORE_DOWN


def test_a_file_that_everybody_can_read_is_no_place_for_a_signing_key(store: SqliteStore, path: Path) -> None:
    path.touch()
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        store.signing_key()
    path.chmod(0o600)
    assert len(store.signing_key()) == 32


def test_a_path_with_odd_characters_is_a_path(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a b?mode=memory&x#y%20.db")
    assert store.claim(KEY, NOW + LIFE, NOW) is WON
    assert (tmp_path / "a b?mode=memory&x#y%20.db").exists()
    store.close()
