"""Measuring: what is run, what is compared, and what is left when it goes wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from aconcur.compare import rounds
from aconcur.compare.lesson import Lesson
from aconcur.compare.rounds import DisagreementError, MeasurementStep, VersionFailedError, measure
from aconcur.errors import MissingRequirementError
from tests.support.backends import BACKENDS
from tests.support.lesson import GROWTH_TOML, LESSON_TOML, SOURCES, TABLE_TOML
from tests.support.states import until

LessonWith = Callable[..., Lesson]
# For what is counted or compared in the processes of the versions, which have loops of their own,
# whatever loop measures them.
on_one_loop = pytest.mark.parametrize(
    "anyio_backend", [BACKENDS["asyncio"]], ids=["asyncio"], indirect=True
)


async def test_every_version_runs_every_round_on_one_input(lesson_with: LessonWith) -> None:
    record = await measure(lesson_with(toml=LESSON_TOML + TABLE_TOML), seed=3)
    case = record.case("add")
    assert case.size == 50
    assert case.answer == str(sum(3 + i for i in range(50)))
    assert {v.label: len(v.wall) for v in case.versions} == {"threads": 4, "asyncio": 4}
    assert all(seconds > 0 for v in case.versions for seconds in v.wall)
    assert [(v.threads, v.children) for v in case.versions] == [(1, 0), (0, 0)]
    assert record.table("steps").rows["first"] == {"µs": (2.0,) * 3, "KiB": (3,) * 3}


@on_one_loop
async def test_quick_is_smaller_has_two_rounds_and_no_growth(lesson_with: LessonWith) -> None:
    record = await measure(lesson_with(toml=LESSON_TOML + GROWTH_TOML), quick=True)
    assert record.growth == ()
    assert record.case("add").size == 5
    assert {len(v.wall) for v in record.case("add").versions} == {2}


@on_one_loop
async def test_a_growth_measures_every_size(lesson_with: LessonWith) -> None:
    steps: list[MeasurementStep] = []
    lesson = lesson_with(toml=LESSON_TOML + GROWTH_TOML)
    record = await measure(lesson, on_step=steps.append)
    grown = [(case.size, len(case.versions[0].wall)) for case in record.growth]
    assert grown == [(10, 2), (100, 2)]
    assert [step.done for step in steps] == list(range(steps[0].total))
    first, second = (case.answer for case in record.growth)
    assert first != second


@on_one_loop
async def test_a_quick_page_leaves_out_all_that_it_does_not_show(lesson_with: LessonWith) -> None:
    second = LESSON_TOML[LESSON_TOML.index("[[case]]") :].replace('"add"', '"again"')
    lesson = lesson_with(toml=LESSON_TOML + second + TABLE_TOML)
    steps: list[MeasurementStep] = []
    quick = await measure(lesson, quick=True, page_only=True, on_step=steps.append)
    assert ([case.id for case in quick.cases], quick.tables) == (["add"], ())
    assert len(steps) == steps[0].total
    whole = await measure(lesson, page_only=True)
    assert ([case.id for case in whole.cases], whole.tables) == (["add", "again"], ())


@on_one_loop
async def test_steps_count_every_run_and_begin_each_round_elsewhere(
    lesson_with: LessonWith,
) -> None:
    steps: list[MeasurementStep] = []
    await measure(lesson_with(), quick=True, on_step=steps.append)
    assert [step.done for step in steps] == list(range(steps[0].total))
    first_of_round = [step.running for step in steps[::2]]
    assert first_of_round == ["add: threads", "add: asyncio", "add: threads"]


@on_one_loop
async def test_children_are_counted(lesson_with: LessonWith) -> None:
    original = """\
import multiprocessing
import subprocess


def total(numbers):
    subprocess.run(["true"])
    child = multiprocessing.get_context("spawn").Process(target=int)
    child.start()
    child.join()
    return sum(numbers)
"""
    record = await measure(lesson_with(original=original), quick=True)
    assert [v.children for v in record.case("add").versions] == [2, 0]


@on_one_loop
async def test_what_a_loop_starts_once_is_not_the_version_s(lesson_with: LessonWith) -> None:
    # trio looks for a library when it is imported, and that starts ldconfig.
    toml = LESSON_TOML.replace(
        'asyncio" = "rebuilt.py::total', 'asyncio" = "rebuilt.py::total @trio'
    )
    rebuilt = "async def total(numbers):\n    return sum(numbers)\n"
    record = await measure(lesson_with(toml=toml, rebuilt=rebuilt), quick=True)
    assert [v.children for v in record.case("add").versions] == [0, 0]


async def test_time_and_cpu_are_those_of_the_run_and_of_its_children(
    lesson_with: LessonWith,
) -> None:
    original = """\
import subprocess
import sys

BURN = "import time\\nwhile time.process_time() < 0.2: pass"


def total(numbers):
    subprocess.run([sys.executable, "-IS", "-c", BURN])
    return sum(numbers)
"""
    rebuilt = """\
import asyncio


async def total(numbers):
    await asyncio.sleep(0.2)
    return sum(numbers)
"""
    record = await measure(lesson_with(original=original, rebuilt=rebuilt), quick=True)
    burning, sleeping = record.case("add").versions
    assert min(burning.wall) >= 0.2
    assert min(burning.cpu) >= 0.2
    assert min(sleeping.wall) >= 0.2
    assert max(sleeping.cpu) < 0.2


@on_one_loop
async def test_memory_is_the_peak_of_the_first_run(lesson_with: LessonWith) -> None:
    rebuilt = """\
async def total(numbers):
    len(b"x" * (40 << 20))
    return sum(numbers)
"""
    record = await measure(lesson_with(rebuilt=rebuilt), quick=True)
    threads, tasks = record.case("add").versions
    assert tasks.memory - threads.memory > 30 << 20


@on_one_loop
async def test_a_disagreement_names_both_answers(lesson_with: LessonWith) -> None:
    lesson = lesson_with(rebuilt=SOURCES["rebuilt.py"].replace("sum(numbers)", "-sum(numbers)"))
    with pytest.raises(DisagreementError, match=r"threads \(run 0\) answers 10; asyncio .* -10"):
        await measure(lesson, quick=True, seed=0)


@on_one_loop
async def test_one_version_that_answers_differently_from_run_to_run_is_found(
    lesson_with: LessonWith,
) -> None:
    rebuilt = """\
runs = 0
async def total(numbers):
    global runs
    runs += 1
    return sum(numbers) + runs // 3
"""
    with pytest.raises(DisagreementError, match=r"asyncio \(run 2\) answers"):
        await measure(lesson_with(rebuilt=rebuilt), quick=True)


async def test_a_version_that_raises_is_named(lesson_with: LessonWith) -> None:
    rebuilt = "async def total(numbers):\n    raise LookupError('no numbers')"
    with pytest.raises(VersionFailedError, match="item 99 asyncio failed: LookupError: no numbers"):
        await measure(lesson_with(rebuilt=rebuilt), quick=True)


async def test_a_version_that_dies_is_named_with_its_last_words(lesson_with: LessonWith) -> None:
    rebuilt = """\
import os, sys
async def total(numbers):
    print("the floor gave way", file=sys.stderr, flush=True)
    os._exit(3)
"""
    with pytest.raises(VersionFailedError, match="item 99 asyncio failed: the floor gave way"):
        await measure(lesson_with(rebuilt=rebuilt), quick=True)


DYING = """\
import os, pathlib, sys, threading, time
HERE = pathlib.Path(__file__).parent

def die():
    while not (HERE / "die").exists():
        time.sleep(0.005)
    print("the floor gave way", file=sys.stderr, flush=True)
    os._exit(3)

async def total(numbers):
    if not (HERE / "pid").exists():
        (HERE / "pid").write_text(str(os.getpid()))
        threading.Thread(target=die, daemon=True).start()
    return sum(numbers)
"""
KILLING = """\
import pathlib, time
HERE = pathlib.Path(__file__).parent

def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

def total(numbers):
    if (HERE / "pid").exists():
        (HERE / "die").touch()
        while is_running((HERE / "pid").read_text()):
            time.sleep(0.005)
    return sum(numbers)
"""


async def test_a_version_that_dies_between_its_turns_is_named(lesson_with: LessonWith) -> None:
    lesson = lesson_with(original=KILLING, rebuilt=DYING)
    with pytest.raises(VersionFailedError, match="item 99 asyncio failed: the floor gave way"):
        await measure(lesson, quick=True)


HANGING = """\
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
PATIENT = '''
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.write("ready")
sys.stdout.flush()
time.sleep(600)
'''


async def total(numbers):
    child = subprocess.Popen([sys.executable, "-c", PATIENT], stdout=subprocess.PIPE)
    child.stdout.read(5)
    (HERE / "pids").write_text(f"{child.pid}")
    time.sleep(600)
"""


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def _until_gone(pid: int) -> None:
    with anyio.fail_after(30):
        while _is_running(pid):
            await anyio.sleep(0.01)


async def _until_written(path: Path) -> int:
    await until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


async def test_a_version_that_hangs_is_ended_with_its_children(
    lesson_with: LessonWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "LONGEST_RUN", 2.0)
    monkeypatch.setattr(rounds, "GRACE", 0.3)
    lesson = lesson_with(rebuilt=HANGING)
    with pytest.raises(VersionFailedError, match="item 99 asyncio failed: no answer in 2 s"):
        await measure(lesson, quick=True)
    await _until_gone(int((lesson.folder / "pids").read_text()))


async def test_cancelled_in_the_middle_it_leaves_nothing(
    lesson_with: LessonWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "GRACE", 0.3)
    lesson = lesson_with(rebuilt=HANGING)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(measure, lesson)
        grandchild = await _until_written(lesson.folder / "pids")
        tasks.cancel_scope.cancel()
    await _until_gone(grandchild)


async def test_a_backend_that_is_not_installed_is_said_not_run(
    lesson_with: LessonWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "find_spec", lambda _: None)
    toml = LESSON_TOML.replace(
        'asyncio" = "rebuilt.py::total', 'asyncio" = "rebuilt.py::total @trio'
    )
    record = await measure(lesson_with(toml=toml), quick=True)
    absent = record.case("add").versions[1]
    assert (absent.absent, absent.wall) == ("trio is not installed: pip install trio", ())


async def test_without_its_baseline_nothing_is_measured(
    lesson_with: LessonWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson = lesson_with()
    versions = {"trio": "rebuilt.py::total @trio", "asyncio": "rebuilt.py::total"}
    lesson = replace(lesson, cases=(replace(lesson.cases[0], versions=versions),))
    monkeypatch.setattr(rounds, "find_spec", lambda _: None)
    with pytest.raises(MissingRequirementError, match="module trio was not found: pip install"):
        await measure(lesson, quick=True)


@on_one_loop
@pytest.mark.parametrize("backend", ["trio", "uvloop"])
async def test_a_version_may_ask_for_another_loop(lesson_with: LessonWith, backend: str) -> None:
    rebuilt = """\
import asyncio, sys
async def total(numbers):
    try:
        loop = type(asyncio.get_running_loop()).__module__
    except RuntimeError:
        loop = "trio"
    if loop.split(".")[0] != BACKEND:
        raise RuntimeError(loop)
    return sum(numbers)
""".replace("BACKEND", repr(backend))
    toml = LESSON_TOML.replace(
        'asyncio" = "rebuilt.py::total', f'asyncio" = "rebuilt.py::total @{backend}'
    )
    record = await measure(lesson_with(toml=toml, rebuilt=rebuilt), quick=True)
    assert len(record.case("add").versions[1].wall) == 2


async def test_what_a_lesson_needs_is_checked_before_it_runs(
    lesson_with: LessonWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson = lesson_with(toml=LESSON_TOML + '\n[needs]\ncommands = ["openssl", "md5sum|md5"]\n')
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(MissingRequirementError, match="program openssl was not found: install"):
        await measure(lesson)
