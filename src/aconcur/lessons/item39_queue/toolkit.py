"""Download, resize, upload: a pipeline of stages.

The options of the stages replace the code that `rebuilt.py`
has for workers, bounds, threads and bad items.
"""

from __future__ import annotations

__all__ = ("passed_along", "pipeline", "run")

from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from typing import Any, TypeAlias, TypeVar

import anyio

from aconcur import pipeline as toolkit
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
from aconcur.pipeline import (
    COLLECT,
    THREADS,
    Pipeline,
    stage,
)

A = TypeVar("A")
Item: TypeAlias = Any
Job: TypeAlias = Callable[[Item], Awaitable[Item]]
Stages: TypeAlias = Sequence[tuple[Job, int]]
"""The job of each stage, and how many workers (>= 1)."""


def thumbnails(
    jobs: AsyncJobs,
) -> Pipeline[Picture, Outcome]:
    """Describe the stages; nothing runs yet."""
    return (
        stage(
            jobs.download,
            workers=DOWNLOADERS,
            buffer=BUFFER,
            on_error=COLLECT,
        )
        .map(
            work.resize,
            workers=RESIZERS,
            via=THREADS,
            buffer=BUFFER,
            on_error=COLLECT,
        )
        .map(
            jobs.upload,
            workers=UPLOADERS,
            buffer=BUFFER,
            on_error=COLLECT,
        )
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
    async with AsyncJobs(to) as jobs:
        stages = thumbnails(jobs)
        async with stages.open(map(Picture, urls)) as run:
            done = [sent async for sent in run]
    failed = [outcome(named(bad)) for bad in run.failures]
    return sorted(done + failed)


def named(bad: toolkit.Failure) -> Failure:
    """Say what went wrong in the lesson's words."""
    return Failure.of(bad.item, bad.stage, bad.error)


async def run(
    items: Iterable[Item],
    stages: Stages,
) -> list[Item]:
    """Return what the last stage made of the items.

    A bad item goes on as a Failure, in its place. What
    ``items`` raises comes out in an ExceptionGroup.

    **Cancelled**: so are the workers; all have ended.
    """
    all_stages: Pipeline[Item, Item] = Pipeline(())
    for job, workers in stages:
        all_stages = all_stages.map(
            attempted(job),
            name=job.__name__,
            workers=workers,
            buffer=BUFFER,
            on_error=COLLECT,
        )
    async with all_stages.open(items) as run:
        done = [each async for each in run]
    # What the job itself cannot catch is collected.
    return done + [named(bad) for bad in run.failures]


def attempted(job: Job) -> Job:
    """Make a job of one that may fail."""

    async def attempt(item: Item) -> Item:
        if isinstance(item, Failure):
            return item
        try:
            return await job(item)
        except Exception as e:  # noqa: BLE001
            return Failure.of(item, job.__name__, e)

    return attempt


async def same(item: A) -> A:  # noqa: ASYNC124 - a job
    """Do nothing, as a job of a stage."""
    return work.same(item)


async def passed_along(items: Iterable[int]) -> list[int]:
    """Send the items through three stages of no work."""
    one: Pipeline[int, int] = stage(same, buffer=BUFFER)
    return await (one | one | one).collect(items)


async def main(size: int) -> None:
    """Send pictures through; say what became of them."""
    tasks = DOWNLOADERS + 2 * RESIZERS + UPLOADERS
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
        anyio.run(main, size)
