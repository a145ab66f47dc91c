"""The file of the sqlite store: making it, its tables, the connections to it. What is done there stands in `sqlite.py`.

Everything here may raise `Trouble`; the store turns it into an answer.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

Trouble: Final = (sqlite3.Error, OSError)
Inode: TypeAlias = tuple[int, int]
Inodes: TypeAlias = tuple[Inode, ...]  # of the file, and of the two that SQLite keeps beside it

_SCHEMA: Final = 2
_TABLES: Final = (
    "CREATE TABLE claims (key BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (key BLOB PRIMARY KEY, until REAL NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE records (key BLOB PRIMARY KEY, until REAL NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    # Before this time nobody can tell whether a key was claimed (`stores/__init__.py`).
    "INSERT INTO facts VALUES ('horizon', -1e999)",
    # Tells a new file from the one before; its inode may be the same.
    "INSERT INTO facts VALUES ('identity', randomblob(16))",
)
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_RETRY_AFTER: Final = 0.01
_OLDEST_SQLITE: Final = (3, 35)  # has RETURNING


def is_busy(trouble: BaseException) -> bool:
    """Whether somebody else holds the file's lock."""
    return _primary_code(trouble) in _BUSY


def is_full(trouble: BaseException) -> bool:
    return _primary_code(trouble) == sqlite3.SQLITE_FULL


def is_damage(trouble: BaseException) -> bool:
    """Whether a part of the file is missing. Opened again, SQLite leaves out what it can't read of the log."""
    return _primary_code(trouble) in _DAMAGE or _code(trouble) == sqlite3.SQLITE_IOERR_SHORT_READ


def spoils(trouble: BaseException) -> bool:
    """Whether the connection is of no use any more."""
    return not is_busy(trouble) and not is_full(trouble)


def _code(trouble: BaseException) -> int:
    return getattr(trouble, "sqlite_errorcode", 0)  # not every error is SQLite's own


def _primary_code(trouble: BaseException) -> int:
    return _code(trouble) & 0xFF


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, alone among the writers."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


class StoreFile:
    """Where the store is, and how its connections are opened."""

    def __init__(self, path: str | Path, *, most_bytes: int, makes_folder: bool) -> None:
        self.path = Path(path)
        self._paths = str(path), f"{path}-wal", f"{path}-shm"
        self._most_bytes = most_bytes
        self._makes_folder = makes_folder

    def inodes(self) -> Inodes:
        """Which files stand at the paths now, empty when one is missing. They stay while any process has them open."""
        try:
            return tuple([(status.st_dev, status.st_ino) for status in map(os.stat, self._paths)])
        except FileNotFoundError:
            return ()

    def log_bytes(self) -> int:
        """The size of the write-ahead log."""
        try:
            return os.stat(self._paths[1]).st_size
        except OSError:
            return 0

    def others_can_read(self) -> bool:
        return bool(os.stat(self.path).st_mode & 0o007)

    def open(self, wait: float) -> tuple[sqlite3.Connection, Inodes]:
        """Open the file, which is made if there is none. Waits for the locks of others."""
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise OSError(f"SQLite {sqlite3.sqlite_version} is too old, 3.35 is needed")
        if self._makes_folder:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            self._make()
        if not os.access(self.path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            # SQLite would open it for reading, and leave a log beside it that nobody may write to.
            raise PermissionError("the file may not be written")
        status = os.stat(self.path)
        database = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=wait,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(database, time.monotonic() + wait)
            found = self.inodes()
            if not found or found[0] != (status.st_dev, status.st_ino):
                raise OSError("the file was replaced while it was opened")
        except BaseException:
            database.close()
            raise
        return database, found

    def _make(self) -> None:
        """An empty file with no rights for others; SQLite gives its log the same mode.

        It is never opened at its path but by SQLite: closing any other descriptor of it would cancel all locks that
        this process holds (https://www.sqlite.org/howtocorrupt.html 2.2).
        """
        descriptor, private = tempfile.mkstemp(prefix=f"{self.path.name}-", dir=self.path.parent)
        os.close(descriptor)
        try:
            with suppress(FileExistsError):
                os.link(private, self.path)
        finally:
            os.unlink(private)

    def _prepare(self, database: sqlite3.Connection, deadline: float) -> None:
        while True:
            try:
                _make_tables(database)
                break
            except sqlite3.OperationalError as trouble:
                # SQLite does not wait by itself where two processes make the file at once.
                if not is_busy(trouble) or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_AFTER)
        (page_size,) = database.execute("PRAGMA page_size").fetchone()
        database.execute(f"PRAGMA max_page_count = {max(1, self._most_bytes // page_size)}")
        # A power failure may take the last claims along, and never the file's integrity.
        database.execute("PRAGMA synchronous = NORMAL")
        # Checkpoints wait for the disk, so the store chooses when.
        database.execute("PRAGMA wal_autocheckpoint = 0")


def _make_tables(database: sqlite3.Connection) -> None:
    if _is_made(database):
        return
    database.execute("PRAGMA page_size = 1024")  # a claim writes one page to the log
    (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise OSError("the file system of this folder can't hold a store that processes share")
    with transaction(database):
        if not _is_made(database):
            for statement in _TABLES:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {_SCHEMA}")


def _is_made(database: sqlite3.Connection) -> bool:
    version, tables = database.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"
    ).fetchone()
    if version == _SCHEMA:
        return True
    if version or tables:
        raise OSError("the file holds something else than a store of this version")
    return False


class Connection:
    """One connection, and the lock of the thread that uses it. Everything else here is called under the lock."""

    def __init__(self, file: StoreFile, wait: float) -> None:
        self.lock = threading.Lock()
        self._file = file
        self._wait = wait
        self._database: sqlite3.Connection | None = None
        self._inodes: Inodes = ()

    @property
    def is_open(self) -> bool:
        return self._database is not None

    @property
    def inode(self) -> Inode:
        """Of the file that was opened last."""
        return self._inodes[0]

    def ready(self) -> sqlite3.Connection | None:
        """What is open, None when it is closed or other files stand at the paths by now."""
        if self._database is not None and self._inodes == self._file.inodes():
            return self._database
        return None

    def open(self) -> sqlite3.Connection:
        self._database, self._inodes = self._file.open(self._wait)
        return self._database

    def drop(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()
