"""Single calls: what comes back, what is raised, what cancellation and time do."""

from __future__ import annotations

import builtins
import math
import os
import signal
import time
from functools import partial
from pathlib import Path
from threading import Lock

import anyio
import pytest

from aconcur.errors import MissingRequirementError
from aconcur.parallel import (
    Pool,
    PoolClosed,
    RemoteError,
    RemoteTraceback,
    TaskTimeout,
    WorkerDied,
    open_pool,
)
from tests.support import parallel_tasks as tasks
from tests.support.states import BOUND, until


async def test_returns_what_the_function_returns_in_another_process(pool: Pool) -> None:
    assert await pool.run(math.gcd, 12, 18) == 6
    assert await pool.run(os.getpid) != os.getpid()


async def test_an_exception_keeps_its_type_attributes_and_traceback(pool: Pool) -> None:
    with pytest.raises(tasks.TwoArguments, match="seven 17") as caught:
        await pool.run(tasks.fail_at_seven, 17)
    assert (caught.value.what, caught.value.code) == ("seven", 17)
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert "in fail_at_seven" in cause.text
    assert "work.py" not in cause.text, "our own frames are left out"
    assert cause.item == (17,)
    assert caught.value.__notes__ == ["in fail_at_seven: (17,)"]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (partial(tasks.system_exit, 3), "SystemExit"),
        (tasks.raise_unpicklable, "tests.support.parallel_tasks.Unpicklable"),
        (partial(next, iter([])), "StopIteration"),
        (partial(tasks.raise_it, StopAsyncIteration()), "StopAsyncIteration"),
    ],
)
async def test_what_must_not_or_cannot_act_here_is_a_remote_error(
    pool: Pool, function: partial[None], name: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        await pool.run(function)
    assert caught.value.type_name == name
    assert await pool.run(tasks.square, 3) == 9


@pytest.mark.parametrize("kind", [tasks.Incomparable, tasks.Unequal])
async def test_an_exception_may_hold_what_has_no_equal(pool: Pool, kind: type[object]) -> None:
    with pytest.raises(LookupError) as caught:
        await pool.run(tasks.raise_it, LookupError(kind()))
    assert type(caught.value.args[0]) is kind
    assert not pool.statistics().died


async def test_a_group_of_exceptions_keeps_its_exceptions(pool: Pool) -> None:
    group = ExceptionGroup("two", [LookupError(1), ExceptionGroup("in", [ValueError(2)])])
    inner = pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="2"))
    with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="1"), inner) as caught:
        await pool.run(tasks.raise_it, group)
    assert repr(caught.value) == repr(group)


async def test_a_fork_that_the_function_does_not_end_answers_nothing(pool: Pool) -> None:
    here = await pool.map(tasks.fork_and_return, range(3)).collect()
    assert here == [True] * 3
    assert await pool.run(tasks.square, 3) == 9
    assert not pool.statistics().died


async def test_a_result_that_cannot_be_pickled_is_that_calls_error(pool: Pool) -> None:
    with pytest.raises(Exception, match="pickle"):
        await pool.run(Lock)
    assert await pool.run(tasks.square, 3) == 9


async def test_a_result_that_cannot_be_read_here_is_that_calls_error(pool: Pool) -> None:
    with pytest.raises(ValueError, match="made in another process"):
        await pool.run(tasks.make_read_only_there, None)
    assert await pool.run(tasks.square, 3) == 9


async def test_arguments_that_cannot_be_pickled_are_refused(pool: Pool) -> None:
    with pytest.raises(TypeError, match="pickle"):
        await pool.run(tasks.pid_of, Lock())
    assert await pool.run(tasks.square, 3) == 9


async def test_arguments_that_cannot_be_read_there_are_that_calls_error(pool: Pool) -> None:
    with pytest.raises(ValueError, match="made in another process"):
        await pool.run(tasks.pid_of, tasks.ReadOnlyThere())
    assert await pool.run(tasks.square, 3) == 9


async def test_arguments_that_kill_every_reader_are_given_up(pool: Pool) -> None:
    with pytest.raises(WorkerDied, match="exited with 9"):
        await pool.run(tasks.pid_of, tasks.Fatal())
    assert await pool.run(tasks.square, 3) == 9


@pytest.mark.parametrize("size", [100, 1 << 17, 1 << 23])
async def test_large_values_arrive_whole(pool: Pool, size: int) -> None:
    sent = os.urandom(1000) * (size // 1000 + 1)
    assert await pool.run(bytes.upper, sent) == sent.upper()
    assert await pool.run(bytearray, sent) == bytearray(sent)


async def test_lambdas_and_closures_travel_by_value(pool: Pool) -> None:
    offset = 5
    assert await pool.run(lambda number: number + offset, 3) == 8


async def test_without_cloudpickle_a_lambda_names_the_extra(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "cloudpickle":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingRequirementError, match=r"aconcur\[cloudpickle\]"):
        await pool.run(lambda: None)


@pytest.mark.parametrize("function", [tasks.coroutine, partial(tasks.coroutine, None), 3])
async def test_what_a_worker_cannot_call_is_a_type_error(pool: Pool, function: object) -> None:
    with pytest.raises(TypeError, match=r"coroutine function|must be a function"):
        await pool.run(function, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [0, 3])
async def test_a_worker_that_exits_costs_its_call(pool: Pool, code: int) -> None:
    with pytest.raises(WorkerDied, match=f"exited with {code}") as caught:
        await pool.run(tasks.exit_with, code)
    assert (caught.value.item, caught.value.exit_code) == ((code,), code)
    assert await pool.run(tasks.square, 3) == 9


async def test_a_worker_that_is_killed_names_the_signal(pool: Pool) -> None:
    with pytest.raises(WorkerDied, match="SIGKILL") as caught:
        await pool.run(tasks.die_at, 1, [1])
    assert caught.value.signal == signal.SIGKILL
    assert await pool.run(tasks.square, 3) == 9


async def test_a_call_that_takes_too_long_is_ended(pool: Pool) -> None:
    began = time.monotonic()
    with pytest.raises(TaskTimeout, match=r"0\.05 s"):
        await pool.run(time.sleep, 60, timeout=0.05)
    assert time.monotonic() - began < 30
    assert await pool.run(tasks.square, 3, timeout=60) == 9
    assert pool.statistics().killed == 1


async def test_cancelling_a_call_ends_its_worker(pool: Pool, tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, tasks.note_then_sleep, str(tmp_path), 60)
            with anyio.fail_after(BOUND):
                while not (noted := list(tmp_path.iterdir())):
                    await anyio.sleep(0.01)
            scope.cancel()
    with anyio.fail_after(BOUND):
        while Path(f"/proc/{noted[0].name}").exists():
            await anyio.sleep(0.01)
    assert await pool.run(tasks.square, 3) == 9


async def test_calls_that_wait_are_made_when_there_is_room(pool: Pool) -> None:
    found: list[int] = []

    async def call(number: int) -> None:
        found.append(await pool.run(tasks.square, number))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(call, number)
    assert sorted(found) == [number * number for number in range(50)]


async def test_a_call_does_not_wait_for_a_map_to_end(pool: Pool) -> None:
    async with anyio.create_task_group() as group:

        async def map_for_ever() -> None:
            async for _ in pool.map(tasks.sleep_then_square, iter(lambda: (0.001, 2), None)):
                pass

        group.start_soon(map_for_ever)
        await until(lambda: pool.statistics().done)
        with anyio.fail_after(BOUND):
            assert await pool.run(tasks.square, 3) == 9
        group.cancel_scope.cancel()


async def test_a_closed_pool_refuses_calls() -> None:
    async with open_pool(1, start="fork") as pool:
        pass
    with anyio.fail_after(BOUND), pytest.raises(PoolClosed, match=r"run\(\)"):
        await pool.run(tasks.square, 3)
    assert repr(pool) == "<Pool: closed>"


async def test_a_call_under_way_ends_with_the_pool() -> None:
    async with anyio.create_task_group() as group:

        async def call(pool: Pool) -> None:
            with pytest.raises(PoolClosed):
                await pool.run(time.sleep, 60)

        async with open_pool(1, start="fork") as pool:
            group.start_soon(call, pool)
            with anyio.fail_after(BOUND):
                while not pool.statistics().busy:
                    await anyio.sleep(0.01)
