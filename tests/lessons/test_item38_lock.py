"""Item 38: what an unlocked counter loses, a locked one keeps, whoever shares it."""

from __future__ import annotations

import asyncio
import dis
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aconcur.compare.lesson import load_lesson
from aconcur.lessons.item38_lock import luck, original, rebuilt, toolkit, versions, work
from aconcur.lessons.item38_lock.work import Reading
from aconcur.lock import Counter
from tests.support.extras import skip_without
from tests.support.programs import started

LESSON = "item38_lock"
VERSIONS = ["original", "rebuilt", "toolkit"]
Call: TypeAlias = Callable[..., Awaitable[Any]]

# Threads that nothing ends cannot be left behind by an exception: only the process can end.
ends_threads = pytest.mark.timeout(60, method="thread")


@pytest.fixture(autouse=True)
def anyio_threads_end() -> Iterator[None]:
    """Wait for threads that anyio tells to end with the loop, before they count as leaked."""
    yield
    for thread in threading.enumerate():
        if thread.name == "AnyIO worker thread":
            thread.join(30)


# --- what every version does ---


@pytest.mark.entry("without_lock", "without_lock_checked")
@pytest.mark.parametrize("workers", range(1, 9))
async def test_without_a_lock_all_updates_but_one_are_lost_every_time(
    call: Call, workers: int
) -> None:
    assert [await call(workers) for _ in range(20)] == [1] * 20


@ends_threads
@pytest.mark.entry("with_lock", "no_lock_needed")
@pytest.mark.parametrize("workers", range(1, 9))
async def test_the_same_attack_on_a_locked_counter_loses_nothing(call: Call, workers: int) -> None:
    assert [await call(workers) for _ in range(3)] == [workers] * 3


@pytest.mark.entry("count_many", "count_many_read_first")
@pytest.mark.parametrize(("workers", "times"), [(1, 0), (1, 1), (3, 0), (2, 50), (8, 40), (40, 5)])
async def test_contention_loses_nothing(call: Call, workers: int, times: int) -> None:
    assert await call(workers, times) == workers * times


@pytest.mark.entry("count_alone", "count_alone_unlocked")
@pytest.mark.parametrize("times", [0, 1, 1000])
async def test_one_worker_counts_all(call: Call, times: int) -> None:
    assert await call(times) == times


@pytest.mark.entry(
    "without_lock", "without_lock_checked", "with_lock", "no_lock_needed", "threads_and_tasks"
)
@pytest.mark.parametrize("workers", [0, -1])
async def test_no_workers_is_an_error_that_names_the_number(call: Call, workers: int) -> None:
    with pytest.raises(ValueError, match=f"workers must be at least 1, not {workers}"):
        await call(workers)


@pytest.mark.entry("count_many", "count_many_read_first")
async def test_no_workers_to_count_much_is_an_error_too(call: Call) -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        await call(0, 5)


# --- work.py ---


@given(st.integers(), st.integers())
def test_a_reading_pauses_once_as_it_is_added_and_is_a_number_otherwise(a: int, b: int) -> None:
    pauses: list[str] = []
    reading = Reading(b, lambda: pauses.append("pause"))
    assert reading == b
    assert pauses == []
    total = a + reading
    assert total == a + b
    assert type(total) is int
    assert pauses == ["pause"]


def test_a_reading_pauses_between_the_read_and_the_write() -> None:
    counter = original.Counter()

    def somebody_else() -> None:
        counter.count = 100

    counter.increment(Reading(1, somebody_else))
    assert counter.count == 1


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("one_update_each", (7,)),
        ("many_updates_each", (work.WORKERS, 7)),
        ("updates_alone", (7,)),
    ],
)
def test_inputs_are_the_arguments(name: str, args: tuple[int, ...]) -> None:
    with getattr(work, name)(7, seed=1) as given_args:
        assert given_args == args


# --- threads ---


class Door:
    """Counts who is inside; keeps each there until ``expected`` are, or some time has passed."""

    def __init__(self, expected: int, patience: float | None) -> None:
        self._barrier = threading.Barrier(expected, timeout=patience)
        self._guard = threading.Lock()
        self.inside, self.most = 0, 0

    def pass_through(self) -> None:
        with self._guard:
            self.inside += 1
            self.most = max(self.most, self.inside)
        original.meet(self._barrier)
        with self._guard:
            self.inside -= 1

    def call_off(self) -> None:
        self._barrier.abort()


@pytest.mark.parametrize(
    ("kind", "patience", "most", "count"),
    [(original.Counter, None, 4, 1), (original.LockingCounter, 0.02, 1, 4)],
)
def test_a_lock_lets_one_thread_in_and_no_lock_lets_in_all(
    kind: type[original.Counter | original.LockingCounter],
    patience: float | None,
    most: int,
    count: int,
) -> None:
    door = Door(4, patience)
    samples = [[Reading(1, door.pass_through)]] * 4
    assert original.race(kind(), samples, door.call_off) == count
    assert door.most == most


class BrokenSensorError(Exception):
    """An error of the test's own."""


def fail() -> None:
    raise BrokenSensorError


def test_an_error_inside_the_lock_adds_nothing_and_frees_the_lock() -> None:
    counter = original.LockingCounter()
    counter.increment(1)
    with pytest.raises(BrokenSensorError):
        counter.increment(Reading(1, fail))
    assert counter.count == 1
    assert not counter.lock.locked()


def test_an_error_in_the_check_stores_nothing() -> None:
    counter = original.CheckedCounter(original.not_negative)
    counter.increment(2)
    with pytest.raises(ValueError, match="a count must not be negative: -1"):
        counter.increment(-3)
    assert counter.count == 2


@ends_threads
def test_an_error_in_one_thread_ends_all_and_reaches_the_caller() -> None:
    all_read = threading.Barrier(3)
    waits = Reading(1, lambda: original.meet(all_read))
    # The third never comes: without the call to stop, two would wait for ever.
    samples = [[waits], [waits], [Reading(1, fail)]]
    with pytest.raises(BrokenSensorError):
        original.race(original.Counter(), samples, all_read.abort)


@ends_threads
def test_an_error_in_one_of_many_threads_stops_endless_work() -> None:
    numbers = iter(range(3))

    def sensor() -> Iterator[int]:
        if next(numbers) == 2:
            yield Reading(1, fail)
        yield from repeat(1)

    with pytest.raises(BrokenSensorError):
        original.hammer(original.LockingCounter(), 3, sensor)


@ends_threads
@pytest.mark.parametrize(
    ("entry", "args"),
    [
        (original.without_lock, (5,)),
        (original.without_lock_checked, (5,)),
        (original.with_lock, (5,)),
        (original.count_many, (5, sys.maxsize)),
        (original.count_many_read_first, (5, sys.maxsize)),
    ],
)
def test_no_more_threads_to_be_had_leaves_none_waiting(
    entry: Callable[..., int], args: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        entry(*args)
    assert len(started) == 2
    assert not any(thread.is_alive() for thread in started)


# --- tasks ---


class Turnstile:
    """A sensor that counts who waits for it and answers when told to."""

    def __init__(self) -> None:
        self.inside, self.most = 0, 0
        self.answer = asyncio.Event()

    async def __call__(self) -> int:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.answer.wait()
        finally:
            self.inside -= 1
        return 1


@pytest.mark.asyncio_only
@pytest.mark.parametrize(
    ("kind", "inside", "count"),
    [
        (rebuilt.Counter, 4, 1),
        (rebuilt.LockingCounter, 1, 4),
        (rebuilt.PlainCounter, 4, 4),
    ],
)
async def test_a_lock_lets_one_task_in_and_a_plain_counter_needs_none(
    kind: type[rebuilt.AnyCounter], inside: int, count: int
) -> None:
    counter, sensor = kind(), Turnstile()
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(counter.increment(sensor))
        await anyio.wait_all_tasks_blocked()
        assert sensor.inside == inside
        sensor.answer.set()
    assert counter.count == count
    assert sensor.most == inside


@pytest.mark.asyncio_only
@pytest.mark.parametrize("kind", [rebuilt.Counter, rebuilt.LockingCounter, rebuilt.PlainCounter])
async def test_an_error_of_the_sensor_adds_nothing_and_blocks_nobody(
    kind: type[rebuilt.AnyCounter],
) -> None:
    def broken() -> Awaitable[int]:
        raise BrokenSensorError

    counter = kind()
    with pytest.raises(BrokenSensorError):
        await counter.increment(broken)
    assert counter.count == 0
    with anyio.fail_after(30):
        await counter.increment(rebuilt.read_sensor)
    assert counter.count == 1


@pytest.mark.asyncio_only
async def test_an_error_in_one_task_ends_all_and_reaches_the_caller() -> None:
    async def broken() -> int:
        await asyncio.sleep(0)
        raise BrokenSensorError

    never = Turnstile()
    counter = rebuilt.Counter()
    with pytest.RaisesGroup(BrokenSensorError):
        await rebuilt.race(counter, [[never], [broken], [never]])
    assert never.inside == 0
    assert counter.count == 0


@pytest.mark.asyncio_only
async def test_a_timeout_while_the_lock_is_held_frees_it_for_who_waits() -> None:
    counter, never = rebuilt.LockingCounter(), Turnstile()
    async with asyncio.TaskGroup() as group:
        holder = group.create_task(counter.increment(never))
        await anyio.wait_all_tasks_blocked()
        assert counter.lock.locked()
        waiter = group.create_task(counter.increment(rebuilt.read_sensor))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await holder
        with anyio.fail_after(30):
            await waiter
    assert counter.count == 1
    assert not counter.lock.locked()


@pytest.mark.asyncio_only
async def test_a_timeout_while_waiting_for_the_lock_takes_nothing() -> None:
    counter, sensor = rebuilt.LockingCounter(), Turnstile()
    async with asyncio.TaskGroup() as group:
        group.create_task(counter.increment(sensor))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await counter.increment(rebuilt.read_sensor)
        sensor.answer.set()
    assert counter.count == 1
    assert not counter.lock.locked()


async def updates_and_cancels(
    kind: type[rebuilt.AnyCounter], tasks: int, cancels: list[tuple[int, int]]
) -> list[bool]:
    """Cancel the victims after so many turns of the loop; return which tasks were cancelled."""
    counter = kind()
    running = [asyncio.create_task(counter.increment(rebuilt.read_sensor)) for _ in range(tasks)]
    for turns, victim in cancels:
        for _ in range(turns):
            await asyncio.sleep(0)
        running[victim % tasks].cancel()
    with anyio.fail_after(30):
        await asyncio.wait(running)
        await counter.increment(rebuilt.read_sensor)
    cancelled = [task.cancelled() for task in running]
    # All or nothing: who was not cancelled has added, who was has not.
    assert counter.count == cancelled.count(False) + 1
    if isinstance(counter, rebuilt.LockingCounter):
        assert not counter.lock.locked()
    return cancelled


@pytest.mark.asyncio_only
@pytest.mark.parametrize("kind", [rebuilt.LockingCounter, rebuilt.PlainCounter])
@pytest.mark.parametrize("victim", range(3))
async def test_a_native_cancel_at_every_await_is_all_or_nothing(
    kind: type[rebuilt.AnyCounter], victim: int
) -> None:
    ended = [await updates_and_cancels(kind, 3, [(turns, victim)]) for turns in range(20)]
    hit = [cancelled[victim] for cancelled in ended]
    # The sweep starts before the first step and ends after the last: it met every await.
    assert hit == sorted(hit, reverse=True)
    assert hit[0]
    assert not hit[-1]
    assert all(cancelled.count(True) <= 1 for cancelled in ended)


@pytest.mark.asyncio_only
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tasks=st.integers(1, 6),
    cancels=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=6),
)
async def test_any_cancels_at_any_time_leave_the_lock_free_and_the_count_right(
    tasks: int, cancels: list[tuple[int, int]]
) -> None:
    await updates_and_cancels(rebuilt.LockingCounter, tasks, cancels)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("entry", [rebuilt.count_many, rebuilt.count_many_read_first])
async def test_a_cancelled_count_ends_its_workers(
    entry: Callable[[int, int], Awaitable[int]],
) -> None:
    # The suite's check for tasks left behind makes the claim.
    with anyio.fail_after(30), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await entry(5, sys.maxsize)


def test_threads_come_in_between_where_tasks_do_not() -> None:
    """The limit that PlainCounter names: a loop in each thread, one counter for all."""
    counter = rebuilt.PlainCounter()
    all_read = threading.Barrier(4)

    async def sensor() -> int:
        await asyncio.sleep(0)
        return Reading(1, lambda: original.meet(all_read))

    def thread() -> None:
        asyncio.run(counter.increment(sensor))

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert counter.count == 1


# --- the toolkit ---


@pytest.mark.entry("threads_and_tasks")
@pytest.mark.parametrize("workers", [1, 2, 8])
async def test_threads_and_tasks_lose_nothing_together(call: Call, workers: int) -> None:
    assert await call(workers) == 2 * workers


async def test_a_guarded_count_is_all_or_nothing_when_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(toolkit, "read_sensor", anyio.sleep_forever)
    counter = Counter()
    async with anyio.create_task_group() as group:
        for step in (toolkit.count_inside, toolkit.count_inside, toolkit.count_first):
            group.start_soon(step, counter)
        await anyio.wait_all_tasks_blocked()
        assert counter.statistics().waiting == 1
        group.cancel_scope.cancel()
    assert counter.count == 0
    assert counter.statistics().holder is None


# --- by version of Python ---


def test_only_a_lock_is_sure_to_lose_nothing_and_an_await_loses_all_turns_but_one() -> None:
    assert luck.threads(luck.Locking(), 2000) == 0
    assert luck.tasks(luck.Plain(), 50) == 80


@pytest.mark.parametrize("kind", [luck.Plain, luck.Property, luck.ByName])
def test_luck_loses_something_between_nothing_and_all(
    kind: type[luck.Plain | luck.Property],
) -> None:
    assert 0 <= luck.threads(kind(), 1000) < 100
    counter = kind()
    counter.increment()
    assert counter.count == 1


@pytest.mark.skipif(
    sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="what CPython's GIL does",
)
def test_a_plain_count_is_read_and_written_without_a_place_to_switch() -> None:
    """Calls and backward jumps are the places; a property adds the calls in its own code."""
    names = [one.opname for one in dis.get_instructions(luck.Plain.increment)]
    middle = names[names.index("LOAD_ATTR") : names.index("STORE_ATTR")]
    assert not [name for name in middle if "CALL" in name or "JUMP_BACKWARD" in name]
    named = [one.opname for one in dis.get_instructions(luck.ByName.increment)]
    assert len([name for name in named if name == "CALL"]) == 2


def test_every_interpreter_that_answers_has_one_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(
        versions.MORE, os.pathsep.join([str(broken), "", "absent", sys.executable, sys.executable])
    )
    assert list(versions.interpreters()) == [sys.executable, str(broken), *[sys.executable] * 2]
    rows = versions.lost(100, 1)
    assert list(rows) == ["Python " + sys.version.split()[0]]
    lesson = load_lesson(Path(versions.__file__).parent, versions.__package__ or "")
    (columns,) = [table.columns for table in lesson.tables]
    assert tuple(*map(tuple, rows.values())) == columns


def test_interpreters_on_the_path_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(versions.MORE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    there = tmp_path / "python3.9"
    there.symlink_to(sys.executable)
    assert list(versions.interpreters()) == [sys.executable, str(there)]


# --- run alone ---


def command(version: str, *args: str) -> list[str]:
    return [sys.executable, "-m", f"aconcur.lessons.{LESSON}.{version}", *args]


def run(version: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(version, *args), capture_output=True, text=True, timeout=50, check=False
    )


@pytest.mark.parametrize(
    ("version", "lost", "kept"),
    [
        ("original", ["no lock", "no lock, checked count"], ["threading.Lock"]),
        ("rebuilt", ["await inside +="], ["asyncio.Lock", "await before +="]),
    ],
)
def test_alone_it_shows_what_is_lost_and_what_is_kept(
    version: str, lost: list[str], kept: list[str]
) -> None:
    done = run(version, "--size", "3")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *lines = done.stdout.splitlines()
    assert heading.endswith("and all read before anyone writes:")
    assert lines[: len(lost) + len(kept)] == [
        *(work.line(what, 1, work.WORKERS) for what in lost),
        *(work.line(what, work.WORKERS, work.WORKERS) for what in kept),
    ]
    assert work.line(kept[0], 3 * work.WORKERS, 3 * work.WORKERS) in done.stdout


@skip_without("trio")
def test_alone_the_toolkit_counts_on_every_loop() -> None:
    done = run("toolkit", "--size", "3")
    assert (done.returncode, done.stderr) == (0, "")
    counted = {"await inside the cell": 15, "await, then increment": 15, "threads and tasks": 10}
    assert done.stdout.splitlines() == [
        said
        for loop in ("asyncio", "trio")
        for said in (
            f"{work.WORKERS} tasks add 1 3 times each, {loop}:",
            *(work.line(what, count, count) for what, count in counted.items()),
        )
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_alone_it_takes_help(version: str) -> None:
    done = run(version, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Rule: " in done.stdout
    assert "--size N" in done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", ["0", "many"])
def test_alone_it_refuses_a_wrong_size(version: str, size: str) -> None:
    done = run(version, "--size", size)
    assert done.returncode == 2
    assert f"argument --size: must be a whole number from 1 up, not '{size}'" in done.stderr


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("whom", ["group", "parent"])
def test_alone_it_ends_at_ctrl_c(version: str, whom: str) -> None:
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    with started(*command(version, "--size", str(10**12)), env=unbuffered) as child:
        assert child.stdout
        # The second heading: its work would take hours.
        while f"add 1 {10**12} times each" not in child.stdout.readline():
            assert child.poll() is None
        if whom == "group":
            os.killpg(child.pid, signal.SIGINT)
        else:
            os.kill(child.pid, signal.SIGINT)
        _, error = child.communicate(timeout=50)
    assert child.returncode == 130
    assert error.splitlines() == [f"python -m aconcur.lessons.{LESSON}.{version}: interrupted"]


@pytest.mark.parametrize("version", VERSIONS)
def test_alone_it_ends_quietly_when_its_reader_has_gone(version: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command(version, "--size", "3"),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=50,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
