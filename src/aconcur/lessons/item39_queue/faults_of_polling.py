"""The four faults of MyQueue and Worker, as figures.

A fast stage, then a slow one. The last column runs the same
with one item that fails.
"""

from __future__ import annotations

__all__ = ("measured",)

import time
from collections.abc import Callable
from typing import Any, TypeAlias

from aconcur.lessons.item39_queue.original import (
    ClosableQueue,
    StoppableWorker,
)
from aconcur.lessons.item39_queue.original_polling import (
    LAST,
    MyQueue,
    Worker,
)
from aconcur.lessons.item39_queue.work import (
    BUFFER,
    Failure,
)

Item: TypeAlias = Any
Job: TypeAlias = Callable[[Item], Item]
Row: TypeAlias = dict[str, float]

SLOW = 0.002
BAD = 10


def same(item: Item) -> Item:
    """Do nothing; die of the last item."""
    if item is LAST:
        raise SystemExit
    return item


def slow(item: Item) -> Item:
    """Take 2 ms."""
    time.sleep(SLOW)
    return same(item)


def broken(item: Item) -> Item:
    """Take 2 ms; fail on one item."""
    # A thread dies of SystemExit without a traceback.
    if item == BAD:
        raise SystemExit
    return slow(item)


def polling(size: int, job: Job) -> Row:
    """Send items through a fast and a slow Worker."""
    first, middle, done = MyQueue(), MyQueue(), MyQueue()
    fast = Worker(same, first, middle)
    last = Worker(job, middle, done)
    fast.start()
    last.start()
    most = 0
    for item in range(size):
        first.put(item)
        time.sleep(0)
        most = max(most, len(middle.items))
    deadline = time.perf_counter() + 3 * size * SLOW
    while len(done.items) < size:
        if time.perf_counter() > deadline:
            break
        time.sleep(0.01)
    workers = (fast, last)
    polls = sum(
        w.polled_count - w.work_done for w in workers
    )
    alive = sum(worker.is_alive() for worker in workers)
    for worker in workers:
        worker.in_queue.put(LAST)
        worker.join()
    return {
        "polls without an item": polls,
        "most items queued": most,
        "workers left after the last item": alive,
        "items lost after one failure": size
        - len(done.items),
    }


def bounded(size: int, job: Job) -> Row:
    """Send items through the same with bounded queues."""
    first, middle = (
        ClosableQueue(BUFFER),
        ClosableQueue(BUFFER),
    )
    done = ClosableQueue()
    workers = [
        StoppableWorker(same, first, middle),
        StoppableWorker(job, middle, done),
    ]
    for worker in workers:
        worker.start()
    most = 0
    for item in range(size):
        first.put(item)
        most = max(most, middle.qsize())
    first.close()
    first.join()
    middle.close()
    middle.join()
    for worker in workers:
        worker.join()
    done.close()
    good = [x for x in done if not isinstance(x, Failure)]
    return {
        # get() returns only with an item.
        "polls without an item": 0,
        "most items queued": most,
        "workers left after the last item": sum(
            worker.is_alive() for worker in workers
        ),
        "items lost after one failure": size - len(good),
    }


def measured(
    size: int,
    seed: int,  # noqa: ARG001 - nothing here is random
) -> dict[str, Row]:
    """Run both, once whole and once with a bad item."""
    rows: dict[str, Row] = {}
    key = "items lost after one failure"
    for name, run in (
        ("MyQueue and Worker", polling),
        ("ClosableQueue, 8 places", bounded),
    ):
        lost = run(size, broken)[key]
        rows[name] = run(size, slow) | {key: lost}
    return rows
