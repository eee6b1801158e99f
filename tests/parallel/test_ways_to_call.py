"""Keyword arguments, several iterables, handles to calls, and maps over a pool or without one."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aconcur import parallel
from aconcur.parallel import COLLECT, Pool, PoolClosed, RemoteError, Results, TaskTimeout, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.states import until

pytestmark = pytest.mark.usefixtures("light_main_module")


async def test_keyword_arguments_reach_the_function(pool: Pool) -> None:
    assert await pool.run(pow, 2, exp=10) == 1024
    assert await pool.submit(pow, base=2, exp=3) == 8


async def test_a_class_is_called(pool: Pool) -> None:
    scale = await pool.run(tasks.Scale, 3)
    assert isinstance(scale, tasks.Scale)
    assert await pool.run(scale, 5) == 15
    assert [one.factor for one in await pool.map(tasks.Scale, [4]).collect()] == [4]


async def test_several_iterables_give_an_argument_each(pool: Pool) -> None:
    assert await pool.map(pow, range(2000), [2] * 2000).collect() == [n * n for n in range(2000)]
    assert await pool.map(pow, [2, 3], [5, 5, 5], [7, 7]).collect() == [2**5 % 7, 3**5 % 7]
    with ThreadPoolExecutor(2) as executor:
        assert await parallel.map(pow, [2, 3], [2, 2], executor=executor).collect() == [4, 9]


async def test_an_item_of_several_iterables_is_named_as_a_tuple(pool: Pool) -> None:
    results = pool.map(divmod, [1, 2], [1, 0], on_error=COLLECT)
    assert await results.collect() == [(1, 0)]
    assert [(one.item, one.index) for one in results.failures] == [((2, 0), 1)]


async def test_results_that_come_in_any_order_have_their_items_places(pool: Pool) -> None:
    results = pool.map(tasks.fail_at_seven, range(3000), ordered=False, on_error=COLLECT)
    pairs = [pair async for pair in results.indexed()]
    assert sorted(pairs) == [(n, n) for n in range(3000) if n % 10 != 7]
    with pytest.raises(RuntimeError, match="call map"):
        results.indexed()


async def test_an_async_iterable_among_several_is_refused(pool: Pool) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="zip them in an async generator"):
        pool.map(pow, [1], numbers())  # type: ignore[call-overload]


# --- submit


async def test_a_submitted_call_runs_before_it_is_awaited(pool: Pool) -> None:
    first = pool.submit(tasks.square, 3)
    second = pool.submit(tasks.square, 4)
    await until(lambda: first.done() and second.done())
    assert [await second, await first, await first] == [16, 9, 9]
    assert repr(first) == "<Submitted square: ended>"


async def test_an_error_of_a_submitted_call_is_raised_each_time(pool: Pool) -> None:
    failing = pool.submit(tasks.fail_at_seven, 7)
    for _ in range(2):
        with pytest.raises(tasks.TwoArguments):
            await failing


async def test_to_cancel_the_waiter_does_not_stop_the_call_but_cancel_does(pool: Pool) -> None:
    call = pool.submit(time.sleep, 60)

    async def wait() -> None:
        await call

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await until(lambda: pool.statistics().busy)
        group.cancel_scope.cancel()
    assert not call.done()
    call.cancel()
    with pytest.raises(RemoteError, match="the call was cancelled"):
        await call
    await until(lambda: pool.statistics().killed)
    assert await pool.run(tasks.square, 3) == 9


async def test_a_submitted_call_ends_with_the_pool_or_at_its_timeout() -> None:
    async with open_pool(1, start="fork") as pool:
        late = pool.submit(time.sleep, 60, timeout=0.1)
        with pytest.raises(TaskTimeout):
            await late
        call = pool.submit(time.sleep, 60)
    with pytest.raises(PoolClosed):
        await call


# --- maps over a pool, or without an executor


async def test_a_pool_serves_as_the_executor(pool: Pool) -> None:
    found = await parallel.map(tasks.square, range(500), executor=pool, timeout=60).collect()
    assert found == [n * n for n in range(500)]
    with pytest.raises(TypeError, match=r"workers=2 is set by open_pool\(\)"):
        parallel.map(tasks.square, [1], executor=pool, workers=2)


async def test_without_an_executor_a_pool_is_opened_for_the_map() -> None:
    assert await parallel.map(tasks.square, range(100), workers=2).collect() == [
        n * n for n in range(100)
    ]
    failing = parallel.map(tasks.fail_at_seven, range(9), workers=1, retries=1)
    with pytest.raises(tasks.TwoArguments):
        await failing.collect()
    results = parallel.map(time.sleep, [60], workers=1, timeout=0.1, on_error=COLLECT)
    assert await results.collect() == []
    assert [type(one.error) for one in results.failures] == [TaskTimeout]


async def test_a_map_without_an_executor_that_is_left_leaves_nothing() -> None:
    pids: list[int] = []
    async for pid in parallel.map(tasks.pid_of, iter(int, 1), workers=1):
        pids.append(pid)
        break
    await until(lambda: not tasks.runs(pids[0]))
    with anyio.move_on_after(0.3):
        await parallel.map(time.sleep, [60], workers=1).collect()


async def test_a_timeout_over_an_executor_that_cannot_kill_is_refused() -> None:
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(TypeError, match="timeout=1 needs workers that can be killed, which Thread"),
    ):
        parallel.map(abs, [1], executor=executor, timeout=1)


async def test_what_is_not_an_executor_is_named() -> None:
    wrong: Any = "threads"
    with pytest.raises(TypeError, match=r"executor must be a Pool or have a submit\(\)"):
        parallel.map(abs, [1], executor=wrong)


async def test_a_coroutine_function_as_progress_is_refused(pool: Pool) -> None:
    async def progress(_: int, __: int | None) -> None:
        """Never awaited."""

    with pytest.raises(TypeError, match="progress must be a plain function, not the coroutine"):
        pool.map(abs, [1], progress=progress)


# --- values and errors


async def test_a_shared_value_is_dropped_with_its_handle(pool: Pool) -> None:
    shared = pool.share([1, 2, 3])
    number = shared.number
    assert (await pool.run(tasks.get_shared, shared, 2))[0] == 3
    assert await pool.run(tasks.holds, number)
    del shared
    gc.collect()
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(tasks.assert_not_held, pool, number)


async def test_a_shared_value_lives_as_long_as_a_map_needs_it(pool: Pool) -> None:
    from functools import partial

    results = pool.map(partial(tasks.get_shared, pool.share(list(range(50)))), range(50), chunk=1)
    gc.collect()
    assert [value for value, _ in await results.collect()] == list(range(50))


async def test_a_result_that_cannot_be_read_names_its_call_or_item(pool: Pool) -> None:
    with pytest.raises(ValueError, match="made in another process") as caught:
        await pool.run(tasks.make_read_only_there, 3)
    assert caught.value.__notes__ == ["in make_read_only_there: (3,)"]
    results = pool.map(tasks.make_read_only_there, range(3), on_error=COLLECT)
    assert await results.collect() == []
    assert [one.error.__notes__ for one in results.failures] == [
        [f"in make_read_only_there at item {n}: {n}"] for n in range(3)
    ]


async def test_a_group_travels_whatever_its_exceptions_are(pool: Pool) -> None:
    with pytest.raises(ExceptionGroup, match="all kinds") as caught:  # noqa: ASYNC401
        await pool.run(tasks.raise_a_group)
    first, second, third = caught.value.exceptions
    assert isinstance(first, tasks.TwoArguments)
    assert first.code == 5
    assert isinstance(second, RemoteError)
    assert second.type_name.endswith("Unpicklable")
    assert isinstance(third, ExceptionGroup)


async def test_async_input_is_closed_when_control_comes_back(pool: Pool) -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                await anyio.sleep(0.001)
                yield 1
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
            closed.append(True)

    for over in (pool, None):
        closed.clear()
        with anyio.move_on_after(0.2):
            async for _ in parallel.map(abs, numbers(), executor=over):
                pass
        assert closed == [True]


async def test_an_input_that_waits_at_its_yield_may_await_as_it_is_closed(pool: Pool) -> None:
    steps: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await anyio.sleep(0.001)
            steps.append("cleaned up")

    results: Results[object] = pool.map(tasks.fail_always, numbers(), buffer=2)
    with pytest.raises(ValueError, match="always"):
        await results.collect()
    assert steps == ["cleaned up"]


async def test_items_and_results_share_one_bound_of_bytes(pool: Pool) -> None:
    drawn = 0

    def blobs() -> Any:  # noqa: ANN401
        nonlocal drawn
        while drawn < 60:
            drawn += 1
            yield bytes(4 << 20)

    taken = 0
    async for _ in pool.map(bytes, blobs()):
        taken += 1
        if taken == 20:  # no more is drawn when all workers have ended what they had
            await until(lambda: not pool.statistics().busy)
        # 64 MiB are 8 pairs of 4 MiB each; the first draws come before sizes are known.
        assert drawn - taken <= 12
    assert taken == 60
