"""What a schedule ran, line by line, of the user's code alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.testing import Exploration, Step, explore, replay
from aconcur.testing._explore.api import Backend
from aconcur.testing._explore.trace import Recorder, busiest, show

FIRST = f'"""{__doc__}"""'

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def step(task: str, line: int, *, deviates: bool = False) -> Step:
    return Step(task, __file__, line, "f", 3, deviates)


def test_lines_are_aligned_and_a_task_is_named_once() -> None:
    steps = [step("main", 1), step("main", 3), step("worker#1", 5, deviates=True)]
    assert list(show(steps)) == [
        f"  main      test_trace.py:1  {FIRST}",
        "            test_trace.py:3  from __future__ import annotations",
        "> worker#1  test_trace.py:5  import json",
    ]
    assert list(show([])) == []


def test_the_busiest_comes_first_and_the_distant_past_does_not_count() -> None:
    steps = [step("old", 1)] * 1000 + [step("a", 1)] * 100 + [step("b", 2)] * 200
    assert busiest(steps) == ("b at test_trace.py:2 in f", "a at test_trace.py:1 in f")


def test_the_trace_function_is_put_back() -> None:
    def mine(*_: object) -> None: ...

    before = sys.gettrace()
    sys.settrace(mine)
    try:
        with Recorder().recording():
            assert sys.gettrace() is not mine
        assert sys.gettrace() is mine
        with pytest.raises(LookupError), Recorder().recording():
            raise LookupError
        assert sys.gettrace() is mine
    finally:
        sys.settrace(before)


def test_a_stopped_recorder_notes_nothing() -> None:
    recorder = Recorder()
    with recorder.recording():
        json.dumps("a library's lines are left out")
        busiest([])  # and the explorer's own
    assert not recorder.steps
    recorder.stop()
    with recorder.recording():
        step("noted by nobody", 1)
    assert not recorder.steps


async def lost_update() -> None:
    count = 0

    async def increment() -> None:
        nonlocal count
        seen = count
        await checkpoint()
        count = seen + 1

    async with anyio.create_task_group() as group:
        group.start_soon(increment)
        group.start_soon(increment)
    assert count == 2


def steps_of(exploration: Exploration) -> list[tuple[str, str, bool]]:
    assert exploration.failure is not None
    return [
        (step.task, step.code, step.deviates)
        for step in exploration.failure.timeline
        if step.function == "increment"
    ]


@both
def test_a_failure_tells_who_ran_which_line_and_where_it_deviates(backend: Backend) -> None:
    turns = steps_of(replay(lost_update, "1=1", backend=backend))
    # A task that goes on inside an await is shown there again.
    shown = [turn for number, turn in enumerate(turns) if turn not in turns[:number]]
    assert shown == [
        ("increment#1", "seen = count", False),
        ("increment#1", "await checkpoint()", False),
        ("increment#2", "seen = count", True),
        ("increment#2", "await checkpoint()", False),
        ("increment#2", "count = seen + 1", False),
        ("increment#1", "count = seen + 1", False),
    ]


@contextmanager
def tracing() -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        yield
    finally:
        sys.settrace(before)


@both
def test_a_debugger_is_given_back_its_trace(backend: Backend) -> None:
    with tracing():
        mine = sys.gettrace()
        assert not explore(lost_update, backend=backend).ok
        assert sys.gettrace() is mine
