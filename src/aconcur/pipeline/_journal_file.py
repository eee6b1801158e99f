"""The file of a journal: an SQLite database.

Rule 1: what is written is written in transactions; a process may be killed between any two steps.
Rule 2: nothing that was recorded is ever removed, but a failure of an item that is done since.
Rule 3: what is done is only ever appended. No index, which keys in no order would make slow: a run
reads all keys when it begins, and lets none in twice.
Rule 4: who writes holds a lock, which ends with its process however that ends. SQLite's own, on a
file beside: children that were forked do not inherit it, and readers of the journal need none.
"""

from __future__ import annotations

__all__ = (
    "Done",
    "Failed",
    "JournalFile",
    "Key",
    "Known",
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
_FORMAT: Final = 1
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE done (key, results);
CREATE TABLE failed (
    key PRIMARY KEY, stage TEXT, error TEXT, attempts INTEGER, again INTEGER
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
COMMIT;
"""
_ADD_FAILED: Final = """
INSERT INTO failed VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    stage = excluded.stage, error = excluded.error, again = excluded.again,
    attempts = attempts + excluded.attempts
"""
# Rows of one statement. SQLite gives the GIL back for each statement, and a busy event loop lets
# the thread have it again only every 5 ms: a statement for each row would write 200 in a second.
_ROWS: Final = (512, 64, 8, 1)
# The journal, what is committed and not yet in it, and the lock.
_SUFFIXES: Final = ("", "-wal", "-lock")


class State(IntEnum):
    """What a journal knows of a key."""

    DONE = 1
    FAILED = 2
    AGAIN = 3
    """It failed, and is to be tried again."""
    DRAWN = 4
    """It came in this run."""


Known: TypeAlias = dict[Key, State]
Done: TypeAlias = tuple[Key, str | bytes | None, bool]
"""The key of an item, its results if they are kept, and whether it had failed before."""


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
        """Have :meth:`write` fail if one of the journal's files is removed or replaced."""
        for name in (f"{self._path}{suffix}" for suffix in _SUFFIXES):
            if (file := _identity(name)) is not None:
                self._files[name] = file

    def about(self) -> dict[str, str]:
        """Return what it says of itself."""
        return dict(self._read("SELECT name, value FROM about"))

    def describe(self, facts: dict[str, str]) -> None:
        """Let it say so of itself."""
        with self._transaction():
            self._connection.executemany("INSERT INTO about VALUES (?, ?)", facts.items())

    def known(self) -> Known:
        """Return what became of the keys so far."""
        known = {
            key: State.AGAIN if again else State.FAILED
            for key, again in self._read("SELECT key, again FROM failed")
        }
        known.update((key, State.DONE) for (key,) in self._read("SELECT key FROM done"))
        return known

    def results(self) -> Iterator[tuple[Key, Any]]:
        """Return the recorded results of each key."""
        return self._read("SELECT key, results FROM done")

    def counts(self) -> tuple[int, int, int]:
        """Return how many are done, failed, and to be tried again."""
        ((done,),) = self._read("SELECT count(*) FROM done")
        ((failed, again),) = self._read("SELECT count(*), coalesce(sum(again), 0) FROM failed")
        return done, failed - again, again

    def failed(self) -> list[Failed]:
        """Return what failed, in the order of the keys."""
        rows = self._read("SELECT key, stage, error, attempts, again FROM failed ORDER BY key")
        return [
            Failed(key, stage, error, tries, bool(again))
            for key, stage, error, tries, again in rows
        ]

    def write(self, records: Iterable[Done | Failed]) -> None:
        """Record all of it or nothing.

        Raises:
            JournalError: it cannot be written, or is not where it was: see :meth:`stay`.
        """
        done: list[Key | bytes | None] = []
        mended: list[tuple[Key]] = []
        failed: list[Failed] = []
        for record in records:
            if isinstance(record, Failed):
                failed.append(record)
            else:
                key, results, mends = record
                done += (key, results)
                if mends:
                    mended.append((key,))
        with sqlite_errors(self._path), self._transaction():
            self._insert_done(done)
            self._connection.executemany("DELETE FROM failed WHERE key = ?", mended)
            self._connection.executemany(_ADD_FAILED, failed)
        for name, file in self._files.items():
            if _identity(name) != file:
                raise JournalError(
                    f"journal {self._path}: {name} was removed or replaced while the run wrote it, "
                    "and what was done since may be in no file: put it back, if it was moved, and "
                    "run again"
                )

    def _insert_done(self, values: Sequence[Key | None]) -> None:
        first = 0
        for rows in _ROWS:
            statement = "INSERT INTO done VALUES (?, ?)" + ", (?, ?)" * (rows - 1)
            while len(values) - first >= 2 * rows:
                self._connection.execute(statement, values[first : first + 2 * rows])
                first += 2 * rows

    def retry(self, keys: Sequence[Key] | None) -> int:
        """Let failed items be tried again: these, or all; return how many."""
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
    """Return what tells the file from all others; None if there is none."""
    try:
        found = os.stat(name)  # noqa: PTH116 - some names are no path's
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def opened(path: Path, *, make: bool) -> Iterator[JournalFile]:
    """Open a journal, in any thread; close it with the block.

    Args:
        path: of the file.
        make: whether to make one if there is none.

    Raises:
        JournalError: there is none, it cannot be opened, read or written, or is something else.
    """
    with sqlite_errors(path):
        if not make and not path.exists():
            raise JournalError(f"{path} was not found: name the file that a run had as its journal")
        # Autocommit: transactions are begun here. Who opens it and who writes may be two threads,
        # one after the other.
        connection = sqlite3.connect(
            path, timeout=10, isolation_level=None, check_same_thread=False
        )
        with closing(connection):
            _identify(path, connection, make=make)
            yield JournalFile(path, connection)


def _identify(path: Path, connection: sqlite3.Connection, *, make: bool) -> None:
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_schema")
    empty = not (application or version or tables)
    if empty and not make:
        raise JournalError(f"{path} is empty: no run has begun it")
    if not empty and application != _APPLICATION:
        raise JournalError(f"{path} is a database, but no journal: name another file")
    if not empty and version != _FORMAT:
        raise JournalError(
            f"{path} is a journal of format {version}, and this aconcur knows {_FORMAT}: "
            "use the aconcur that made it, or another file"
        )
    if make:
        # A reader never waits for the writer. After a kill nothing that was committed is missing;
        # after a power failure the last commits may be.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    if empty:
        connection.executescript(_SCHEMA)


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Be the only one who writes this journal.

    Raises:
        JournalError: another process, or another run in this one, does.
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
    """Raise JournalError in place of what SQLite raises, and of what it cannot take."""
    try:
        yield
    except (sqlite3.Error, UnicodeEncodeError, OverflowError) as error:
        raise JournalError(f"journal {path}: {error}; {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_NOTADB:
            return "it is no journal, and stays as it is: name another file"
        case sqlite3.SQLITE_CORRUPT:
            return "it is damaged, and stays as it is: restore a copy, or name another file"
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return "what was recorded stays: make room, and run again"
        case sqlite3.SQLITE_CANTOPEN:
            return "see that its folder exists and can be written"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another program holds it: wait for its end, and run again"
        case _:
            return "what was recorded stays"
