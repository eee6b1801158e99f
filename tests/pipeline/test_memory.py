"""Nothing outlives its use: no cycle keeps an item, and no failure the locals of its call."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import COLLECT, SKIP, THREADS, Failure, Queue, Retry, stage


class Item:
    def __init__(self, number: int) -> None:
        self.number = number


class Source:
    """Makes items and remembers which are alive."""

    def __init__(self, count: int = 20) -> None:
        self.count, self.made = count, list[weakref.ref[Item]]()

    def __iter__(self) -> Iterator[Item]:
        for number in range(self.count):
            item = Item(number)
            self.made.append(weakref.ref(item))
            yield item
            del item

    @property
    def alive(self) -> int:
        return sum(reference() is not None for reference in self.made)


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def fail(item: Item) -> None:
    await anyio.lowlevel.checkpoint()
    raise ValueError(item.number)


def fail_plainly(item: Item) -> None:
    raise ValueError(item.number)


@pytest.mark.parametrize(
    "options",
    [
        {"on_error": SKIP},
        {"on_error": SKIP, "workers": 3},
        {"on_error": SKIP, "retry": Retry(2, backoff=0)},
        {"on_error": SKIP, "workers": 3, "retry": Retry(3, backoff=0), "ordered": False},
        {"on_error": lambda _: None},
        {"on_error": SKIP, "timeout": 5},
        {"on_error": SKIP, "context": "item"},
    ],
)
async def test_failed_items_are_freed_without_the_collector(options: dict[str, Any]) -> None:
    source = Source()
    with no_collector():
        await stage(fail, **options).run(source)
        await anyio.lowlevel.checkpoint()
        assert source.alive == 0


@pytest.mark.parametrize("retry", [None, Retry(2, backoff=0)])
async def test_failed_items_of_threads_are_freed_without_the_collector(
    retry: Retry | None,
) -> None:
    source = Source()
    with no_collector():
        await stage(fail_plainly, via=THREADS, retry=retry, on_error=SKIP).run(source)
        await anyio.lowlevel.checkpoint()
        assert source.alive == 0


async def test_timed_out_items_are_freed_without_the_collector() -> None:
    async def slow(_: Item) -> None:
        await anyio.sleep_forever()

    source = Source(3)
    with no_collector():
        await stage(slow, timeout=0.01, on_error=SKIP).run(source)
        await anyio.lowlevel.checkpoint()
        assert source.alive == 0


async def test_items_of_a_run_that_was_cancelled_or_drained_are_freed() -> None:
    async def pass_on(item: Item) -> Item:
        await anyio.lowlevel.checkpoint()
        return item

    cancelled, drained = Source(), Source()
    with no_collector():
        with anyio.CancelScope() as scope:
            async with stage(pass_on, workers=2).open(cancelled) as run:
                await anext(run)
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        async with stage(pass_on, workers=2).open(drained) as run:
            await anext(run)
            run.drain()
            async for _ in run:
                pass
        del run, _
        await anyio.lowlevel.checkpoint()
        assert (cancelled.alive, drained.alive) == (0, 0)


async def nap(item: Item) -> Item:
    await anyio.lowlevel.checkpoint()
    return item


async def test_items_under_work_when_a_run_is_cancelled_are_freed() -> None:
    retry = Retry(2, backoff=1000)
    for pipeline in (
        stage(fail, workers=3, retry=retry),
        stage(nap, workers=2, key=lambda item: item.number % 2).map(fail, retry=retry),
        stage(nap).rate_limit(1, per=1000).map(nap),
    ):
        source = Source()
        with no_collector():
            async with anyio.create_task_group() as group:
                group.start_soon(pipeline.run, source)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()
            assert source.alive == 0


async def test_an_item_of_an_async_source_that_was_cancelled_is_freed() -> None:
    source = Source()

    async def later() -> AsyncIterator[Item]:
        for item in source:
            yield item

    with no_collector():
        async with stage(nap, workers=2, key=lambda item: item.number % 2).open(later()) as run:
            await anext(run)
        await anyio.lowlevel.checkpoint()
        # The run is kept here, with its account.
        assert source.alive == 0
        assert run.report.delivered == 1


async def test_the_item_that_ends_a_run_is_freed_with_the_error() -> None:
    for options in ({}, {"workers": 3, "retry": Retry(2, backoff=0)}, {"key": lambda _: 1}):
        source = Source()
        with no_collector():
            # As a variable of a frame that has ended, the error would be in a cycle of its own.
            with suppress(ValueError, ExceptionGroup):
                await stage(fail, **options).run(source)
            await anyio.lowlevel.checkpoint()
            assert source.alive == 0


async def test_collected_failures_are_freed_with_the_run() -> None:
    source = Source()
    with no_collector():
        async with stage(fail, on_error=COLLECT).open(source) as run:
            async for _ in run:
                pass
        assert len(run.failures) == source.alive == source.count
        del run
        assert source.alive == 0


class Body:
    alive = 0

    def __init__(self) -> None:
        Body.alive += 1

    def __del__(self) -> None:
        Body.alive -= 1


async def fetch(item: int) -> None:
    body = Body()
    try:
        raise KeyError(item)
    except KeyError as error:
        raise ValueError(item) from error
    finally:
        assert body


async def test_failures_that_are_kept_keep_their_lines_and_no_locals() -> None:
    dead, told = Queue[Failure](), list[Failure]()
    for on_error in (COLLECT, dead, told.append):
        async with stage(fetch, on_error=on_error).open(range(5)) as run:
            await run.take()
        assert Body.alive == 0
    assert (len(told), dead.qsize()) == (5, 5)
    for failure in (*told, await dead.get()):
        assert failure.error.__traceback__ is not None
        assert failure.error.__cause__ is not None


async def test_a_handler_sees_the_locals_of_the_failed_call() -> None:
    seen: list[int] = []
    await stage(fetch, on_error=lambda _: seen.append(Body.alive)).run([1])
    assert seen == [1]
    assert Body.alive == 0


async def test_the_error_that_ends_a_run_keeps_its_locals_for_the_debugger() -> None:
    with suppress(ValueError):
        try:
            await stage(fetch).run([1], unwrap=True)
        finally:
            assert Body.alive == 1
    gc.collect()
    assert Body.alive == 0
