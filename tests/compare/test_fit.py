"""What is recorded must not contradict itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from aconcur.compare import rounds
from aconcur.compare.fit import (
    MissingVersionsError,
    UnsteadyError,
    refuse_missing_versions,
    refuse_unsteady,
)
from aconcur.compare.lesson import Lesson
from aconcur.compare.record import CaseRecord, Record, VersionRecord
from tests.support.lesson import LESSON_TOML

LessonWith = Callable[..., Lesson]


def record_of(*walls: tuple[float, ...]) -> Record:
    versions = tuple(
        VersionRecord(f"v{number}", wall, wall, 0, 0, 0) for number, wall in enumerate(walls)
    )
    return Record({}, {}, (CaseRecord("add", 5, "15", versions),), ())


def test_a_steady_machine_may_be_recorded(lesson_with: LessonWith) -> None:
    refuse_unsteady(lesson_with(), record_of((2.0, 2.1, 2.2), (1.0, 1.05, 1.1)))


def test_a_machine_that_was_slow_all_the_while_of_a_round_may_be_recorded(
    lesson_with: LessonWith,
) -> None:
    refuse_unsteady(lesson_with(), record_of((2.0, 20.0, 2.0), (1.0, 10.0, 1.0)))


def test_medians_that_contradict_the_speeds_are_refused(lesson_with: LessonWith) -> None:
    # Each round says 2 ×, or nearly so, but for the third; the medians are 1 and 1.
    walls = (2.0, 2.1, 1.0, 1.0, 1.0), (1.0, 1.05, 1.0, 0.5, 0.5)
    with pytest.raises(UnsteadyError, match=r"during case 'add' \(v1\): .* 99 --record' again"):
        refuse_unsteady(lesson_with(), record_of(*walls))


def test_a_version_that_did_not_run_contradicts_nothing(lesson_with: LessonWith) -> None:
    record = record_of((2.0, 2.1, 2.2))
    case = record.cases[0]
    absent = VersionRecord("trio", (), (), 0, 0, 0, "trio is not installed")
    refuse_unsteady(
        lesson_with(),
        replace(record, cases=(replace(case, versions=(*case.versions, absent)),)),
    )


def test_nothing_is_recorded_without_every_version(
    lesson_with: LessonWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = LESSON_TOML.replace(
        'asyncio" = "rebuilt.py::total', 'asyncio" = "rebuilt.py::total @trio'
    )
    lesson = lesson_with(toml=toml)
    refuse_missing_versions([lesson])
    monkeypatch.setattr(rounds, "find_spec", lambda _: None)
    with pytest.raises(MissingVersionsError, match="but trio is not installed: pip install trio"):
        refuse_missing_versions([lesson])
