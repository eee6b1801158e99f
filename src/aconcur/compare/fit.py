"""What is fit to be recorded: refuse figures that would contradict each other on the page."""

from __future__ import annotations

__all__ = ("MissingVersionsError", "UnsteadyError", "refuse_missing_versions", "refuse_unsteady")

from collections.abc import Iterable, Iterator

from aconcur.compare.figures import ratios, spread
from aconcur.compare.lesson import Lesson
from aconcur.compare.record import CaseRecord, Record
from aconcur.compare.rounds import absences
from aconcur.errors import AconcurError

# A guess: five rounds make a narrow middle half, and a page shows no smaller difference.
SLACK = 0.02


class MissingVersionsError(AconcurError):
    """Raised when a recording would lose the rows of versions that are not installed here."""

    def __init__(self, absent: Iterable[str]) -> None:
        super().__init__(f"a record holds every version, but {'; '.join(absent)}")


class UnsteadyError(AconcurError):
    """Raised when the machine changed its speed while a case was measured."""

    def __init__(self, lesson: Lesson, cases: Iterable[str]) -> None:
        super().__init__(
            f"the machine changed its speed during {', '.join(cases)}: the ratio of the medians is "
            "not within the middle half of the rounds' ratios; the record stays as it was: run "
            f"'aconcur compare {lesson.item} --record' again"
        )


def refuse_missing_versions(lessons: Iterable[Lesson]) -> None:
    """Return if every version of the lessons can run here.

    Raises:
        MissingVersionsError: names what is not installed.
    """
    if absent := sorted({why for lesson in lessons for why in absences(lesson)}):
        raise MissingVersionsError(absent)


def refuse_unsteady(lesson: Lesson, record: Record) -> None:
    """Return if the medians of each case tell the same as its speeds do.

    A page shows both. They part when the machine changes its speed between two rounds, as the
    median round of one version is then another round than that of the other.

    Raises:
        UnsteadyError: names each case and version.
    """
    if unsteady := [one for case in record.cases for one in _unsteady(case)]:
        raise UnsteadyError(lesson, unsteady)


def _unsteady(case: CaseRecord) -> Iterator[str]:
    baseline, *others = (version for version in case.versions if not version.absent)
    for other in others:
        speed = ratios(baseline.wall, other.wall)
        of_medians = spread(baseline.wall).middle / spread(other.wall).middle
        if not speed.low * (1 - SLACK) <= of_medians <= speed.high * (1 + SLACK):
            yield f"case {case.id!r} ({other.label})"
