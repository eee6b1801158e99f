"""Fault tables: they are complete, and a sample of their cells still comes out as recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from aconcur.compare import load_lessons
from aconcur.compare.lesson import Lesson
from aconcur.compare.record import read_fault_record
from aconcur.lessons.under_fault import FAULTS, observe
from tests.support.states import until_sync

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc"),
]
LESSONS = load_lessons()


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_scenario_is_recorded(lesson: Lesson) -> None:
    scenarios = import_module(f"{lesson.package}.faults").SCENARIOS
    assert set(scenarios) <= set(FAULTS)
    recorded = read_fault_record(lesson.fault_record).rows
    assert {fault: set(row) for fault, row in recorded.items()} == {
        fault: set(row) for fault, row in scenarios.items()
    }


@pytest.mark.parametrize(
    ("item", "version", "fault"),
    [
        (36, "as in the notes", "a timeout"),
        (36, "aconcur", "cancelled twice"),
        (37, "own pool", "Ctrl-C"),
        (38, "aconcur", "one failure"),
        (39, "aconcur", "one failure"),
        (39, "as in the notes", "one failure"),
        (40, "await", "a timeout"),
        (41, "aconcur", "kill -9 of the program"),
        (41, "as in the notes", "kill -9 of the program"),
    ],
)
def test_a_cell_comes_out_as_recorded(item: int, version: str, fault: str) -> None:
    (lesson,) = (lesson for lesson in LESSONS if lesson.item == item)
    recorded = read_fault_record(lesson.fault_record).rows[fault][version]
    seen = observe(f"{lesson.package}.faults", version, fault)
    assert (seen.outcome, seen.left) == (recorded.outcome, recorded.left)


def test_the_toolkit_leaves_nothing_whatever_the_fault() -> None:
    for lesson in LESSONS:
        for fault, row in read_fault_record(lesson.fault_record).rows.items():
            if "aconcur" in row:
                assert row["aconcur"].left == {}, (lesson.item, fault)
                assert row["aconcur"].outcome != "runs on", (lesson.item, fault)


def test_a_command_shows_one_cell_and_a_wrong_one_lists_them() -> None:
    module = "aconcur.lessons.item38_lock.faults"
    command = [sys.executable, "-m", module]
    done = subprocess.run([*command, "asyncio", "a timeout"], capture_output=True, text=True)
    assert done.stdout.startswith("asyncio, a timeout: TimeoutError, ")
    wrong = subprocess.run([*command, "asyncio"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert f'python -m {module} "aconcur" "Ctrl-C"' in wrong.stderr


def test_an_observation_leaves_no_process() -> None:
    observe("aconcur.lessons.item36_subprocess.faults", "as in the notes", "a timeout")
    until_sync(lambda: not processes_with("ACONCUR_UNDER_FAULT="))


def processes_with(variable: str) -> list[int]:
    """Return the running processes of this session's parent that have a variable."""
    own = os.environ.get("PYTEST_XDIST_WORKER", "")
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            same_worker = f"PYTEST_XDIST_WORKER={own}".encode() in environment or not own
            if variable.encode() in environment and same_worker:
                found.append(int(folder.name))
    return found
