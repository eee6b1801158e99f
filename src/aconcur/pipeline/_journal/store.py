"""The file of a journal: an SQLite database.

Rule 1: whatever is written is written in transactions; a process may be killed between any two
steps.
Rule 2: no record is ever removed, except the failure of an item that is done since.
The other rules are in this folder's ``__init__``.
"""

from __future__ import annotations

__all__ = (
    "Done",
    "Failed",
    "JournalFile",
    "Key",
    "Known",
    "Parts",
    "State",
    "claimed",
    "opened",
    "sqlite_errors",
)

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from aconcur.pipeline._errors import JournalError

Key: TypeAlias = str | int | bytes
_APPLICATION: Final = 0x61636F6E
_FORMAT: Final = 2
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE done (key, results);
CREATE TABLE failed (
    key PRIMARY KEY, stage TEXT, error TEXT, attempts INTEGER, again INTEGER, results
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
COMMIT;
"""
_ADD_FAILED: Final = """
INSERT INTO failed VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (key) DO UPDATE SET
    stage = excluded.stage, error = excluded.error, again = excluded.again,
    attempts = attempts + excluded.attempts, results = NULL
"""
# Rows of one statement. SQLite releases the GIL for each statement, and a busy event loop gives it
# back only every 5 ms: a statement for each row would write 200 rows in a second.
_ROWS: Final = (512, 64, 8, 1)
# The journal, the write-ahead log, and the lock.
_SUFFIXES: Final = ("", "-wal", "-lock")


class State(IntEnum):
    """What a journal knows about a key."""

    DONE = 1
    FAILED = 2
    AGAIN = 3
    """It failed, and is to be tried again."""
    DRAWN = 4
    """It came in this run."""


Known: TypeAlias = dict[Key, State]
Done: TypeAlias = tuple[Key, str | bytes | None, bool]
"""The key of an item, its results if they are kept, and whether it had failed before."""
Parts: TypeAlias = tuple[Key, str | bytes | None]
"""The key of an item of which a part failed, and the results of the other parts."""


class Failed(NamedTuple):
    """An item that failed."""

    key: Key
    stage: str
    error: str
    attempts: int
    again: bool


class JournalFile:
    """An open journal.

    Args:
        path: names it in errors.
        connection: to its database.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection
        self._files: dict[str, tuple[int, int]] = {}

    def stay(self) -> None:
        """Make :meth:`write` fail if one of the journal's files is removed or replaced."""
        for name in (f"{self._path}{suffix}" for suffix in _SUFFIXES):
            if (file := _identity(name)) is not None:
                self._files[name] = file

    def about(self) -> dict[str, str]:
        """Return the facts that describe the journal."""
        return dict(self._read("SELECT name, value FROM about"))

    def describe(self, facts: dict[str, str]) -> None:
        """Record the facts that describe the journal."""
        with self._transaction():
            self._connection.executemany("INSERT INTO about VALUES (?, ?)", facts.items())

    def known(self) -> Known:
        """Return the state of each key."""
        known = {
            key: State.AGAIN if again else State.FAILED
            for key, again in self._read("SELECT key, again FROM failed")
        }
        known.update((key, State.DONE) for (key,) in self._read("SELECT key FROM done"))
        return known

    def results(self) -> Iterator[tuple[Key, Any]]:
        """Return the recorded results of each key."""
        yield from self._read("SELECT key, results FROM done")
        yield from self._read("SELECT key, results FROM failed WHERE results NOT NULL")

    def counts(self) -> tuple[int, int, int]:
        """Return how many are done, failed, and to be tried again."""
        ((done,),) = self._read("SELECT count(*) FROM done")
        ((failed, again),) = self._read("SELECT count(*), coalesce(sum(again), 0) FROM failed")
        return done, failed - again, again

    def failed(self) -> list[Failed]:
        """Return the failed items, in the order of their keys."""
        rows = self._read("SELECT key, stage, error, attempts, again FROM failed ORDER BY key")
        return [
            Failed(key, stage, error, tries, bool(again))
            for key, stage, error, tries, again in rows
        ]

    def write(self, records: Iterable[Done | Failed | Parts]) -> None:
        """Record all of it or nothing.

        Raises:
            JournalError: it cannot be written, or is not where it was: see :meth:`stay`.
        """
        done: list[Key | bytes | None] = []
        retried: list[tuple[Key]] = []
        failed: list[Failed] = []
        parts: list[tuple[str | bytes | None, Key]] = []
        for record in records:
            if isinstance(record, Failed):
                failed.append(record)
            elif len(record) == 2:
                parts.append((record[1], record[0]))
            else:
                done += (record[0], record[1])
                if record[2]:
                    retried.append((record[0],))
        with sqlite_errors(self._path), self._transaction():
            self._insert_done(done)
            self._connection.executemany("DELETE FROM failed WHERE key = ?", retried)
            self._connection.executemany(_ADD_FAILED, failed)
            self._connection.executemany("UPDATE failed SET results = ? WHERE key = ?", parts)
        for name, file in self._files.items():
            if _identity(name) != file:
                raise JournalError(
                    f"journal {self._path}: {name} was removed or replaced during the run, and the "
                    "records since then may be lost: put it back, if it was moved, and run again"
                )

    def _insert_done(self, values: Sequence[Key | None]) -> None:
        first = 0
        for rows in _ROWS:
            statement = "INSERT INTO done VALUES (?, ?)" + ", (?, ?)" * (rows - 1)
            while len(values) - first >= 2 * rows:
                self._connection.execute(statement, values[first : first + 2 * rows])
                first += 2 * rows

    def retry(self, keys: Sequence[Key] | None) -> int:
        """Mark failed items, these or all, to be tried again; return how many."""
        mark = "UPDATE failed SET again = 1 WHERE NOT again"
        with self._transaction():
            before = self._connection.total_changes
            if keys is None:
                self._connection.execute(mark)
            else:
                self._connection.executemany(f"{mark} AND key = ?", [(key,) for key in keys])
            return self._connection.total_changes - before

    def _read(self, statement: str) -> Iterator[Any]:
        return self._connection.execute(statement)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # after some errors SQLite has rolled back by itself
                self._connection.execute("ROLLBACK")
            raise


def _identity(name: str) -> tuple[int, int] | None:
    """Return the device and inode of a file; None if there is no such file."""
    try:
        found = os.stat(name)  # noqa: PTH116 - the name is not always a valid path
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def opened(path: Path, *, make: bool = False, write: bool = True) -> Iterator[JournalFile]:
    """Open a journal, in any thread; close it with the block.

    Args:
        path: of the file.
        make: whether to create it if it does not exist.
        write: whether it is to be written. Reading needs no write permission.

    Raises:
        JournalError: it does not exist, cannot be opened, read or written, or is not a journal.
    """
    with sqlite_errors(path):
        if not make and not path.exists():
            raise JournalError(f"{path} was not found: name the file that a run had as its journal")
        with closing(_connected(path) if write else _connected_to_read(path)) as connection:
            _identify(path, connection, make=make)
            yield JournalFile(path, connection)


def _connected(name: str | Path, *, uri: bool = False) -> sqlite3.Connection:
    # Autocommit: transactions are begun in JournalFile. The thread that opens the file and the one
    # that writes it differ, but never use it at the same time.
    return sqlite3.connect(name, timeout=10, isolation_level=None, check_same_thread=False, uri=uri)


def _connected_to_read(path: Path) -> sqlite3.Connection:
    """Open a journal that a run may be writing, perhaps without write permission.

    A database in WAL mode is read through files beside it, which SQLite creates if they are
    missing: without permission for that it cannot be read, unless it is declared immutable. That is
    true where no log lies beside it: no run is writing it.
    """
    connection = _connected(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        connection.close()
        no_file = isinstance(error, sqlite3.OperationalError)
        if not no_file or path.with_name(f"{path.name}-wal").exists():
            raise
        return _connected(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    return connection


def _identify(path: Path, connection: sqlite3.Connection, *, make: bool) -> None:
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_schema")
    empty = not (application or version or tables)
    if empty and not make:
        raise JournalError(f"{path} is empty: no run has begun it")
    if not empty and application != _APPLICATION:
        raise JournalError(f"{path} is a database, but not a journal: name another file")
    if not empty and version != _FORMAT:
        raise JournalError(
            f"{path} is a journal of format {version}, and this version of aconcur reads format "
            f"{_FORMAT}: use the version that made it, or name another file"
        )
    if make:
        # A reader never waits for the writer. After a kill no commit is missing; after a power
        # failure the last commits may be.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    if empty:
        connection.executescript(_SCHEMA)


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the lock of a journal that is to be written.

    Raises:
        JournalError: another process, or another run in this one, holds it.
    """
    with sqlite_errors(path):
        lock = sqlite3.connect(
            f"{path}-lock", timeout=0, isolation_level=None, check_same_thread=False
        )
        with closing(lock):
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                raise JournalError(
                    f"{path} is in use by another run: wait for its end, or name another file"
                ) from None
            yield


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Raise JournalError in place of the errors of SQLite."""
    try:
        yield
    except (sqlite3.Error, UnicodeEncodeError, OverflowError) as error:
        raise JournalError(f"journal {path}: {error}; {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return "it is not a journal, and stays as it is: name another file"
        case sqlite3.SQLITE_CORRUPT:
            return "it is damaged, and stays as it is: restore a copy, or name another file"
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return "the records so far stay: make room, and run again"
        case sqlite3.SQLITE_CANTOPEN:
            return "see that its folder exists and can be written"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another program holds it: wait for its end, and run again"
        case _:
            return "the records so far stay"
