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
from tests.support.extras import skip_without
from tests.support.lesson import LESSON_TOML

LessonWith = Callable[..., Lesson]


def record_of(*walls: tuple[float, ...]) -> Record:
    versions = tuple(
        VersionRecord(f"v{number}", wall, wall, 0, 0, 0) for number, wall in enumerate(walls)
    )
    return Record({}, {}, (CaseRecord("add", 5, "15", versions),), ())


def test_a_steady_machine_may_be_recorded(lesson_with: LessonWith) -> None:
    refuse_unsteady(lesson_with(), record_of((2.0, 2.1, 2.2), (1.0, 9.0, 1.1)))


def test_a_baseline_that_varies_between_rounds_is_refused(lesson_with: LessonWith) -> None:
    # The serial rounds of a record that claimed differences between them.
    walls = (438.2, 442.02, 449.28, 648.87, 660.66)
    pattern = r"not steady: the quartiles of 'add' lie 46% .* 99 --record' again"
    with pytest.raises(UnsteadyError, match=pattern):
        refuse_unsteady(lesson_with(), record_of(walls, walls))


def test_a_version_that_did_not_run_contradicts_nothing(lesson_with: LessonWith) -> None:
    record = record_of((2.0, 2.1, 2.2))
    case = record.cases[0]
    absent = VersionRecord("trio", (), (), 0, 0, 0, "trio is not installed")
    refuse_unsteady(
        lesson_with(),
        replace(record, cases=(replace(case, versions=(*case.versions, absent)),)),
    )


@skip_without("trio", "uvloop")
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
