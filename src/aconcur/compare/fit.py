"""Conditions for recording: every version is installed, and the machine was steady."""

from __future__ import annotations

__all__ = ("MissingVersionsError", "UnsteadyError", "refuse_missing_versions", "refuse_unsteady")

from collections.abc import Iterable

from aconcur.compare.figures import spread
from aconcur.compare.lesson import Lesson
from aconcur.compare.record import Record
from aconcur.compare.rounds import absences
from aconcur.errors import AconcurError

# A guess: on an idle machine the quartiles of the baselines lie 2 to 12 % apart.
STEADY = 0.25


class MissingVersionsError(AconcurError):
    """Raised when a recording would lose the rows of versions that are not installed here."""

    def __init__(self, absent: Iterable[str]) -> None:
        super().__init__(f"a record holds every version, but {'; '.join(absent)}")


class UnsteadyError(AconcurError):
    """Raised when a baseline's own times differ too much between the rounds."""

    def __init__(self, lesson: Lesson, cases: Iterable[str]) -> None:
        super().__init__(
            f"the machine was not steady: {', '.join(cases)} (at most {STEADY:.0%} is recorded); "
            f"the record is unchanged: run 'aconcur compare {lesson.item} --record' again"
        )


def refuse_missing_versions(lessons: Iterable[Lesson]) -> None:
    """Return if every version of the lessons can run here.

    Raises:
        MissingVersionsError: names what is not installed.
    """
    if absent := sorted({why for lesson in lessons for why in absences(lesson)}):
        raise MissingVersionsError(absent)


def refuse_unsteady(lesson: Lesson, record: Record) -> None:
    """Return if the baseline of each case took about as long in every round.

    Raises:
        UnsteadyError: names each case whose baseline's quartiles lie too far apart.
    """
    unsteady = []
    for case in record.cases:
        times = spread(case.versions[0].wall)
        wide = (times.high - times.low) / times.middle
        if wide > STEADY:
            unsteady.append(f"the quartiles of {case.id!r} lie {wide:.0%} of the median apart")
    if unsteady:
        raise UnsteadyError(lesson, unsteady)
