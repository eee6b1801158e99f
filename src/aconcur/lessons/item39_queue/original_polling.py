"""The naive pair: a queue of one's own, workers that poll.

It works, and has five faults:

1. A worker without work asks again and again.
2. That all is done is seen only by counting what came out.
3. A worker cannot be told to stop.
4. Before a slow stage the queue grows without a bound.
5. A worker dies of the first item that it cannot do.
"""

from __future__ import annotations

__all__ = ("MyQueue", "Worker", "passed_along")

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from threading import Lock, Thread
from time import sleep
from typing import Any, Final, TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item39_queue.work import numbers, same

Item: TypeAlias = Any
Job: TypeAlias = Callable[[Item], Item]


class MyQueue:
    """A queue for threads, as far as one thinks of it."""

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.lock = Lock()

    def put(self, item: Item) -> None:
        """Add at the end; there is always room."""
        with self.lock:
            self.items.append(item)

    def get(self) -> Item:
        """Take from the front.

        Raises:
            IndexError: there is nothing, for the moment.
        """
        with self.lock:
            return self.items.popleft()


class Worker(Thread):
    """Takes from one queue and puts into the next."""

    def __init__(
        self,
        func: Job,
        in_queue: MyQueue,
        out_queue: MyQueue,
    ) -> None:
        super().__init__(daemon=True)
        self.func = func
        self.in_queue = in_queue
        self.out_queue = out_queue
        self.polled_count = 0
        self.work_done = 0

    def run(self) -> None:
        """Work for ever."""
        while True:
            self.polled_count += 1
            try:
                item = self.in_queue.get()
            except IndexError:
                sleep(0.01)
            else:
                result = self.func(item)
                self.out_queue.put(result)
                self.work_done += 1


LAST: Final = object()


def same_or_die(item: Item) -> Item:
    """Pass the item along; die of the last one.

    A Worker can only be stopped from inside its job, by an
    error. SystemExit is the one that a thread dies of
    without a traceback.
    """
    if item is LAST:
        raise SystemExit
    return same(item)


@contextmanager
def three_workers() -> Iterator[
    tuple[list[MyQueue], list[Worker]]
]:
    """Start three workers in a row; make them die."""
    queues = [MyQueue() for _ in range(4)]
    team = [
        Worker(same_or_die, *two)
        for two in pairwise(queues)
    ]
    for worker in team:
        worker.start()
    try:
        yield queues, team
    finally:
        for worker in team:
            worker.in_queue.put(LAST)
            worker.join()


def passed_along(items: Sequence[int]) -> list[int]:
    """Send the items through three stages of no work."""
    with three_workers() as (queues, _):
        return sent(items, queues)


def sent(
    items: Sequence[int], queues: Sequence[MyQueue]
) -> list[int]:
    """Put all in at the front; wait for all at the end."""
    first, done_queue = queues[0], queues[-1]
    for item in items:
        first.put(item)
    while len(done_queue.items) < len(items):
        sleep(0.01)
    return list(done_queue.items)


def main(size: int) -> None:
    """Send numbers through; say how often it was polled."""
    with (
        numbers(size, seed=39) as (items,),
        three_workers() as (queues, team),
    ):
        sent(items, queues)
        for number, worker in enumerate(team, 1):
            print(
                f"worker {number}: "
                f"polled {worker.polled_count} times, "
                f"worked {worker.work_done} times"
            )


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=1000, unit="numbers"
    ) as size:
        main(size)
