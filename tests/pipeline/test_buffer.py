"""Buffer: one searcher at a time, and none who is cancelled keeps the others waiting."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from aconcur._core.wait_queue import waiter_factory
from aconcur.pipeline import Queue, stage
from aconcur.pipeline._buffer import Buffer
from tests.support.backends import on_asyncio


@on_asyncio
async def test_who_was_woken_for_an_item_and_cancelled_wakes_the_next() -> None:
    buffer = Buffer(1, 1, waiter_factory())
    first, second = (asyncio.create_task(buffer.until_item()) for _ in range(2))
    await anyio.wait_all_tasks_blocked()
    buffer.items.append(1)
    buffer.wake_getter()
    first.cancel()
    with anyio.fail_after(30):
        assert await second
    assert first.cancelled()
    assert not buffer.getters


@on_asyncio
async def test_who_was_woken_for_room_and_cancelled_wakes_the_next() -> None:
    buffer = Buffer(1, 1, waiter_factory())
    buffer.items.append(1)
    first, second = (asyncio.create_task(buffer.until_room()) for _ in range(2))
    await anyio.wait_all_tasks_blocked()
    buffer.items.clear()
    buffer.wake_putter()
    first.cancel()
    with anyio.fail_after(30):
        await second
    assert first.cancelled()
    assert not buffer.putters


async def test_one_is_woken_for_a_burst_and_closing_wakes_all() -> None:
    buffer, woken = Buffer(9, 1, waiter_factory()), list[bool]()

    async def wait() -> None:
        woken.append(await buffer.until_item())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        for item in range(3):
            buffer.items.append(item)
            buffer.wake_getter()
        await anyio.wait_all_tasks_blocked()
        assert woken == [True]
        buffer.items.clear()
        buffer.writer_left()
    assert woken == [True, False, False]


async def burst(item: int) -> list[int]:
    return [item] * 10


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_burst_reaches_every_idle_worker(ordered: bool) -> None:
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        await anyio.sleep_forever()

    pipeline = stage(burst).flat_map(list[int]).map(work, workers=5, ordered=ordered)
    # Not closed: the end of a stage would wake all the workers behind it.
    queue = Queue[int]()
    async with pipeline.open(queue):
        await anyio.wait_all_tasks_blocked()
        queue.put_nowait(0)
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 5


@pytest.mark.parametrize("ordered", [False, True])
async def test_much_room_at_once_reaches_every_blocked_worker(ordered: bool) -> None:
    begun: list[int] = []
    go = anyio.Event()

    async def work(item: int) -> int:
        begun.append(item)
        await go.wait()
        return item

    pipeline = stage(burst).flat_map(list[int]).map(work, workers=5, ordered=ordered, buffer=5)
    async with pipeline.open([0, 1]) as run:
        go.set()
        await anyio.wait_all_tasks_blocked()
        go = anyio.Event()
        begun.clear()
        assert len(await run.take()) >= 5
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 5
