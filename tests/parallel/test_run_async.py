"""Coroutine functions in the event loops of workers."""

from __future__ import annotations

import math
import time
from pathlib import Path

import anyio
import pytest

from aconcur.parallel import Pool, PoolClosed, StartMethod, TaskTimeout, WorkerDied, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.states import until

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
        with pytest.raises(WorkerDied, match="exited with 3"):
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
