"""Download, resize, upload: threads joined by queues.

Law 1: a worker waits in get(); nothing polls.
Law 2: a queue between two stages is bounded: a slow stage
holds back the stages before it.
Law 3: a queue is closed once for each worker that reads
it, when all that belongs into it is in it.
Law 4: no item is lost: a failed one goes on as Failure.
"""

from __future__ import annotations

__all__ = (
    "ClosableQueue",
    "StoppableWorker",
    "passed_along",
    "pipeline",
    "run",
)

import sys
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from itertools import pairwise
from queue import Queue
from threading import Thread
from typing import Any, Final, TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item39_queue.work import (
    BUFFER,
    DOWNLOADERS,
    RESIZERS,
    UPLOADERS,
    Failure,
    Jobs,
    Outcome,
    Picture,
    outcome,
    pictures,
    resize,
    same,
    summary,
)

Item: TypeAlias = Any
"""Whatever goes through the stages."""
Job: TypeAlias = Callable[[Item], Item]
Stages: TypeAlias = Sequence[tuple[Job, int]]
"""The job of each stage, and how many workers (>= 1)."""


class ClosableQueue(Queue[Item]):
    """A queue that can be closed."""

    SENTINEL: Final = object()

    def close(self) -> None:
        """End one loop over it."""
        self.put(self.SENTINEL)

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self.get()
            try:
                if item is self.SENTINEL:
                    return
                yield item
            finally:
                self.task_done()


class StoppableWorker(Thread):
    """Takes from one queue and puts into the next."""

    def __init__(
        self,
        func: Job,
        in_queue: ClosableQueue,
        out_queue: ClosableQueue,
    ) -> None:
        # A daemon: the program ends without it on Ctrl-C.
        super().__init__(name=func.__name__, daemon=True)
        self.func = func
        self.in_queue = in_queue
        self.out_queue = out_queue

    def run(self) -> None:
        """Work until the queue is closed."""
        for item in self.in_queue:
            done = attempt(self.func, item)
            self.out_queue.put(done)


def attempt(func: Job, item: Item) -> Item:
    """Do the job, or say why it failed."""
    if isinstance(item, Failure):
        return item
    try:
        return func(item)
    except BaseException as e:  # noqa: ASYNC103, BLE001
        # It would end the thread, unseen.
        failure = Failure.of(item, func.__name__, e)
    return failure


def run(
    items: Iterable[Item],
    stages: Stages,
) -> list[Item]:
    """Return what the last stage made of the items.

    They stand in the order in which they were done. What
    ``items`` raises comes out as it is; no thread is left.
    """
    queues = [ClosableQueue(BUFFER) for _ in stages]
    # All results are kept anyway: no bound for them.
    done_queue = ClosableQueue()
    with hired(stages, [*queues, done_queue]):
        for item in items:
            queues[0].put(item)
        for (_, workers), queue in zip(
            stages, queues, strict=True
        ):
            for _ in range(workers):
                queue.close()
            queue.join()
    done_queue.close()
    return list(done_queue)


@contextmanager
def hired(
    stages: Stages, queues: Sequence[ClosableQueue]
) -> Iterator[None]:
    """Start the workers, and see them off in any case.

    They end when the block has closed the queues. If it
    raises, they end with the item they have in hand; after
    Ctrl-C this function does not wait for that.
    """
    team = [
        StoppableWorker(func, in_queue, out_queue)
        for (func, workers), (in_queue, out_queue) in zip(
            stages, pairwise(queues), strict=True
        )
        for _ in range(workers)
    ]
    try:
        for worker in team:
            worker.start()
        yield
    except BaseException as error:
        for (_, workers), queue in zip(
            stages, queues[:-1], strict=True
        ):
            abandon(queue, workers)
        if isinstance(error, KeyboardInterrupt):
            team.clear()
        raise
    finally:
        for worker in team:
            if worker.is_alive():
                worker.join()


def abandon(queue: ClosableQueue, workers: int) -> None:
    """Drop what waits and end the workers; never wait.

    Python 3.13 has ``Queue.shutdown(immediate=True)``.
    """
    with queue.mutex:
        # From here on every put() finds room.
        queue.maxsize = sys.maxsize
        queue.queue.clear()
        queue.not_full.notify_all()
    for _ in range(workers):
        queue.close()


def pipeline(urls: Sequence[str], to: str) -> list[Outcome]:
    """Download, resize and upload pictures.

    Sorted by name: the workers end in any order.

    Args:
        urls: the pictures.
        to: where they go: ``to`` + the name of the picture;
            of two with one name the last stays.
    """
    with Jobs(to) as jobs:
        stages: Stages = [
            (jobs.download, DOWNLOADERS),
            (resize, RESIZERS),
            (jobs.upload, UPLOADERS),
        ]
        results = run(map(Picture, urls), stages)
    return sorted(map(outcome, results))


def passed_along(items: Iterable[int]) -> list[int]:
    """Send the items through three stages of no work."""
    return run(items, [(same, 1)] * 3)


def main(size: int) -> None:
    """Send pictures through; say what became of them."""
    threads = DOWNLOADERS + RESIZERS + UPLOADERS
    with pictures(size, seed=39) as (urls, to):
        print(
            f"{size} pictures, {threads} threads",
            flush=True,
        )
        print(summary(pipeline(urls, to)))


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=10, unit="pictures"
    ) as size:
        main(size)
