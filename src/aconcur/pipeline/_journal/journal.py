"""The public value that names a journal, and how a run opens it."""

# ruff: noqa: SLF001 - open_journal() opens a Journal

from __future__ import annotations

__all__ = ("Journal", "JournalFailure", "JournalStatistics", "Key", "open_journal")

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
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
from aconcur.pipeline._journal.store import JournalFile, Key, Known, claimed, opened
from aconcur.pipeline._journal.tracking import JournalTracker, KeyOf
from aconcur.pipeline._journal.writer import writing
from aconcur.pipeline._spec import Fed, Spec

Dump: TypeAlias = Callable[[list[Any]], str | bytes]
Load: TypeAlias = Callable[[Any], list[Any]]
_KEPT: Final = "results"
_STAGES: Final = "stages"
_SHAPE: Final = "shape"
_OF: Final = "of"


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """A snapshot of a journal, in items."""

    stages: str
    """The names of the stages of its pipeline."""
    done: int
    """Items that are finished, with all that they became."""
    failed: int
    """Items that failed and are not tried again."""
    again: int
    """Items that failed and that the next run tries again."""


@dataclass(frozen=True, slots=True)
class JournalFailure:
    """An item that failed, as a journal keeps it."""

    key: Key
    """The item's key."""
    stage: str
    """The name of the stage that failed."""
    error: str
    """The type and the text of its last error."""
    attempts: int
    """How often that stage tried, in all runs."""
    again: bool
    """Whether the next run tries it again."""


# Types that JSON gives back unchanged, written without a check: 0.7 µs, where json.dumps and the
# comparison take 3.8 (CPython 3.11).
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
    if not _same(json.loads(text), results):
        raise ValueError(f"JSON does not give {results!r:.60} back unchanged, or as another type")
    return text


def _same(one: object, other: object) -> bool:
    """Return whether two values are equal and of the same types: 1 == True == 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        keys = list(one) == list(other) and all(map(_same, one, other))
        return keys and all(map(_same, one.values(), other.values()))
    return one == other


@final
class Journal:
    """The file in which a run records its progress; the same call resumes it, also after kill -9.

    ::

        report = await thumbs.run(urls, journal=Journal("run.db"))

    This value names a file, an SQLite database. One run at a time writes it; it can be read
    meanwhile. Beside it lie ``run.db-lock``, which is empty and stays, and during a run
    ``run.db-wal`` and ``run.db-shm``. If one of these is removed or replaced during a run, the run
    ends with JournalError. Another program that writes into the file is not noticed.

    An item is *done* when all that it became has left the last stage or was filtered: it is never
    worked on again. An item on which a stage *failed*, and that was skipped, collected or handed
    on, is recorded with its error and not tried again until :meth:`retry`. An item that ended the
    run with its error, or that was under way when the run ended, is done again by the next run. The
    outside effects of a function may therefore happen twice, also for items that were finished
    within about 20 ms before a kill. So let the last stage do something that may be done twice:
    write a file, put an object.

    A journal knows the pipeline by the kinds and names of its stages, those of merged pipelines
    included, so each must have a name: a lambda, a partial or an object that is called needs
    ``name=``, or the journal ``of=``. A stage of :meth:`Pipeline.through` is known by its commands.
    What a function has captured or been bound to is not seen: say it in ``of=``.

    It knows items by their keys. Results are kept for :meth:`Pipeline.collect` only; a second
    ``collect()`` returns what the first one did, the results of a partly failed item included.

    Args:
        path: of the file; the first run creates it. It is made absolute here, once: changing the
            working directory later makes no difference.
        of: what else distinguishes the run, such as the parameters of its functions. A journal
            that was begun with another text is refused.
        dump: makes a str or bytes of the list of results of one item. None: JSON, for results that
            JSON gives back equal and with the same types; others are refused.
        load: makes that list again. ``pickle.dumps`` and ``pickle.loads`` take almost anything;
            then anyone who can write the file can run code in this process.

    Raises:
        ValueError: one of ``dump`` and ``load`` is given without the other.
        TypeError: ``of`` is not a str, or ``path`` is not a path.

    Cost: 4 to 5 µs an item, 5 where results are kept (``python -m benchmarks.journal``, CPython
    3.11, two cores). For each key about 150 bytes of memory while the run lasts.
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
        # Resolved: two names of one file must have one lock.
        self.path: Path = Path(path).resolve()
        self._of = of
        self._dump: Dump = dump or _to_json
        self._load: Load = load or json.loads

    def __repr__(self) -> str:
        return f"<Journal {str(self.path)!r}>"

    def statistics(self) -> JournalStatistics:
        """Count the recorded items. This reads the file, in the caller's thread.

        Raises:
            JournalError: the file does not exist, or cannot be read.
        """
        with opened(self.path, write=False) as file:
            return JournalStatistics(file.about().get(_STAGES, ""), *file.counts())

    def failures(self) -> list[JournalFailure]:
        """Return the failed items, by key. This reads the file, in the caller's thread.

        Raises:
            JournalError: the file does not exist, or cannot be read.
        """
        with opened(self.path, write=False) as file:
            return [JournalFailure(*failed) for failed in file.failed()]

    def retry(self, keys: Iterable[Key] | None = None) -> int:
        """Let the next run try failed items again; return how many more than before.

        Args:
            keys: of the items; None: all. Keys of items that did not fail are ignored.

        Raises:
            TypeError: ``keys`` is one str or bytes, not several keys.
            JournalError: the file does not exist, cannot be written, or a run is writing it.
        """
        if isinstance(keys, str | bytes):
            raise TypeError(f"keys must be several: [{keys!r}], not {keys!r}")
        with opened(self.path) as file, claimed(self.path):
            return file.retry(None if keys is None else list(keys))

    def _begin(self, specs: Sequence[Spec], collect: bool, file: JournalFile) -> _Begun:
        stages = " | ".join(spec.name for spec in specs)
        if not self._of:
            _check_names(specs)
        about, shape = file.about(), _shape(specs)
        if not about:
            kept_or_not = "kept" if collect else "not kept"
            about = {_STAGES: stages, _SHAPE: shape, _OF: self._of, _KEPT: kept_or_not}
            file.describe(about)
        if about[_STAGES] != stages:
            raise JournalError(
                f"{self.path} is a journal of another pipeline, {about[_STAGES]!r}, not of "
                f"{stages!r}: name another file"
            )
        # Journals of older versions have no shape.
        if (before := about.get(_SHAPE, shape)) != shape:
            raise JournalError(
                f"{self.path} is a journal of another pipeline, of the stages {before!r}, not "
                f"{shape!r}: name another file"
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
    """The content of a journal when a run begins."""

    known: Known
    kept: bool
    """Whether results are kept."""
    recorded: Mapping[Key, list[Any]]


@asynccontextmanager
async def open_journal(
    journal: Journal, specs: Sequence[Spec], key: KeyOf | None, *, collect: bool
) -> AsyncIterator[JournalTracker]:
    """Open a journal for a run, which is cancelled when the journal cannot be written any more.

    **Cancelled**: all records are written before the block is left.

    Raises:
        JournalError: the journal belongs to another pipeline, or cannot be read or written; or a
            key is refused, or a stage has no name of its own.
        ValueError: there is a batch, and results are to be collected.
    """
    if collect and any(spec.kind == "batch" for spec in _all(specs)):
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
        recorded = begun.recorded if collect else None
        tracker = JournalTracker(writer, begun.known, key, dump, recorded, fail)
        with scope:
            yield tracker
        if problems:
            raise problems[0]


def _check_names(specs: Sequence[Spec]) -> None:
    for spec in _all(specs):
        if not spec.named:
            raise JournalError(
                f"stage {spec.name!r} has no name of its own, and a journal tells pipelines apart "
                "by the names of their stages: give it name=, or the Journal of="
            )


def _shape(specs: Sequence[Spec]) -> str:
    """Return the kinds, names and commands of all stages, on which the results depend."""
    return " | ".join(map(_told, specs))


def _told(spec: Spec) -> str:
    merged = [_shape(other.specs) for other in spec.others if isinstance(other, Fed)]
    detail = "".join(f" ({text})" for text in ([spec.detail] if spec.detail else []) + merged)
    return f"{spec.kind} {spec.name}{detail}"


def _all(specs: Sequence[Spec]) -> Iterator[Spec]:
    """Return the stages, and those of merged pipelines."""
    for spec in specs:
        yield spec
        for other in spec.others:
            if isinstance(other, Fed):
                yield from _all(other.specs)
