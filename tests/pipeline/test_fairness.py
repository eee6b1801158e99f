"""Other tasks get their turn, whatever a task does with a queue or a pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import SKIP, Journal, KeyedLimiter, Queue, stage


async def turns_of_others(work: Callable[[], Awaitable[object]]) -> int:
    """Return how often another task ran meanwhile."""
    turns, over = 0, False

    async def ticker() -> None:
        nonlocal turns
        while not over:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(ticker)
        await anyio.lowlevel.checkpoint()
        turns = 0
        await work()
        seen, over = turns, True
    return seen


@pytest.mark.parametrize("maxsize", [0, 1, 10])
async def test_puts_and_gets_that_alternate(maxsize: int) -> None:
    queue = Queue[int](maxsize)

    async def work() -> None:
        for item in range(10_000):
            await queue.put(item)
            await queue.get()

    assert 60 <= await turns_of_others(work) <= 110


async def test_a_second_backlog_is_drained() -> None:
    queue = Queue[int]()

    async def fill() -> None:
        for item in range(6400):
            await queue.put(item)

    async def drain() -> None:
        for _ in range(6400):
            await queue.get()

    for _ in range(3):
        assert 20 <= await turns_of_others(fill) <= 35
        assert 20 <= await turns_of_others(drain) <= 35


async def test_many_at_a_time() -> None:
    queue = Queue[int]()

    async def work() -> None:
        for _ in range(1000):
            await queue.put_many([0] * 20)
            await queue.get_many()

    assert 100 <= await turns_of_others(work) <= 250


async def test_iteration_over_a_queue() -> None:
    queue = Queue[int]()
    for item in range(6400):
        queue.put_nowait(item)
    queue.close()

    async def work() -> None:
        async for _ in queue:
            pass

    assert 20 <= await turns_of_others(work) <= 40


async def nothing(_: int) -> bool:
    return False


def no_results(_: int) -> tuple[int, ...]:
    return ()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
async def test_workers_that_filter_everything(workers: int, ordered: bool) -> None:
    pipeline = stage(int).filter(nothing, workers=workers, ordered=ordered)
    assert await turns_of_others(lambda: pipeline.run(range(10_000))) >= 70


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_first_stage_that_drops_everything(ordered: bool) -> None:
    empty = stage(no_results).flat_map(list[int], workers=2, ordered=ordered)
    assert await turns_of_others(lambda: empty.run(range(10_000))) >= 70


async def failing(_: int) -> None:
    raise ValueError


@pytest.mark.parametrize("ordered", [False, True])
async def test_workers_that_all_fail(ordered: bool) -> None:
    pipeline = stage(failing, workers=16, ordered=ordered, on_error=SKIP)
    assert await turns_of_others(lambda: pipeline.run(range(1600))) >= 80


async def test_limiters_of_many_keys() -> None:
    limiter = KeyedLimiter[int](lambda key: key, 100)

    async def ask() -> None:
        for key in range(1280):
            async with limiter(key):
                pass

    assert await turns_of_others(ask) >= 9


async def test_many_results_of_one_item() -> None:
    pipeline = stage(int).flat_map(range, buffer=100_000)
    assert await turns_of_others(lambda: pipeline.run([10_000])) >= 70


@pytest.mark.parametrize("kind", ["sync", "async", "queue"])
async def test_recorded_items_are_passed_over(tmp_path: Path, kind: str) -> None:
    journal, count = Journal(tmp_path / "run.db"), 5_000
    pipeline = stage(int)
    await pipeline.run(range(count), journal=journal)
    drawn, most, over = 0, 0, False
    queue = Queue[int]()
    await queue.put_many(range(count))
    queue.close()

    def counted() -> Iterator[int]:
        nonlocal drawn
        for drawn in range(1, count + 1):
            yield drawn - 1

    async def counted_later() -> AsyncIterator[int]:
        for item in counted():
            yield item

    async def watch() -> None:
        nonlocal most
        before = 0
        while not over:
            now = count - queue.qsize() if kind == "queue" else drawn
            most, before = max(most, now - before), now
            await anyio.lowlevel.checkpoint()

    # How many were passed over between two turns of another task: turns that it has while a
    # thread reads the file show nothing. A task passes over 256 at once; trio runs the tasks that
    # are ready in any order, so that it may do so twice between two turns of another.
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await anyio.lowlevel.checkpoint()
        make: dict[str, Callable[[], Any]] = {"sync": counted, "async": counted_later}
        source = queue if kind == "queue" else make[kind]()
        report = await pipeline.run(source, journal=journal)
        await anyio.lowlevel.checkpoint()
        over = True
    assert report.recorded == count
    assert most <= 2 * 256 + 16
