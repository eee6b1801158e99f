"""Coroutine functions in the event loops of workers."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from threading import Lock

import anyio
import pytest

from aconcur import parallel
from aconcur.parallel import (
    COLLECT,
    Pool,
    PoolClosed,
    StartMethod,
    TaskTimeout,
    WorkerDied,
    open_pool,
)
from tests.support import parallel_tasks as tasks
from tests.support.states import BOUND, until

pytestmark = pytest.mark.usefixtures("light_main_module")


async def test_a_worker_runs_many_coroutines_at_once(start: StartMethod) -> None:
    found: list[int] = []
    async with open_pool(2, start=start) as pool:

        async def call(number: int) -> None:
            # Each waits for its partner, so that they only end if they run at once.
            found.append(await pool.run_async(tasks.meet, number, of=20))

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(call, number)
        assert sorted(found) == list(range(40))
        assert await pool.run(math.gcd, 12, 18) == 6


async def test_errors_travel_and_plain_functions_are_refused(pool: Pool) -> None:
    with pytest.raises(tasks.TwoArguments) as caught:
        await pool.run_async(tasks.fail_later, 7)
    assert caught.value.__notes__ == ["in fail_later: (7,)"]
    with pytest.raises(TypeError, match=r"square is not a coroutine function: use run\(\)"):
        await pool.run_async(tasks.square, 3)  # type: ignore[arg-type]


async def test_cancelling_cancels_the_coroutine_and_spares_the_worker(
    pool: Pool, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    async with anyio.create_task_group() as group:
        group.start_soon(pool.run_async, tasks.wait_and_note, str(note))
        await until(lambda: note.exists() and note.read_text() == "begun")
        group.cancel_scope.cancel()
    await until(lambda: note.read_text() == "cancelled")
    with pytest.raises(TaskTimeout, match=r"0\.05 s"):
        await pool.run_async(tasks.wait_and_note, str(note), timeout=0.05)
    assert await pool.run_async(tasks.meet, 0, of=1) == 0
    assert pool.statistics().killed == pool.statistics().died == 0


async def test_a_dead_worker_fails_its_coroutines_and_is_replaced() -> None:
    async with open_pool(1, start="fork") as pool:
        with anyio.fail_after(BOUND), pytest.raises(WorkerDied, match="exited with 3"):
            await pool.run_async(tasks.exit_later, 3)
        assert await pool.run_async(tasks.meet, 0, of=1) == 0


async def test_coroutines_end_with_the_pool(tmp_path: Path) -> None:
    began = time.monotonic()
    async with anyio.create_task_group() as group:

        async def call(pool: Pool) -> None:
            with pytest.raises(PoolClosed):
                await pool.run_async(tasks.wait_and_note, str(tmp_path / "note"))

        async with open_pool(1, start="fork") as pool:
            group.start_soon(call, pool)
            await until(lambda: pool.statistics().busy)
    assert time.monotonic() - began < 30


async def test_a_map_runs_many_coroutines_at_once_and_keeps_their_order(
    start: StartMethod,
) -> None:
    async with open_pool(2, start=start) as pool:
        # 40 items that only end if 20 of them run at once in each worker.
        found = await pool.map(partial(tasks.meet, of=20), range(40)).collect()
    assert found == list(range(40))


async def test_a_map_of_coroutines_has_the_options_of_other_maps(pool: Pool) -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(8):
            yield number

    told: list[tuple[int, int | None]] = []
    results = pool.map(
        tasks.fail_later_if_even,
        numbers(),
        on_error=COLLECT,
        retries=2,
        ordered=False,
        progress=lambda done, total: told.append((done, total)),
    )
    assert sorted(await results.collect()) == [1, 3, 5, 7]
    assert [(one.index, one.attempts) for one in results.failures] == [(n, 3) for n in (0, 2, 4, 6)]
    assert told[-1] == (8, None)
    assert await pool.map(tasks.add_later, [1, 2], [10, 20]).collect() == [11, 22]
    assert await pool.map(tasks.return_later, []).collect() == []
    over_pool = parallel.map(tasks.add_later, [1, 2], [10, 20], executor=pool)
    assert await over_pool.collect() == [11, 22]
    with pytest.raises(TypeError, match=r"chunk=4 is for plain functions"):
        pool.map(tasks.add_later, [1], [2], chunk=4)


async def test_without_an_executor_coroutines_are_mapped_in_a_pool_of_the_map() -> None:
    assert await parallel.map(tasks.add_later, [1, 2], [10, 20]).collect() == [11, 22]


async def test_an_item_that_cannot_be_pickled_fails_alone(pool: Pool) -> None:
    items = [1, Lock(), 3]
    results = pool.map(tasks.return_later, items, on_error=COLLECT)
    assert await results.collect() == [1, 3]
    assert [one.index for one in results.failures] == [1]


async def test_a_coroutine_that_takes_too_long_fails_alone_and_spares_the_worker(
    pool: Pool,
) -> None:
    results = pool.map(tasks.sleep_later, [0, 60, 0], timeout=0.3, on_error=COLLECT)
    assert await results.collect() == [0, 0]
    (failure,) = results.failures
    assert isinstance(failure.error, TaskTimeout)
    assert (failure.index, failure.error.seconds) == (1, 0.3)
    assert pool.statistics().killed == 0


async def test_of_the_coroutines_of_a_dead_worker_only_the_one_at_fault_fails() -> None:
    async with open_pool(1, start="fork") as pool:
        results = pool.map(tasks.exit_later_if_7, range(9), on_error=COLLECT)
        with anyio.fail_after(BOUND):
            assert await results.collect() == [0, 1, 2, 3, 4, 5, 6, 8]
        (failure,) = results.failures
        assert isinstance(failure.error, WorkerDied)
        assert (failure.index, failure.error.exit_code) == (7, 3)


async def test_a_worker_that_is_killed_for_another_call_fails_no_coroutine(tmp_path: Path) -> None:
    async with open_pool(1, start="fork") as pool:
        found: list[int] = []

        async def collect() -> None:
            items = [(str(tmp_path / "note"), 3)]
            found.extend(await pool.map(tasks.wait_once, items).collect())

        async with anyio.create_task_group() as group:
            group.start_soon(collect)
            await until((tmp_path / "note").exists)
            with pytest.raises(TaskTimeout):
                await pool.run(time.sleep, 60, timeout=0.05)
        assert found == [3]


async def test_a_map_of_coroutines_that_is_left_cancels_them(pool: Pool, tmp_path: Path) -> None:
    note = tmp_path / "note"
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.map(tasks.wait_and_note, [str(note)]).collect)
            await until(lambda: note.exists() and note.read_text() == "begun")
            scope.cancel()
    await until(lambda: note.read_text() == "cancelled")
    assert await pool.run_async(tasks.meet, 0, of=1) == 0
    assert pool.statistics().maps == 0


async def test_no_more_coroutines_run_than_the_buffer_holds(pool: Pool) -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        while True:
            yield drawn
            drawn += 1

    taken = 0
    async for _ in pool.map(tasks.return_later, items(), buffer=5):
        taken += 1
        assert drawn - taken <= 5
        if taken == 50:
            break
