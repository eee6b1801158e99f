"""Download, resize, upload: tasks joined by queues.

Law 1: a worker waits in get(); nothing polls.
Law 2: a queue between two stages is bounded: a slow stage
holds back the stages before it.
Law 3: a queue is closed once for each worker that reads
it, when all that belongs into it is in it.
Law 4: no item is lost: a failed one goes on as Failure.
Law 5: only the resizing, which computes, uses threads.
"""

from __future__ import annotations

__all__ = (
    "ClosableQueue",
    "passed_along",
    "pipeline",
    "run",
    "worker",
)

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final, Self, TypeAlias, TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.item39_queue import work
from aconcur.lessons.item39_queue.work import (
    BUFFER,
    DOWNLOADERS,
    RESIZERS,
    UPLOADERS,
    AsyncJobs,
    Failure,
    Outcome,
    Picture,
    outcome,
    pictures,
    summary,
)
from aconcur.lessons.to_the_end import to_the_end

A = TypeVar("A")
R = TypeVar("R")
Item: TypeAlias = Any
"""Whatever goes through the stages."""
Job: TypeAlias = Callable[[Item], Awaitable[Item]]
Stages: TypeAlias = Sequence[tuple[Job, int]]
"""The job of each stage, and how many workers (>= 1)."""


class ClosableQueue(asyncio.Queue[Item]):
    """A queue that can be closed."""

    SENTINEL: Final = object()

    async def close(self) -> None:
        """End one loop over it."""
        await self.put(self.SENTINEL)

    # No async generator: one left in the
    # middle is closed later, by the loop.
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        item = await self.get()
        if item is self.SENTINEL:
            self.task_done()
            raise StopAsyncIteration
        return item


async def worker(
    func: Job,
    in_queue: ClosableQueue,
    out_queue: ClosableQueue,
) -> None:
    """Work until the queue is closed.

    **Cancelled**: the queue keeps what was
    not taken.
    """
    async for item in in_queue:
        try:
            done = await attempt(func, item)
            await out_queue.put(done)
        finally:
            in_queue.task_done()


async def attempt(func: Job, item: Item) -> Item:
    """Do the job, or say why it failed."""
    if isinstance(item, Failure):
        return item
    try:
        return await func(item)
    except asyncio.CancelledError as e:  # noqa: ASYNC103
        if being_cancelled():
            raise
        # Not we: something that the job waited for.
        failure = Failure.of(item, func.__name__, e)
    except Exception as e:  # noqa: BLE001
        failure = Failure.of(item, func.__name__, e)
    return failure


def being_cancelled() -> bool:
    """Return whether the running task is to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def run(
    items: Iterable[Item],
    stages: Stages,
) -> list[Item]:
    """Return what the last stage made of the items.

    They stand in the order in which they were done. What
    ``items`` raises comes out in an ExceptionGroup.

    **Cancelled**: so are the workers; all have ended.
    """
    queues = [ClosableQueue(BUFFER) for _ in stages]
    # All results are kept anyway: no bound for them.
    done_queue = ClosableQueue()
    async with asyncio.TaskGroup() as team:
        for (func, workers), two in zip(
            stages,
            pairwise([*queues, done_queue]),
            strict=True,
        ):
            for _ in range(workers):
                team.create_task(worker(func, *two))
        for item in items:
            await queues[0].put(item)
        for (_, workers), queue in zip(
            stages, queues, strict=True
        ):
            for _ in range(workers):
                await queue.close()
            await queue.join()
    await done_queue.close()
    return [done async for done in done_queue]


async def in_thread(
    pool: ThreadPoolExecutor,
    func: Callable[[A], R],
    item: A,
) -> R:
    """Return ``func(item)``, done by a thread of the pool.

    **Cancelled**, once or again: waits for the thread,
    because nothing can stop it, and a pool that still works
    would stop the loop as it closes.
    """
    loop = asyncio.get_running_loop()
    return await to_the_end(
        loop.run_in_executor(pool, func, item)
    )


async def pipeline(
    urls: Sequence[str], to: str
) -> list[Outcome]:
    """Download, resize and upload pictures.

    Sorted by name: the workers end in any order.

    **Cancelled**: no task, thread or connection is left.
    Each picture has been uploaded as a whole or not at all.

    Args:
        urls: the pictures.
        to: where they go: ``to`` + the name of the picture;
            of two with one name the last stays.
    """
    with ThreadPoolExecutor(RESIZERS) as pool:

        async def resize(picture: Picture) -> Picture:
            return await in_thread(
                pool, work.resize, picture
            )

        async with AsyncJobs(to) as jobs:
            stages: Stages = [
                (jobs.download, DOWNLOADERS),
                (resize, RESIZERS),
                (jobs.upload, UPLOADERS),
            ]
            results = await run(map(Picture, urls), stages)
    return sorted(map(outcome, results))


async def same(item: A) -> A:  # noqa: ASYNC124 - a job
    """Do nothing, as a job of a stage."""
    return work.same(item)


async def passed_along(items: Iterable[int]) -> list[int]:
    """Send the items through three stages of no work."""
    return await run(items, [(same, 1)] * 3)


async def main(size: int) -> None:
    """Send pictures through; say what became of them."""
    tasks = DOWNLOADERS + RESIZERS + UPLOADERS
    with pictures(size, seed=39) as (urls, to):
        print(
            f"{size} pictures, {tasks} tasks, "
            f"{RESIZERS} threads",
            flush=True,
        )
        print(summary(await pipeline(urls, to)))


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=10, unit="pictures"
    ) as size:
        asyncio.run(main(size))
