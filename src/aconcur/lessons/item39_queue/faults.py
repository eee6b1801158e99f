"""Item 39 under faults: three stages, two workers each."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from aconcur.lessons.item39_queue import (
    original,
    original_polling,
    rebuilt,
)
from aconcur.lessons.item39_queue.work import BUFFER
from aconcur.lessons.under_fault import (
    Make,
    Scenario,
    Scenarios,
    arrivals,
    arrive,
    begin,
    cancelled_twice,
    during,
    in_time,
    main,
)
from aconcur.pipeline import Pipeline, stage

FULL = arrivals(6)  # the slow stage has had six items
ONE = arrivals(1)
ENDLESS = range(10_000)  # minutes of work
FEW = range(40)
SLOW = 0.05

SIZE = 2**20
MANY = 200


def same(item: object) -> object:
    """Do nothing."""
    return item


def slow(item: object) -> object:
    """Take a while."""
    arrive()
    time.sleep(SLOW)
    return item


def broken(item: object) -> object:
    """Fail on one item, after a while."""
    time.sleep(SLOW)
    if item == 10:
        begin()
        raise ConnectionError
    return item


def stuck(item: object) -> object:
    """Never come back."""
    arrive()
    time.sleep(30)
    return item


def items_of(job: Callable[[object], object]) -> range:
    """Return the items: few, if one of them fails."""
    return FEW if job is broken else ENDLESS


def dropped(item: object) -> int:
    """Take a while; keep nothing of the item."""
    time.sleep(0.005)
    return 0 if item else 1


def large() -> Iterator[bytearray]:
    """Yield items of a MiB each."""
    for _ in range(MANY):
        yield bytearray(SIZE)


# ----------------------------------------- as in the notes


def polling(job: Callable[[object], object]) -> None:
    """Send items through workers that poll."""
    queues = [original_polling.MyQueue() for _ in range(3)]
    for job_, two in (
        (same, queues[:2]),
        (job, queues[1:]),
    ):
        original_polling.Worker(job_, *two).start()
    items = items_of(job)
    for item in items:
        queues[0].put(item)
    while len(queues[2].items) < len(items):
        time.sleep(0.01)


def polling_large() -> None:
    """Send large items to a slow worker that polls."""
    queues = [original_polling.MyQueue() for _ in range(2)]
    original_polling.Worker(dropped, *queues).start()
    begin()
    for item in large():
        queues[0].put(item)
    while len(queues[1].items) < MANY:
        time.sleep(0.01)


# ------------------------------------------------ threads


def threads(job: Callable[[object], object]) -> None:
    """Send items through the stages."""
    stages = [(same, 1), (job, 2), (same, 1)]
    found = original.run(items_of(job), stages)
    raise_first(found)


class FailureReported(Exception):  # noqa: N818
    """Raised by these tests for items that failed."""


def raise_first(found: list[object]) -> None:
    """Raise if an item was reported as a failure."""
    if bad := [one for one in found if not_an_item(one)]:
        raise FailureReported(bad)


def not_an_item(one: object) -> bool:
    """Return whether it is a Failure."""
    return not isinstance(one, int)


# ------------------------------------------------ asyncio


async def tasks(job: Callable[[object], object]) -> None:
    """Send items through the stages."""
    found = await rebuilt.run(
        items_of(job),
        [(awaited, 1), (awaiting(job), 2), (awaited, 1)],
    )
    raise_first(found)


async def awaited(item: object) -> object:
    """Do nothing."""
    await asyncio.sleep(0)
    return item


def awaiting(
    job: Callable[[object], object],
) -> Callable[[object], Awaitable[object]]:
    """Return the job as one that awaits."""

    async def work(item: object) -> object:
        if job is not broken:
            arrive()
        await asyncio.sleep(30 if job is stuck else SLOW)
        if job is broken:
            return broken(item)
        return item

    return work


# ------------------------------------------------ aconcur


async def pipeline(job: Callable[[object], object]) -> None:
    """Send items through the stages."""
    stages: Pipeline[object, object] = (
        stage(awaited, buffer=BUFFER)
        .map(awaiting(job), workers=2, buffer=BUFFER)
        .map(awaited, buffer=BUFFER)
    )
    await stages.collect(items_of(job))


async def drop(item: object) -> int:
    """Take a while; keep nothing of the item."""
    await asyncio.sleep(0.005)
    return 0 if item else 1


async def tasks_large() -> None:
    """Send large items to a slow task."""
    begin()
    await rebuilt.run(large(), [(drop, 1)])


async def pipeline_large() -> None:
    """Send large items to a slow stage."""
    begin()
    await stage(drop, buffer=BUFFER).collect(large())


def threads_large() -> None:
    """Send large items to a slow thread."""
    begin()
    original.run(large(), [(dropped, 1)])


# -------------------------------------------------- table


def once(
    call: Make,
) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        "as in the notes": call(polling),
        "threads": call(threads),
        "asyncio": call(tasks),
        "aconcur": call(pipeline),
    }


def of_tasks(
    call: Make,
) -> dict[str, Scenario]:
    """Return the same for the versions that await."""
    return {
        "asyncio": call(tasks),
        "aconcur": call(pipeline),
    }


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(FULL, w, slow)),
    "one failure": once(lambda w: partial(w, broken)),
    "a timeout": of_tasks(lambda w: in_time(FULL, w, slow)),
    "cancelled twice": of_tasks(
        lambda w: cancelled_twice(FULL, w, slow)
    ),
    "a stuck call": {
        "as in the notes": during(ONE, polling, stuck),
        "threads": during(ONE, threads, stuck),
        **of_tasks(lambda w: in_time(ONE, w, stuck)),
    },
    "kill -9 of the program": once(
        lambda w: during(FULL, w, slow)
    ),
    "a slow stage": {
        "as in the notes": polling_large,
        "threads": threads_large,
        "asyncio": tasks_large,
        "aconcur": pipeline_large,
    },
}


if __name__ == "__main__":
    main("aconcur.lessons.item39_queue.faults", SCENARIOS)
