"""The same calls on anyio: asyncio and trio alike.

After a cancellation anyio waits for a running thread: a
call that is still busy never outlives the function here.
"""

from __future__ import annotations

__all__ = ("kept_processes", "threads")

import os
from functools import partial
from importlib.util import find_spec
from typing import TypeVar

import anyio
import anyio.to_process
import anyio.to_thread

from aconcur.lessons.alone import alone
from aconcur.lessons.item37_threads.work import (
    Job,
    Jobs,
    slow_systemcall,
    timed,
)

T = TypeVar("T")


async def threads(jobs: Jobs[T]) -> list[T]:
    """Run the jobs on up to a thread each.

    A thread that is idle takes the next job. The limiter
    makes the room: without it, all calls of this event loop
    together get 40 threads.

    **Cancelled**, or after an error: waits until the calls
    that run have returned. With ``abandon_on_cancel=True``
    anyio would leave them running instead.

    Raises:
        ExceptionGroup: what the jobs raised.
    """
    room = anyio.CapacityLimiter(len(jobs) or 1)

    async def call(job: Job[T]) -> T:
        return await anyio.to_thread.run_sync(
            job, limiter=room
        )

    return await anyio.amap(call, jobs)


async def kept_processes(jobs: Jobs[T]) -> list[T]:
    """Run the jobs on all cores.

    The jobs and what they return must pickle. The worker
    processes stay for the next call and end with the loop.

    **Cancelled**, or after an error: jobs that wait for a
    core never start; waits for those that run.

    Raises:
        ExceptionGroup: what the jobs raised.
    """
    cores = anyio.CapacityLimiter(os.cpu_count() or 1)

    async def call(job: Job[T]) -> T:
        # anyio 4.16 loses a worker process that is
        # cancelled while it starts: shield it.
        async with cores:
            with anyio.CancelScope(shield=True):
                answer = await anyio.to_process.run_sync(
                    job
                )
        return answer

    return await anyio.amap(call, jobs)


def main(size: int) -> None:
    """Time waiting calls on each event loop there is."""
    print(f"{size} calls of select, 0.1 s each")
    waits = [partial(slow_systemcall, 0.1)] * size
    for loop in filter(find_spec, ("asyncio", "trio")):
        with timed(loop, "up to a thread a call"):
            anyio.run(threads, waits, backend=loop)


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=20, unit="calls of select"
    ) as size:
        main(size)
