"""Stages of pipelines whose function runs in a pool's workers."""

from __future__ import annotations

import os

import pytest

from aconcur.parallel import Pool, WorkerDied
from aconcur.pipeline import COLLECT, THREADS, stage
from tests.support import parallel_tasks as tasks


async def test_a_stage_runs_in_the_workers_of_a_pool(pool: Pool) -> None:
    stages = stage(tasks.square, workers=4, via=pool).map(str)
    assert await stages.collect(range(50)) == [str(number * number) for number in range(50)]
    pids = await stage(tasks.pid_of, workers=2, via=pool).collect(range(10))
    assert os.getpid() not in pids


async def test_a_worker_that_dies_costs_the_stage_its_item(pool: Pool) -> None:
    async with stage(tasks.exit_at_three, via=pool, on_error=COLLECT).open(range(5)) as run:
        assert [number async for number in run] == [0, 1, 2, 4]
    (failure,) = run.failures
    assert isinstance(failure.error, WorkerDied)
    assert failure.item == 3


async def test_a_pool_can_stop_what_takes_too_long(pool: Pool) -> None:
    await pool.run(tasks.square, 2)  # a worker has started
    stages = stage(tasks.sleep_long_at_three, via=pool, timeout=1, on_error=COLLECT)
    async with stages.open(range(5)) as run:
        assert [number async for number in run] == [0, 1, 2, 4]
    assert isinstance(run.failures[0].error, TimeoutError)
    while not pool.statistics().killed:
        await pool.run(tasks.square, 2)
    with pytest.raises(ValueError, match="via= a pool"):
        stage(tasks.square, via=THREADS, timeout=1)
