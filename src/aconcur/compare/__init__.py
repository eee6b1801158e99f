"""Run a lesson's versions on one input, check that they agree, measure them, and show both.

The command ``aconcur compare`` is made of these; so can a program be::

    for lesson in load_lessons():
        record = await measure(lesson, quick=True)
        for block in describe(lesson, record):
            print(draw_plain(block, 80))
"""

__all__ = (
    "Case",
    "CaseRecord",
    "DisagreementError",
    "Lesson",
    "LessonError",
    "Record",
    "RecordError",
    "Step",
    "Table",
    "TableRecord",
    "UnknownItemError",
    "VersionFailedError",
    "VersionRecord",
    "describe",
    "draw_plain",
    "find_lessons",
    "load_lesson",
    "load_lessons",
    "measure",
)

from aconcur.compare.document import describe as describe
from aconcur.compare.lesson import Case as Case
from aconcur.compare.lesson import Lesson as Lesson
from aconcur.compare.lesson import LessonError as LessonError
from aconcur.compare.lesson import Table as Table
from aconcur.compare.lesson import UnknownItemError as UnknownItemError
from aconcur.compare.lesson import find_lessons as find_lessons
from aconcur.compare.lesson import load_lesson as load_lesson
from aconcur.compare.lesson import load_lessons as load_lessons
from aconcur.compare.plain import draw as draw_plain
from aconcur.compare.record import CaseRecord as CaseRecord
from aconcur.compare.record import Record as Record
from aconcur.compare.record import RecordError as RecordError
from aconcur.compare.record import TableRecord as TableRecord
from aconcur.compare.record import VersionRecord as VersionRecord
from aconcur.compare.rounds import DisagreementError as DisagreementError
from aconcur.compare.rounds import Step as Step
from aconcur.compare.rounds import VersionFailedError as VersionFailedError
from aconcur.compare.rounds import measure as measure
