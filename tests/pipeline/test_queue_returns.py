"""Under every schedule and every cancel: a queue whose pipeline ends loses no item."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import SKIP, Limiter, Pipeline, Queue, QueueClosed, Run, stage
from aconcur.testing import cancel_everywhere, explore

Backend: TypeAlias = Literal["asyncio", "trio"]
Made: TypeAlias = "Callable[[Callable[[int], Any]], Pipeline[int, Any]]"


def limited(work: Callable[[int], Any]) -> Pipeline[int, Any]:
    return stage(work, workers=2, limiter=Limiter(concurrency=1), buffer=1)


def keyed(work: Callable[[int], Any]) -> Pipeline[int, Any]:
    return stage(work, workers=2, key=lambda _: 1, buffer=1)


def isolated(work: Callable[[int], Any]) -> Pipeline[int, Any]:
    return stage(work, workers=2, context="item", ordered=False, on_error=SKIP, buffer=1)


class Books:
    """What a queue was given, and on what its pipeline's function was called."""

    def __init__(self, make: Made) -> None:
        self.queue, self.called = Queue[int](), list[int]()
        self.pipeline = make(self.work)
        self.run: Run[Any] | None = None
        for item in range(3):
            self.queue.put_nowait(item)
        self.queue.close()

    async def work(self, item: int) -> int:
        self.called.append(item)
        await checkpoint()
        return item

    async def use(self) -> None:
        async with self.pipeline.open(self.queue) as self.run:
            async for _ in self.run:
                pass

    def balance(self) -> None:
        left = [self.queue.get_nowait() for _ in range(self.queue.qsize())]
        assert sorted(self.called) + left == [0, 1, 2]
        if self.run is not None:
            [account] = self.run.report.stages
            done = account.out + account.failed + account.cancelled
            assert (account.entered, account.inside) == (done, 0)
            assert account.entered == len(self.called)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("make", [limited, keyed, isolated])
def test_a_run_that_is_cancelled_returns_what_it_has_not_begun(
    make: Made, backend: Backend
) -> None:
    async def cancelled() -> None:
        books = Books(make)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(cancel, scope)
                await books.use()
        books.balance()

    found = explore(cancelled, backend=backend, bound=2, schedules=20_000)
    found.check()
    assert found.exhausted


async def cancel(scope: anyio.CancelScope) -> None:
    for _ in range(3):
        await checkpoint()
    scope.cancel()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("make", [limited, keyed, isolated])
def test_cancelled_at_every_step_it_returns_what_it_has_not_begun(
    make: Made, backend: Literal["asyncio", "uvloop", "trio"]
) -> None:
    books = Books(make)

    async def scenario() -> None:
        nonlocal books
        books = Books(make)
        await books.use()

    cancel_everywhere(
        scenario, backend=backend, invariant=lambda: books.balance(), grace=1.0
    ).check()


async def told_when_the_last_consumer_leaves() -> None:
    """Each of two producers knows what became of its item."""
    queue, taken, put, told = Queue[int](1), list[int](), list[int](), list[int]()

    async def poison(item: int) -> None:
        taken.append(item)
        await checkpoint()
        raise ValueError

    async def produce(item: int) -> None:
        try:
            await queue.put(item)
            put.append(item)
        except QueueClosed:
            told.append(item)

    async def consume() -> None:
        try:
            await stage(poison, buffer=1).run(queue)
        except* ValueError:
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        for item in range(3):
            group.start_soon(produce, item)
    assert sorted(put + told) == [0, 1, 2]
    assert sorted(taken + [queue.get_nowait() for _ in range(queue.qsize())]) == sorted(put)
    assert queue.statistics().waiting_to_put == 0


async def a_new_consumer_comes() -> None:
    """A producer that waits is told, or its item is taken by the second consumer."""
    queue, taken, told = Queue[int](1), list[int](), list[int]()

    async def produce() -> None:
        for item in range(2):
            try:
                await queue.put(item)
            except QueueClosed:
                told.append(item)

    async def consume() -> None:
        for _ in range(2):
            with queue.consumer():
                await checkpoint()
                while not queue.empty():
                    taken.append(queue.get_nowait())

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        group.start_soon(produce)
        await checkpoint()
    assert sorted(taken + told + [queue.get_nowait() for _ in range(queue.qsize())]) == [0, 1]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("scenario", [told_when_the_last_consumer_leaves, a_new_consumer_comes])
def test_consumers_under_every_schedule(
    scenario: Callable[[], Coroutine[Any, Any, None]], backend: Backend
) -> None:
    found = explore(scenario, backend=backend, bound=3, schedules=20_000)
    found.check()
    assert found.exhausted


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_consumers_cancelled_at_every_step(
    backend: Literal["asyncio", "uvloop", "trio"],
) -> None:
    cancel_everywhere(told_when_the_last_consumer_leaves, backend=backend, grace=1.0).check()
