"""Run a lesson's versions on one input, check that they agree, measure them, and show both.

``aconcur compare`` is made of these functions. A program can use them too::

    for lesson in load_lessons():
        record = await measure(lesson, quick=True)
        for block in describe(lesson, record):
            print(draw_plain(block, 80))

The modules, from the bottom up: ``model`` holds plain data and ``figures`` the rule for claims.
``excerpt``, ``measured`` and ``lesson`` read a lesson. ``rounds`` (with ``probe`` in the child
processes) and ``faults`` run it into a ``record``. ``fit`` and ``machine`` decide whether a record
may be kept. ``document`` turns lesson and record into blocks, and ``plain``, ``colour`` and
``markdown`` (with ``picture`` and ``lookup``) draw them.
"""

__all__ = (
    "Case",
    "CaseRecord",
    "DisagreementError",
    "FaultRecord",
    "Lesson",
    "LessonError",
    "MeasurementStep",
    "Record",
    "RecordError",
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
    "verdict",
)

import os as _os

from aconcur.errors import UnsupportedPlatformError as _UnsupportedPlatformError

if not hasattr(_os, "killpg"):
    raise _UnsupportedPlatformError("aconcur.compare", "POSIX resource usage and process groups")

from aconcur.compare.document import describe as describe
from aconcur.compare.document import verdict as verdict
from aconcur.compare.lesson import Lesson as Lesson
from aconcur.compare.lesson import LessonError as LessonError
from aconcur.compare.lesson import UnknownItemError as UnknownItemError
from aconcur.compare.lesson import find_lessons as find_lessons
from aconcur.compare.lesson import load_lesson as load_lesson
from aconcur.compare.lesson import load_lessons as load_lessons
from aconcur.compare.model import Case as Case
from aconcur.compare.model import Table as Table
from aconcur.compare.plain import draw as draw_plain
from aconcur.compare.record import CaseRecord as CaseRecord
from aconcur.compare.record import FaultRecord as FaultRecord
from aconcur.compare.record import Record as Record
from aconcur.compare.record import RecordError as RecordError
from aconcur.compare.record import TableRecord as TableRecord
from aconcur.compare.record import VersionRecord as VersionRecord
from aconcur.compare.rounds import DisagreementError as DisagreementError
from aconcur.compare.rounds import MeasurementStep as MeasurementStep
from aconcur.compare.rounds import VersionFailedError as VersionFailedError
from aconcur.compare.rounds import measure as measure
