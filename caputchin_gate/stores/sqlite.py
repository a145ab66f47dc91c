"""A store in one file, shared by all processes of a machine.

A claim is one INSERT, atomic by itself. A process has three connections: one that never waits (for event loops), one
that waits, and one for the upkeep, which a caller that may wait does every so many calls.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from caputchin_gate.effects import ClaimResult, Counted, Held, StoreDown
from caputchin_gate.errors import ConfigurationError, Problem
from caputchin_gate.stores import GRACE, LONGEST_CLAIM, WAITED
from caputchin_gate.stores.sqlite_file import (
    Connection,
    Inode,
    StoreFile,
    Trouble,
    is_damage,
    is_full,
    spoils,
    transaction,
)
from caputchin_gate.stores.trouble_log import TroubleLog

T = TypeVar("T")

# Nobody can tell by now whether this one was claimed: the clock was set back, or it is older than the file.
_FORGOTTEN: Final = """(:now < (SELECT value FROM facts WHERE name = 'horizon') OR EXISTS (
    SELECT 1 FROM facts WHERE name = 'blind' AND :born < value AND (:born > 0 OR :now < value + :longest)))"""
_CLAIM: Final = f"INSERT INTO claims SELECT :key, :until WHERE NOT {_FORGOTTEN} ON CONFLICT DO NOTHING"
_LOST: Final = f"SELECT {_FORGOTTEN} OR EXISTS (SELECT 1 FROM claims WHERE key = :key)"  # noqa: S608
# A clock that was set back shortens the wait, and keeps the count.
_COUNT: Final = """INSERT INTO counters VALUES (:key, :ends_at, :times) ON CONFLICT DO UPDATE SET
    count = CASE WHEN until > :now THEN count + :times ELSE :times END,
    until = CASE WHEN until > :now THEN min(until, :ends_at) ELSE :ends_at END
    RETURNING count, until"""
_COUNTED: Final = "SELECT count, min(until, :ends_at) FROM counters WHERE key = :key AND until > :now"
_SWAP: Final = """INSERT INTO records SELECT :key, :until, :new
    WHERE :old IS NULL OR EXISTS (SELECT 1 FROM records WHERE key = :key)
    ON CONFLICT DO UPDATE SET until = :until, value = :new
    WHERE CASE WHEN records.until > :now THEN value = :old ELSE :old IS NULL END"""
_HELD: Final = "SELECT value FROM records WHERE key = :key AND until > :now"
_RAISE_HORIZON: Final = "UPDATE facts SET value = max(value, ?) WHERE name = 'horizon'"
_GO_BLIND: Final = "INSERT INTO facts VALUES ('blind', ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)"
_IDENTITY: Final = "SELECT value FROM facts WHERE name = 'identity'"
_KEEP_SIGNING_KEY: Final = "INSERT OR IGNORE INTO facts VALUES ('signing key', ?)"
_SIGNING_KEY: Final = "SELECT value FROM facts WHERE name = 'signing key'"

_SWEPT_ROWS: Final = 512  # what one transaction of the upkeep looks at, while other writers wait
_SWEEPS: Final = 4  # of one upkeep: more rows than came since the last one
_LARGE_LOG: Final = 64 * 2**20
_DOWN: Final = StoreDown()

_inherited: Final[list[object]] = []  # connections of a parent process; to close them here would break its locks


def default_path() -> Path:
    """A file in the user's state directory (XDG Base Directory Specification)."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    state = Path(configured) if configured.startswith("/") else Path(os.path.expanduser("~/.local/state"))
    return state / "caputchin-gate" / "gate.db"


class _Process:
    """What one process has open."""

    def __init__(self, file: StoreFile, patience: float, calls: int) -> None:
        self.pid = os.getpid()
        self.hasty = Connection(file, 0.0)
        self.patient = Connection(file, patience)
        self.upkeep = Connection(file, patience)
        self.calls = calls  # since the last upkeep
        # Where the next sweep begins: anywhere, so that many short-lived processes sweep all of it.
        self.swept = {table: os.urandom(16) for table in ("claims", "counters", "records")}

    def drop(self) -> None:
        """Close all, because they share what SQLite knows about the file. Called under the lock of `patient`."""
        self.patient.drop()
        for connection in (self.upkeep, self.hasty):  # who holds the lock of one never waits for `patient`
            with connection.lock:
                connection.drop()


class SqliteStore:
    """patience: seconds to wait for other threads, and again for other processes.
    most_bytes: how large the file may grow; a full store refuses.
    upkeep_every: how many calls of a process there are between two times of upkeep.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        makes_folder: bool = False,
        patience: float = 1.0,
        most_bytes: int = 2**30,
        upkeep_every: int = 1000,
    ) -> None:
        self._file = StoreFile(path, most_bytes=most_bytes, makes_folder=makes_folder)
        self._log = TroubleLog(str(path))
        self._patience = patience
        self._upkeep_every = upkeep_every
        self._process = _Process(self._file, patience, upkeep_every)
        self._held: tuple[bytes, Inode] | None = None  # the identity and the inode of the file
        self._forgot = False  # whether claims may be missing, so that nothing is asked before the file was opened again
        self._longest = LONGEST_CLAIM
        self._signing_key: bytes | None = None

    # The contract

    def claim(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult:
        if until <= now:
            return ClaimResult.LOST
        self._longest = max(self._longest, until - now)
        match self._waiting(lambda database: _claim(database, key, until, now, born, self._longest), now):
            case StoreDown():
                return ClaimResult.STORE_DOWN
            case ClaimResult() as result:
                return result

    def claim_now(self, key: bytes, until: float, now: float, born: float = 0.0) -> ClaimResult | None:
        if until <= now:
            return ClaimResult.LOST
        self._longest = max(self._longest, until - now)
        return self._at_once(lambda database: _claim(database, key, until, now, born, self._longest))

    def claimed(self, key: bytes, now: float, born: float = 0.0) -> bool | StoreDown:
        values = {"key": key, "now": now, "born": born, "longest": self._longest}
        return self._waiting(lambda database: bool(database.execute(_LOST, values).fetchone()[0]), now)

    def count(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown:
        return self._waiting(lambda database: _count(database, key, window, now, times), now)

    def count_now(self, key: bytes, window: float, now: float, times: int = 1) -> Counted | StoreDown | None:
        return self._at_once(lambda database: _count(database, key, window, now, times))

    def swap(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown:
        return self._waiting(lambda database: _swap(database, key, old, new, until, now), now)

    def swap_now(self, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held | StoreDown | None:
        return self._at_once(lambda database: _swap(database, key, old, new, until, now))

    def signing_key(self) -> bytes:
        if self._signing_key is None:
            self._signing_key = self._shared_signing_key()
            self.close()  # a server often forks after this; connections are better not inherited
        return self._signing_key

    def close(self) -> None:
        process = self._own_process()
        with process.patient.lock:
            process.drop()

    # How a call gets its connection

    def _own_process(self) -> _Process:
        """SQLite connections don't survive a fork (https://www.sqlite.org/howtocorrupt.html 2.6)."""
        process = self._process
        if process.pid != os.getpid():
            _inherited.append(process)
            self._process = process = _Process(self._file, self._patience, self._upkeep_every)
        return process

    def _at_once(self, act: Callable[[sqlite3.Connection], T]) -> T | None:
        """The answer of `act`, None when it has to be asked by a caller that may wait."""
        process = self._own_process()
        process.calls += 1
        if process.calls > self._upkeep_every or not process.hasty.lock.acquire(blocking=False):
            return None
        try:
            database = process.hasty.ready()
            if database is not None and not self._forgot:
                return act(database)
            process.calls = self._upkeep_every  # which opens it
        except Trouble as trouble:
            self._forgot |= is_damage(trouble)
            if spoils(trouble):
                process.hasty.drop()
        finally:
            process.hasty.lock.release()
        return None

    def _waiting(self, act: Callable[[sqlite3.Connection], T], now: float) -> T | StoreDown:
        process = self._own_process()
        process.calls += 1
        if not process.patient.lock.acquire(timeout=self._patience):
            return _DOWN
        try:
            answer = self._ask(process, act, now)
        except Trouble as trouble:
            self._forgot |= is_damage(trouble)
            if spoils(trouble):
                process.drop()
            self._tell(trouble)
            return _DOWN
        finally:
            process.patient.lock.release()
        if self._log.in_trouble:
            self._log.up()
        if process.calls > self._upkeep_every and process.upkeep.lock.acquire(blocking=False):
            try:
                self._keep_up(process, now)
            finally:
                process.upkeep.lock.release()
        return answer

    def _ask(self, process: _Process, act: Callable[[sqlite3.Connection], T], now: float) -> T:
        database = self._opened(process, now)
        try:
            return act(database)
        except sqlite3.Error as trouble:
            if not is_full(trouble):
                raise
            _checkpoint(database, "TRUNCATE")  # it may be the disk that is full, and the log what fills it
            _sweep(database, process, now)
            return act(database)

    def _opened(self, process: _Process, now: float) -> sqlite3.Connection:
        """The connection that waits, to the file that stands at the path now."""
        database = process.patient.ready()
        if database is None or self._forgot:
            self._forgot |= process.patient.is_open  # its files were taken away
            process.drop()
            database = self._open(process.patient, now)
            self._forgot = False
        return database

    def _open(self, connection: Connection, now: float) -> sqlite3.Connection:
        """Open the file at the path, which may be another one than before, or have lost something.

        It took claims along: what was born before is not won any more.
        """
        database = connection.open()
        try:
            found = database.execute(_IDENTITY).fetchone()
            if found is None:
                raise OSError("the file holds something else than a store of this version")
            held = found[0], connection.inode
            if self._held is not None and (self._forgot or self._held != held):
                database.execute(_GO_BLIND, (now + WAITED,))
                if self._signing_key is not None:
                    database.execute(_KEEP_SIGNING_KEY, (self._signing_key,))
        except BaseException:
            connection.drop()
            raise
        self._held = held
        return database

    def _keep_up(self, process: _Process, now: float) -> None:
        """Forget what is over, move the log into the file, have the hasty connection open."""
        process.calls = 0
        try:
            if not process.upkeep.is_open:
                self._open(process.upkeep, now)
            database = process.upkeep.ready()
            if database is None or self._forgot:
                return  # the next call that waits begins anew
            _sweep(database, process, now)
            _checkpoint(database, "PASSIVE" if self._file.log_bytes() < _LARGE_LOG else "TRUNCATE")
            with process.hasty.lock:
                if not process.hasty.is_open:
                    self._open(process.hasty, now)
        except Trouble as trouble:
            self._forgot |= is_damage(trouble)
            if spoils(trouble):
                process.upkeep.drop()
                self._tell(trouble)

    def _tell(self, trouble: Exception) -> None:
        self._log.down(getattr(trouble, "strerror", None) or str(trouble))

    def _shared_signing_key(self) -> bytes:
        try:
            process = self._own_process()
            with process.patient.lock:
                database = self._opened(process, time.time())
                database.execute(_KEEP_SIGNING_KEY, (os.urandom(32),))
                key: bytes = database.execute(_SIGNING_KEY).fetchone()[0]
        except Trouble as trouble:
            what = f"{self._file.path} can't be used ({trouble})"
            fix = 'name a file in a folder that this user may write to, like "sqlite:///var/lib/gate/gate.db"'
            raise ConfigurationError([Problem("store", what, fix)]) from None
        if self._file.others_can_read():
            what = f"everybody on this machine can read {self._file.path}, and it holds the signing key"
            raise ConfigurationError([Problem("store", what, f"chmod 600 {self._file.path}")])
        return key


# What is done with a connection


def _claim(
    database: sqlite3.Connection, key: bytes, until: float, now: float, born: float, longest: float
) -> ClaimResult:
    values = {"key": key, "until": until, "now": now, "born": born, "longest": longest}
    claimed = database.execute(_CLAIM, values).rowcount == 1
    return ClaimResult.WON if claimed else ClaimResult.LOST


def _count(database: sqlite3.Connection, key: bytes, window: float, now: float, times: int) -> Counted:
    values = {"key": key, "ends_at": now + window, "now": now, "times": times}
    found = database.execute(_COUNT if times else _COUNTED, values).fetchall()
    [(count, ends_at)] = found or [(0, now + window)]
    return Counted(count, ends_at)


def _swap(database: sqlite3.Connection, key: bytes, old: bytes | None, new: bytes, until: float, now: float) -> Held:
    values = {"key": key, "old": old, "new": new, "until": until, "now": now}
    if database.execute(_SWAP, values).rowcount == 1:
        return Held(new, swapped=True)
    found = database.execute(_HELD, {"key": key, "now": now}).fetchone()
    return Held(found[0] if found else None, swapped=False)


def _checkpoint(database: sqlite3.Connection, mode: str) -> None:
    """Move the log into the file."""
    database.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()


def _sweep(database: sqlite3.Connection, process: _Process, now: float) -> int:
    """Go on through the tables in the order of their keys, and forget what is over; how much that was.

    No index on the times is needed, which would double the price of a claim.
    """
    forgotten = 0
    for table in process.swept:
        for _ in range(_SWEEPS):
            process.swept[table], removed = _sweep_on(database, table, process.swept[table], now - GRACE)
            forgotten += removed
    return forgotten


def _sweep_on(database: sqlite3.Connection, table: str, after: bytes, over: float) -> tuple[bytes, int]:
    """Sweep some rows with keys above `after`: where to go on, and how many rows are gone."""
    rows = f"SELECT key FROM {table} WHERE key > ? ORDER BY key LIMIT {_SWEPT_ROWS}"  # noqa: S608
    (last,) = database.execute(f"SELECT max(key) FROM ({rows})", (after,)).fetchone()  # noqa: S608
    if last is None:
        return b"", 0
    found = f"FROM {table} WHERE key > ? AND key <= ? AND until <= ?"
    with transaction(database):
        (latest,) = database.execute(f"SELECT max(until) {found}", (after, last, over)).fetchone()
        if latest is None:
            return last, 0
        if table == "claims":
            database.execute(_RAISE_HORIZON, (latest,))
        return last, database.execute(f"DELETE {found}", (after, last, over)).rowcount
