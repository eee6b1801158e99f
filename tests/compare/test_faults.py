"""The fault table of a lesson: what is run, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aconcur.compare import faults
from aconcur.compare.faults import run_faults
from aconcur.compare.lesson import Lesson
from aconcur.compare.record import read_fault_record, write_fault_record
from aconcur.errors import UnsupportedPlatformError
from aconcur.lessons.under_fault import Observation

LessonWith = Callable[..., Lesson]
FAULTS = """\
import sys, threading, time
from aconcur.lessons.under_fault import arrivals, arrive, begin, during, main


def fails():
    begin()
    raise ConnectionError


def waits():
    arrive()
    time.sleep(30)


def leaves_a_thread():
    begin()
    threading.Thread(target=time.sleep, args=(3,)).start()


def leaves_a_thread_that_ends():
    begin()
    threading.Thread(target=time.sleep, args=(0.2,)).start()


SCENARIOS = {
    "a slow stage": {"threads": leaves_a_thread_that_ends},
    "a timeout": {"threads": leaves_a_thread},
    "one failure": {"threads": fails},
    "Ctrl-C": {"threads": during(arrivals(1), waits)},
}

if __name__ == "__main__":
    main("lesson_under_test.faults", SCENARIOS)
"""


@pytest.fixture
def lesson(lesson_with: LessonWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lesson:
    made = lesson_with()
    (made.folder / "faults.py").write_text(FAULTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "lesson_under_test.faults", raising=False)
    monkeypatch.delitem(__import__("sys").modules, "lesson_under_test", raising=False)
    return made


def test_each_scenario_runs_and_is_kept(lesson: Lesson) -> None:
    steps: list[str] = []
    record = run_faults(lesson, steps.append)
    assert record is not None
    assert [step.partition(": ")[2] for step in steps] == [
        "Ctrl-C",
        "one failure",
        "a timeout",
        "a slow stage",
    ]
    seen = {fault: row["threads"] for fault, row in record.rows.items()}
    assert (seen["Ctrl-C"].outcome, seen["Ctrl-C"].left) == ("KeyboardInterrupt", {})
    assert (seen["one failure"].outcome, seen["one failure"].left) == ("ConnectionError", {})
    assert (seen["a timeout"].outcome, seen["a timeout"].left) == ("returned", {"threads": 1})
    assert seen["a slow stage"].left == {}, "what ends by itself is not left"
    assert all(0 <= one.seconds < 5 and one.peak > 1000 for one in seen.values())
    write_fault_record(lesson.fault_record, record)
    assert read_fault_record(lesson.fault_record) == record


def test_a_lesson_without_faults_has_no_table(lesson_with: LessonWith) -> None:
    assert run_faults(lesson_with()) is None


def test_only_linux_has_a_fault_table(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "Path", lambda _: Path("/nowhere"))
    with pytest.raises(UnsupportedPlatformError, match="fault table"):
        run_faults(lesson)


def test_an_observation_reads_as_a_cell() -> None:
    left = {"children": 1, "threads": 2}
    assert str(Observation("returned", 0.26, {}, 0)) == "returned, 0.3 s, nothing left"
    assert (
        str(Observation("runs on", 5.0, left, 0)) == "runs on, after 8 s, 1 child, 2 threads left"
    )
