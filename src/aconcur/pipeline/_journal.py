"""Journals: what of a run is done, kept in a file, so that the run can be resumed."""

# ruff: noqa: SLF001 - journaled() opens a Journal, whose parts are nobody else's

from __future__ import annotations

__all__ = ("Journal", "JournalFailure", "JournalStatistics", "journaled")

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring_ascii
from os import PathLike
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, final

import anyio

from aconcur._core.validation import check_text
from aconcur.pipeline._errors import JournalError
from aconcur.pipeline._journal_file import JournalFile, Key, Known, claimed, opened
from aconcur.pipeline._journal_trace import Book, KeyOf
from aconcur.pipeline._journal_writer import writing
from aconcur.pipeline._options import Fed, Spec

Dump: TypeAlias = Callable[[list[Any]], str | bytes]
Load: TypeAlias = Callable[[Any], list[Any]]
_KEPT: Final = "results"
_STAGES: Final = "stages"
_OF: Final = "of"


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """A snapshot of a journal, in items."""

    stages: str
    """The names of the stages of its pipeline."""
    done: int
    """All that these became is through."""
    failed: int
    """These failed, and are left alone."""
    again: int
    """These failed, and the next run tries them again."""


@dataclass(frozen=True, slots=True)
class JournalFailure:
    """An item that failed, as a journal keeps it."""

    key: Key
    """The item's key."""
    stage: str
    """The name of the stage that failed."""
    error: str
    """The type and the text of what it raised last."""
    attempts: int
    """How often that stage tried, in all runs."""
    again: bool
    """Whether the next run tries it again."""


# What JSON gives back as it was: 0.7 µs, where json.dumps and a look at what comes back take 3.8
# (CPython 3.11).
_EXACT: Final[dict[type, Callable[[Any], str]]] = {
    str: encode_basestring_ascii,
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}


def _to_json(results: list[Any]) -> str:
    try:
        return f"[{', '.join([_EXACT[type(result)](result) for result in results])}]"
    except KeyError:
        pass
    text = json.dumps(results)
    if json.loads(text) != results:
        raise ValueError(f"JSON gives {results!r:.60} back as something else")
    return text


@final
class Journal:
    """A file in which a run notes what is done; the same call resumes it, also after ``kill -9``.

    ::

        report = await thumbs.run(urls, journal=Journal("run.db"))

    A value that names a file, an SQLite database. Runs of a pipeline write it, one at a time; it
    can be read meanwhile. Beside it lies ``run.db-lock``, which is empty and stays, and during a
    run ``run.db-wal`` and ``run.db-shm``. A run that finds the file, or one beside it, removed or
    replaced ends with JournalError. Writing into the file with another program is not noticed.

    An item is *done* when all that it became has left the last stage or was filtered: it is never
    worked on again. One that a stage *failed* on, and that was skipped, collected or handed on, is
    kept with its error, and left alone until :meth:`retry`. An item that ended the run with its
    error is tried again by the next run, and so is all that was under way: what a function did
    outside it may do twice, for what was done within about 20 ms before a kill too. So let the
    last stage do what may be done twice: write a file, put an object.

    The pipeline is known again by the names of its stages, items by their keys. Results are kept
    for :meth:`Pipeline.collect` only.

    Args:
        path: of the file; the first run makes it.
        of: what else makes the run what it is, such as the parameters of its functions: a journal
            that was begun with another text is refused.
        dump: makes a str or bytes of the list of results that one item became; JSON, if it gives
            them back as they were.
        load: makes that list again. ``pickle.dumps`` and ``pickle.loads`` take almost anything;
            then whoever can write the file can run code here.

    Raises:
        ValueError: one of ``dump`` and ``load`` is given without the other.
        TypeError: ``of`` is no text, or ``path`` is no path.

    Cost: 4 to 5 µs an item, 5 where results are kept (``python -m benchmarks.journal``, CPython
    3.11, two cores). For each key about 150 bytes of memory as long as the run lasts. Items that
    are done are passed over without a pause for other tasks, a million of them in a second or two.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        of: str = "",
        dump: Dump | None = None,
        load: Load | None = None,
    ) -> None:
        check_text("of", of)
        if (dump is None) != (load is None):
            given, missing = ("dump", "load") if load is None else ("load", "dump")
            raise ValueError(f"{given}= was given without {missing}=: give both, or neither")
        self.path: Path = Path(path)
        self._of = of
        self._dump: Dump = dump or _to_json
        self._load: Load = load or json.loads

    def __repr__(self) -> str:
        return f"<Journal {str(self.path)!r}>"

    def statistics(self) -> JournalStatistics:
        """Count what it has. It reads the file, in the caller's thread.

        Raises:
            JournalError: there is none, or it cannot be read.
        """
        with opened(self.path, make=False) as file:
            return JournalStatistics(file.about().get(_STAGES, ""), *file.counts())

    def failures(self) -> list[JournalFailure]:
        """Return what failed, by key. It reads the file, in the caller's thread.

        Raises:
            JournalError: there is none, or it cannot be read.
        """
        with opened(self.path, make=False) as file:
            return [JournalFailure(*failed) for failed in file.failed()]

    def retry(self, keys: Iterable[Key] | None = None) -> int:
        """Let the next run try failed items again; return how many more than before.

        Args:
            keys: of the items; all, if None. What did not fail is passed over.

        Raises:
            TypeError: ``keys`` is one text or bytes, not several keys.
            JournalError: there is none, it cannot be written, or a run writes it now.
        """
        if isinstance(keys, str | bytes):
            raise TypeError(f"keys must be several: [{keys!r}], not {keys!r}")
        with opened(self.path, make=False) as file, claimed(self.path):
            return file.retry(None if keys is None else list(keys))

    def _begin(self, specs: Sequence[Spec], collect: bool, file: JournalFile) -> _Begun:
        stages = " | ".join(spec.name for spec in specs)
        about = file.about()
        if not about:
            about = {_STAGES: stages, _OF: self._of, _KEPT: "kept" if collect else "not kept"}
            file.describe(about)
        if about[_STAGES] != stages:
            raise JournalError(
                f"{self.path} is a journal of another pipeline, {about[_STAGES]!r}, not of "
                f"{stages!r}: name another file"
            )
        if about[_OF] != self._of:
            raise JournalError(
                f"{self.path} was begun for {about[_OF]!r}, not for {self._of!r}: name another file"
            )
        kept = about[_KEPT] == "kept"
        if collect and not kept:
            raise JournalError(
                f"{self.path} was begun by run(), which keeps no results: resume it with run(), "
                "or name another file"
            )
        return _Begun(file.known(), kept, self._recorded(file) if collect else {})

    def _recorded(self, file: JournalFile) -> Mapping[Key, list[Any]]:
        found: dict[Key, list[Any]] = {}
        for key, results in file.results():
            try:
                found[key] = self._load(results)
            except Exception as error:
                raise JournalError(
                    f"{self.path}: load= failed on the results of {key!r}: {error}"
                ) from error
        return found


class _Begun(NamedTuple):
    """What a run finds in its journal."""

    known: Known
    kept: bool
    """Whether results are kept."""
    recorded: Mapping[Key, list[Any]]


@asynccontextmanager
async def journaled(
    journal: Journal, specs: Sequence[Spec], key: KeyOf | None, *, collect: bool
) -> AsyncIterator[Book]:
    """Open a journal for a run, which is cancelled if it cannot be written any more.

    **Cancelled**: what is done is recorded before the block is left.

    Raises:
        JournalError: the journal is not of this pipeline, or cannot be read or written.
        ValueError: there is a batch, and results are to be collected.
    """
    if collect and _has_batch(specs):
        raise ValueError(
            "collect(journal=) cannot tell which item a batch came from: use run(), or batch the "
            "source"
        )
    scope = anyio.CancelScope()
    problems: list[JournalError] = []

    def fail(error: JournalError) -> None:
        problems.append(error)
        scope.cancel()

    begin = partial(journal._begin, specs, collect)
    async with writing(journal.path, begin, scope.cancel) as (writer, begun):
        dump = journal._dump if begun.kept else None
        book = Book(writer, begun.known, key, dump, begun.recorded if collect else None, fail)
        with scope:
            yield book
        if problems:
            raise problems[0]


def _has_batch(specs: Sequence[Spec]) -> bool:
    fed = (other for spec in specs for other in spec.others if isinstance(other, Fed))
    return any(spec.kind == "batch" for spec in specs) or any(_has_batch(one.specs) for one in fed)
