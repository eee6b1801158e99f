"""The same calls from async code, waiting and counting.

A task is not a thread: a blocking call in it stops the
whole loop. So a call that waits goes to a thread, and one
that computes goes to a process.
"""

from __future__ import annotations

__all__ = ("processes", "tasks", "threads", "to_thread")

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import (
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.ctrl_c import ctrl_c_held
from aconcur.lessons.item37_threads.work import (
    Job,
    Jobs,
    numbers,
    slow_systemcall,
    timed,
)

T = TypeVar("T")


async def to_thread(jobs: Jobs[T]) -> list[T]:
    """Run the jobs on the loop's own threads.

    They are few: cores + 4, at most 32. The
    other jobs queue, even if all only wait.

    **Cancelled**, or after an error: queued
    jobs never start. Running ones run on,
    unheard, in the loop's pool; asyncio.run
    waits for them before it ends.

    Raises:
        ExceptionGroup: what the jobs raised.
    """
    coroutines = map(asyncio.to_thread, jobs)
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(coroutine)
            for coroutine in coroutines
        ]
    return [call.result() for call in calls]


async def threads(jobs: Jobs[T]) -> list[T]:
    """Run the jobs on up to a thread each.

    The pool starts a thread for a job only
    if none of its threads is idle.

    **Cancelled**, or after an error: waits
    until the calls that run have returned,
    and the loop runs on meanwhile.

    Raises:
        Exception: the first that was raised.
    """
    pool = ThreadPoolExecutor(len(jobs) or 1)
    async with ending(pool):
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(
                loop.run_in_executor(pool, job)
                for job in jobs
            )
        )


async def tasks(jobs: Jobs[T]) -> list[T]:
    """Run every job in a task of one thread.

    Each holds the loop until it is done: at
    no time do two jobs run.

    **Cancelled**: hears of it only when no
    job is left to run.

    Raises:
        ExceptionGroup: what the jobs raised.
    """
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(on_the_loop(job))
            for job in jobs
        ]
    return [call.result() for call in calls]


async def on_the_loop(job: Job[T]) -> T:  # noqa: ASYNC124
    """Run a job on the loop's thread: nothing to await."""
    return job()


async def processes(jobs: Jobs[T]) -> list[T]:
    """Run the jobs on all cores.

    The jobs and what they return must pickle.
    Costs a tenth of a second to begin with:
    new interpreters start, one per core.

    **Cancelled**, or after an error: queued
    jobs never start; waits for running ones.

    Raises:
        Exception: the first that was raised.
    """
    # A fork would copy locks that the threads
    # of this process hold at that moment.
    pool = ProcessPoolExecutor(
        mp_context=get_context("spawn")
    )
    async with ending(pool):
        loop = asyncio.get_running_loop()
        with ctrl_c_held():
            calls = [
                loop.run_in_executor(pool, job)
                for job in jobs
            ]
        return await asyncio.gather(*calls)


@asynccontextmanager
async def ending(pool: Executor) -> AsyncIterator[None]:
    """End the pool with the block, and all that runs in it.

    Only the wait is given to a thread: ``with pool:`` would
    stop the loop until the last call has returned.

    **Cancelled** while it waits: the pool still ends, and
    asyncio.run waits for it.
    """
    try:
        yield
    finally:
        # Shielded, and no task: cancelled before a thread
        # is free, it would never be called.
        shutdown = partial(
            pool.shutdown, cancel_futures=True
        )
        loop = asyncio.get_running_loop()
        await asyncio.shield(
            loop.run_in_executor(None, shutdown)
        )


async def main(size: int) -> None:
    """Time waiting calls, then counting ones."""
    print(f"{size} calls of select, 0.1 s each")
    waits = [partial(slow_systemcall, 0.1)] * size
    with timed("to_thread", "the loop's own few threads"):
        await to_thread(waits)
    with timed("threads", "up to a thread a call"):
        await threads(waits)
    with numbers(12, seed=37) as (sums,):
        print(f"{len(sums)} numbers to factorize")
        with timed("tasks", "one core, one after another"):
            await tasks(sums)
        with timed(
            "processes", "all cores, start included"
        ):
            await processes(sums)


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=20, unit="calls of select"
    ) as size:
        asyncio.run(main(size))
